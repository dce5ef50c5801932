# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Comparisons: the same rounds with several strategies and seeds, their tables, their tests and their figure."""

from monai_al.comparison.config import Comparison, PlannedRun, read_comparison
from monai_al.comparison.figure import write_comparison_figure
from monai_al.comparison.pairs import check_pairs
from monai_al.comparison.plan import WorkLeft, work_left, work_text
from monai_al.comparison.runs import run_all
from monai_al.comparison.state import asked_otherwise, is_done
from monai_al.comparison.summary import pair_tests, seeds_warning
from monai_al.comparison.table import comparison_table, comparison_text

__all__ = [
    "Comparison",
    "PlannedRun",
    "WorkLeft",
    "asked_otherwise",
    "check_pairs",
    "comparison_table",
    "comparison_text",
    "is_done",
    "pair_tests",
    "read_comparison",
    "run_all",
    "seeds_warning",
    "work_left",
    "work_text",
    "write_comparison_figure",
]
