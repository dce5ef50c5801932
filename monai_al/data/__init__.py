# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Voxels: readers, geometry, cached volumes, slices. The words of :mod:`monai_al.records` are found here, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai_al.data.fingerprint import fingerprint
from monai_al.data.geometry import VolumeGeometry
from monai_al.data.group_batch_sampler import GROUP_MEMBERS, GroupBatchSampler, slice_groups
from monai_al.data.reading import StoredVolume, read_volume, stored_shape
from monai_al.data.slice_dataset import SliceDataset
from monai_al.data.slice_loader import batches_of, slice_loader, with_batches
from monai_al.data.volume_cache import CachedVolume, VolumeCache
from monai_al.records import (
    NOT_ANNOTATED,
    SPLITS,
    DataError,
    Item,
    Pool,
    Query,
    QueryItem,
    Round,
    RunFolder,
    RunFolderError,
    config_hash,
    content_hash,
    derived_seed,
    file_identity,
    pool_to_json,
    rng,
    round_sizes,
    slice_id,
    slices_of,
    split_by_patient,
    whole_volumes,
)

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
    "batches_of",
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
    "slice_loader",
    "with_batches",
    "slices_of",
    "split_by_patient",
    "stored_shape",
    "whole_volumes",
]


def __getattr__(name: str) -> Any:
    """The reader is a class of MONAI's, which takes seconds to import, so it is imported only when it is asked for."""
    if name == "SimpleITKReader":
        from monai_al.data.simpleitk_reader import SimpleITKReader

        return SimpleITKReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
