# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What stored label values mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["NOT_ANNOTATED", "whole_label_values"]

NOT_ANNOTATED = 255  # the one value that means so, in every label array


def whole_label_values(label_values: Mapping[Any, Any]) -> dict[int, int]:
    """Stored label values and class numbers as whole numbers; JSON, and so a run's record, has them as text.

    Raises:
        ValueError: one is no whole number.

    Example:
        >>> whole_label_values({"0": 0, "7": 1, 9: 255})
        {0: 0, 7: 1, 9: 255}
    """
    try:
        found = {int(value): int(number) for value, number in label_values.items()}
        if all(float(v) == int(v) and float(n) == int(n) for v, n in label_values.items()):
            return found
    except (TypeError, ValueError):
        pass
    raise ValueError(f"label_values {dict(label_values)}: give whole numbers, stored value -> class number or 255")
