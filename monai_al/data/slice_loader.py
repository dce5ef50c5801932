# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches of slices, one shape in each."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader

from monai_al.data.slice_dataset import SliceDataset

__all__ = ["slice_loader"]


def slice_loader(dataset: SliceDataset, batch_size: int = 64) -> DataLoader:
    """Batches of a data set in its order, one shape in each.

    Args:
        dataset: the items.
        batch_size: items per batch, at most.

    Example:
        >>> len(slice_loader(SliceDataset([], cache=None)))
        0
    """
    return DataLoader(
        dataset,
        batch_sampler=_batches_of_one_shape(dataset, batch_size),
        generator=torch.Generator(),  # else every pass draws from the process's own random state
    )


def _batches_of_one_shape(dataset: SliceDataset, batch_size: int) -> list[list[int]]:
    """Positions in order, cut into batches where the batch is full or the volume's shape changes."""
    batches: list[list[int]] = []
    last = None
    for index, item in enumerate(dataset.data):
        shape = dataset.cache.get(item).geometry.shape
        grid = shape if item.slice is None else shape[:2]
        if grid != last or len(batches[-1]) == batch_size:
            batches.append([])
            last = grid
        batches[-1].append(index)
    return batches
