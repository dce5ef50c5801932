# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses that MONAI does not have."""

from __future__ import annotations

from monai_al.losses.group_contrastive import GroupContrastiveLoss
from monai_al.losses.learning_loss import LearningLoss
from monai_al.losses.metric_learning import MetricLearningLoss
from monai_al.losses.nt_xent import NTXentLoss
from monai_al.losses.partial import ItemCrossEntropy, PartialCrossEntropyLoss, PartialDiceCELoss
from monai_al.losses.ranking import RankingLoss
from monai_al.losses.restoration import RestorationLoss

__all__ = [
    "GroupContrastiveLoss",
    "ItemCrossEntropy",
    "LearningLoss",
    "MetricLearningLoss",
    "NTXentLoss",
    "PartialCrossEntropyLoss",
    "PartialDiceCELoss",
    "RankingLoss",
    "RestorationLoss",
]
