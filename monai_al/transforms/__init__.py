# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Transforms in array and dictionary form."""

from monai_al.transforms.bezier_intensity import bezier_intensity, draw_bezier_curves
from monai_al.transforms.contrastive_augmentation import AugmentationParameters, ContrastiveAugmentation, augmented
from monai_al.transforms.contrastive_batch import ContrastiveBatch
from monai_al.transforms.deformation_dictionaries import (
    RandBezierIntensityd,
    RandInPaintingd,
    RandOutPaintingd,
    RandPixelShufflingd,
    RandRestorationPaird,
)
from monai_al.transforms.deformations import (
    RandBezierIntensity,
    RandInPainting,
    RandOutPainting,
    RandPixelShuffling,
    RandRestorationPair,
)
from monai_al.transforms.grey_of_colours import GreyOfColoursd
from monai_al.transforms.label_affine import RandLabelAffined
from monai_al.transforms.painting import Paintings, draw_in_paintings, draw_out_paintings, painted
from monai_al.transforms.pixel_shuffling import PixelBlocks, draw_pixel_blocks, shuffled_pixels
from monai_al.transforms.plane_grid import PlaneGridd
from monai_al.transforms.restoration_augmentation import (
    RestorationAugmentation,
    RestorationParameters,
    restoration_pairs,
)
from monai_al.transforms.restoration_batch import RestorationBatch
from monai_al.transforms.scribbles_from_mask import ScribblesFromMask, ScribblesFromMaskd
from monai_al.transforms.uncertainty import UncertaintyMap, UncertaintyMapd

__all__ = [
    "AugmentationParameters",
    "ContrastiveAugmentation",
    "ContrastiveBatch",
    "GreyOfColoursd",
    "Paintings",
    "PixelBlocks",
    "PlaneGridd",
    "RandBezierIntensity",
    "RandBezierIntensityd",
    "RandInPainting",
    "RandInPaintingd",
    "RandLabelAffined",
    "RandOutPainting",
    "RandOutPaintingd",
    "RandPixelShuffling",
    "RandPixelShufflingd",
    "RandRestorationPair",
    "RandRestorationPaird",
    "RestorationAugmentation",
    "RestorationBatch",
    "RestorationParameters",
    "ScribblesFromMask",
    "ScribblesFromMaskd",
    "UncertaintyMap",
    "UncertaintyMapd",
    "augmented",
    "bezier_intensity",
    "draw_bezier_curves",
    "draw_in_paintings",
    "draw_out_paintings",
    "draw_pixel_blocks",
    "painted",
    "restoration_pairs",
    "shuffled_pixels",
]
