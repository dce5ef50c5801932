# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks that MONAI does not have."""

from monai_al.networks.backbone_weights import load_backbone
from monai_al.networks.deep_supervision import DeeplySupervised
from monai_al.networks.dropout_unet import DropoutUNet
from monai_al.networks.dual_branch_unet import DualBranchUNet
from monai_al.networks.file_encoder import FileEncoder
from monai_al.networks.graph_encoder import GraphEncoder, similarity_graph
from monai_al.networks.level_dropout_unet import LevelDropoutUNet
from monai_al.networks.loss_predictor import LossPredictor
from monai_al.networks.members import MeanOfMembers
from monai_al.networks.placed import placed
from monai_al.networks.pretrained import MatchedWeights, load_pretrained, matched_weights
from monai_al.networks.resnet_unet import ResNetUNet
from monai_al.networks.simclr import SimCLR
from monai_al.networks.torch_file import read_torch_file
from monai_al.networks.vaal import VAALNetwork
from monai_al.networks.vision_transformer import VisionTransformer

__all__ = [
    "DeeplySupervised",
    "DropoutUNet",
    "DualBranchUNet",
    "FileEncoder",
    "GraphEncoder",
    "LevelDropoutUNet",
    "LossPredictor",
    "MatchedWeights",
    "MeanOfMembers",
    "ResNetUNet",
    "SimCLR",
    "VAALNetwork",
    "VisionTransformer",
    "load_backbone",
    "load_pretrained",
    "matched_weights",
    "placed",
    "read_torch_file",
    "similarity_graph",
]
