# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Data sets: a folder on disk becomes a pool of items. One file per data set."""

from monai_al.datasets.acdc import acdc
from monai_al.datasets.brats import brats
from monai_al.datasets.chaos import chaos
from monai_al.datasets.datalist import datalist
from monai_al.datasets.davis import davis
from monai_al.datasets.decathlon import decathlon
from monai_al.datasets.deviation import deviation_text, slice_deviations
from monai_al.datasets.folder import folder
from monai_al.datasets.isic import isic
from monai_al.datasets.lgg import lgg
from monai_al.datasets.ms_cmr import ms_cmr
from monai_al.datasets.phantom import phantom
from monai_al.datasets.plane_grid import PlaneGrid, plane_grid
from monai_al.datasets.promise12 import promise12
from monai_al.datasets.summary import describe, description_text

__all__ = [
    "PlaneGrid",
    "acdc",
    "brats",
    "chaos",
    "datalist",
    "davis",
    "decathlon",
    "describe",
    "description_text",
    "deviation_text",
    "folder",
    "isic",
    "lgg",
    "ms_cmr",
    "phantom",
    "plane_grid",
    "promise12",
    "slice_deviations",
]
