# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Handlers that plug into any MONAI engine."""

from monai_al.handlers.best_weights import BestWeights
from monai_al.handlers.effective_rank import EffectiveRankHandler
from monai_al.handlers.embedding import EmbeddingHandler
from monai_al.handlers.epoch_seed import EpochSeed
from monai_al.handlers.feature_gradient import StopFeatureGradient
from monai_al.handlers.gradient_clipping import GradientClipping
from monai_al.handlers.item_ids import ItemIds
from monai_al.handlers.learning_curve import (
    LateSummaryWriter,
    learning_curve_values,
    with_labeled_as_step,
    write_learning_curve_scalars,
)
from monai_al.handlers.query import QueryHandler
from monai_al.handlers.restoration_pictures import RestorationPictures, restoration_strips
from monai_al.handlers.resumption import Resumption
from monai_al.handlers.second_optimizer import SecondOptimizer
from monai_al.handlers.uncertainty import UncertaintyHandler
from monai_al.handlers.volume_dice import VolumeDice
from monai_al.handlers.volume_scores import VolumeScoresHandler
from monai_al.handlers.volume_segmentation import VolumeSegmentationHandler
from monai_al.handlers.whole_volumes import WholeVolumeHandler, hard_labels

__all__ = [
    "BestWeights",
    "EffectiveRankHandler",
    "EmbeddingHandler",
    "EpochSeed",
    "GradientClipping",
    "ItemIds",
    "LateSummaryWriter",
    "QueryHandler",
    "RestorationPictures",
    "Resumption",
    "SecondOptimizer",
    "StopFeatureGradient",
    "UncertaintyHandler",
    "VolumeDice",
    "VolumeScoresHandler",
    "VolumeSegmentationHandler",
    "WholeVolumeHandler",
    "hard_labels",
    "learning_curve_values",
    "restoration_strips",
    "with_labeled_as_step",
    "write_learning_curve_scalars",
]
