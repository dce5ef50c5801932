# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks that MONAI does not have."""

from monai_al.networks.dropout_unet import DropoutUNet
from monai_al.networks.loss_predictor import LossPredictor
from monai_al.networks.members import MeanOfMembers

__all__ = ["DropoutUNet", "LossPredictor", "MeanOfMembers"]
