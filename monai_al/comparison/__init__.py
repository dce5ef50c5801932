# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Comparisons: the same rounds with several strategies and seeds, and their table."""

from monai_al.comparison.config import Comparison, PlannedRun, read_comparison
from monai_al.comparison.runs import asked_otherwise, is_done, run_all
from monai_al.comparison.table import comparison_table, comparison_text

__all__ = [
    "Comparison",
    "PlannedRun",
    "asked_otherwise",
    "comparison_table",
    "comparison_text",
    "is_done",
    "read_comparison",
    "run_all",
]
