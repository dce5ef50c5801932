# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How a number that is not defined stands before people."""

from __future__ import annotations

__all__ = ["UNDEFINED", "shown"]

UNDEFINED = "–"


def shown(value: float | None, form: str = "") -> str:
    """A number for a table or a sentence.

    Args:
        value: None: it is not defined.
        form: as for ``format``.

    Example:
        >>> shown(0.7512, ".3f"), shown(None, ".3f")
        ('0.751', '–')
    """
    return UNDEFINED if value is None else format(value, form)
