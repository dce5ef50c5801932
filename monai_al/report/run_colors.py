# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The colors of runs in figures."""

from __future__ import annotations

__all__ = ["BASELINE_COLOR", "run_color"]

BASELINE_COLOR = "0.45"
_COLORS = ("C0", "C1", "C2", "C4", "C5", "C6", "C8", "C9")  # of matplotlib; red is for errors, gray for baselines


def run_color(number: int) -> str:
    """The color of a run, as matplotlib knows it; after the last one they come again.

    Args:
        number: counted from 0.

    Example:
        >>> run_color(0), run_color(3)
        ('C0', 'C4')
    """
    return _COLORS[number % len(_COLORS)]
