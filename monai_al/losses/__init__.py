# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses that MONAI does not have."""

from __future__ import annotations

from monai_al.losses.group_contrastive import GroupContrastiveLoss
from monai_al.losses.learning_loss import LearningLoss
from monai_al.losses.metric_learning import MetricLearningLoss
from monai_al.losses.mixed_pseudo_labels import MixedPseudoLabelLoss
from monai_al.losses.nt_xent import NTXentLoss
from monai_al.losses.partial import ItemCrossEntropy, PartialCrossEntropyLoss, PartialDiceCELoss
from monai_al.losses.ranking import RankingLoss
from monai_al.losses.restoration import RestorationLoss
from monai_al.losses.weak_supervision import WeakSupervisionLoss

__all__ = [
    "GroupContrastiveLoss",
    "ItemCrossEntropy",
    "LearningLoss",
    "MetricLearningLoss",
    "MixedPseudoLabelLoss",
    "NTXentLoss",
    "PartialCrossEntropyLoss",
    "PartialDiceCELoss",
    "RankingLoss",
    "RestorationLoss",
    "WeakSupervisionLoss",
]
