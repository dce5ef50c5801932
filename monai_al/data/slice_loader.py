# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches of slices, one shape in each."""

from __future__ import annotations

from collections.abc import Sequence

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


def batches_of(loader: DataLoader) -> list[list[int]]:
    """The positions in each of a loader's batches.

    Args:
        loader: draws the same ones each time.

    Example:
        >>> batches_of(DataLoader(list("abc"), batch_size=2))
        [[0, 1], [2]]
    """
    return list(loader.batch_sampler)  # type: ignore[arg-type]


def with_batches(loader: DataLoader, batches: Sequence[list[int]]) -> DataLoader:
    """A loader of the same data set with other batches.

    Args:
        loader: how items are loaded and put together.
        batches: the positions in each.

    Example:
        >>> list(with_batches(DataLoader(list("abc")), [[2], [0, 1]]))
        [['c'], ['a', 'b']]
    """
    return DataLoader(
        loader.dataset,
        batch_sampler=batches,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        generator=loader.generator,
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
