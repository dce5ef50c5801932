# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses that MONAI does not have."""

from __future__ import annotations

from monai_al.losses.learning_loss import LearningLoss
from monai_al.losses.partial import PartialCrossEntropyLoss, PartialDiceCELoss
from monai_al.losses.ranking import RankingLoss

__all__ = ["LearningLoss", "PartialCrossEntropyLoss", "PartialDiceCELoss", "RankingLoss"]
