# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An older address of the command line and of :mod:`monai_al.assets`; both are handed on from where they live now."""

from __future__ import annotations

from monai_al.assets import ASSET_KINDS, CONFIG_SUFFIXES, asset_folders, asset_names, find_asset
from monai_al.commands import main
from monai_al.commands.compare import compare
from monai_al.commands.datalist import ALIASES, DATASETS, datalist
from monai_al.commands.report import report
from monai_al.commands.status import status
from monai_al.commands.where import print_where

__all__ = [
    "ALIASES",
    "ASSET_KINDS",
    "CONFIG_SUFFIXES",
    "DATASETS",
    "asset_folders",
    "asset_names",
    "compare",
    "datalist",
    "find_asset",
    "main",
    "print_where",
    "report",
    "status",
]
