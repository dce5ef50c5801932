# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Dice and HD95 of whole volumes, with an explicit rule for empty masks, and paired tests of their differences."""

from __future__ import annotations

from monai_al.metrics.bootstrap import bootstrap_means, bootstrap_spread
from monai_al.metrics.dice import EMPTY_POLICIES, NOT_ANNOTATED, DiceCounts, check_empty_policy, dice, dice_counts
from monai_al.metrics.effective_rank import effective_rank
from monai_al.metrics.hd95 import hd95, physical_diagonal
from monai_al.metrics.significance import (
    PairedTests,
    holm,
    paired_tests,
    seeds_needed,
    sign_flip_p,
    smallest_p,
    wilcoxon_p,
)
from monai_al.metrics.slice_deviation import Deviation, neighbor_deviation, pairwise_deviation
from monai_al.metrics.volume import VolumeScores, mean_dice, score_overlapping, score_volume, summarize

__all__ = [
    "EMPTY_POLICIES",
    "NOT_ANNOTATED",
    "Deviation",
    "DiceCounts",
    "PairedTests",
    "VolumeScores",
    "bootstrap_means",
    "bootstrap_spread",
    "check_empty_policy",
    "dice",
    "dice_counts",
    "effective_rank",
    "hd95",
    "holm",
    "mean_dice",
    "neighbor_deviation",
    "paired_tests",
    "pairwise_deviation",
    "physical_diagonal",
    "score_overlapping",
    "score_volume",
    "seeds_needed",
    "sign_flip_p",
    "smallest_p",
    "summarize",
    "wilcoxon_p",
]
