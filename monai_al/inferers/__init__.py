# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Inferers: one call, several predictions."""

from monai_al.inferers.equal_predictions import refuse_equal_predictions
from monai_al.inferers.image_changes import ImageChanges, change_images, draw_image_changes, undo_image_changes
from monai_al.inferers.mc_dropout import MCDropoutInferer, dropout_enabled
from monai_al.inferers.members import MembersInferer
from monai_al.inferers.several import several_predictions
from monai_al.inferers.shared_prefix import SharedPrefix
from monai_al.inferers.trained_network import TrainedNetwork
from monai_al.inferers.tta import TTAInferer

__all__ = [
    "ImageChanges",
    "MCDropoutInferer",
    "MembersInferer",
    "SharedPrefix",
    "TTAInferer",
    "TrainedNetwork",
    "change_images",
    "draw_image_changes",
    "dropout_enabled",
    "refuse_equal_predictions",
    "several_predictions",
    "undo_image_changes",
]
