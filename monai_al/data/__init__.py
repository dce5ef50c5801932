# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Items, pools, queries, rounds, run folders, and slices from cached volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai_al.data.budget import round_sizes
from monai_al.data.errors import DataError
from monai_al.data.fingerprint import content_hash, file_identity, fingerprint
from monai_al.data.geometry import VolumeGeometry
from monai_al.data.group_batch_sampler import GROUP_MEMBERS, GroupBatchSampler, slice_groups
from monai_al.data.item import Item, slice_id, slices_of
from monai_al.data.pool import SPLITS, Pool, split_by_patient
from monai_al.data.query import Query, QueryItem
from monai_al.data.randomness import derived_seed, rng
from monai_al.data.reading import NOT_ANNOTATED, StoredVolume, read_volume, stored_shape
from monai_al.data.round import Round
from monai_al.data.run_folder import RunFolder, RunFolderError, config_hash, pool_to_json
from monai_al.data.slice_dataset import SliceDataset
from monai_al.data.volume_cache import CachedVolume, VolumeCache
from monai_al.data.whole_volumes import whole_volumes

if TYPE_CHECKING:
    from monai_al.data.simpleitk_reader import SimpleITKReader

__all__ = [
    "GROUP_MEMBERS",
    "NOT_ANNOTATED",
    "SPLITS",
    "CachedVolume",
    "DataError",
    "GroupBatchSampler",
    "Item",
    "Pool",
    "Query",
    "QueryItem",
    "Round",
    "RunFolder",
    "RunFolderError",
    "SimpleITKReader",
    "SliceDataset",
    "StoredVolume",
    "VolumeCache",
    "VolumeGeometry",
    "config_hash",
    "content_hash",
    "derived_seed",
    "file_identity",
    "fingerprint",
    "pool_to_json",
    "read_volume",
    "rng",
    "round_sizes",
    "slice_groups",
    "slice_id",
    "slices_of",
    "split_by_patient",
    "whole_volumes",
    "stored_shape",
]


def __getattr__(name: str) -> Any:
    """The reader is a class of MONAI's, which takes seconds to import, so it is imported only when it is asked for."""
    if name == "SimpleITKReader":
        from monai_al.data.simpleitk_reader import SimpleITKReader

        return SimpleITKReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
