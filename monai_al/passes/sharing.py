# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which part of a pass is whose, and the parts put together again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import DataLoader

from monai_al.data import batches_of, with_batches
from monai_al.distributed import share_of, shares_by_weight
from monai_al.handlers.growing_rows import GrowingRows
from monai_al.records import Item

__all__ = ["Before", "merged_scores", "own_batches", "own_volumes", "volume_order"]


class Before(NamedTuple):
    """What of a pass comes before a part of it, in other processes.

    Args:
        batches: how many.
        items: how many they hold.

    Example:
        >>> Before().items
        0
    """

    batches: int = 0
    items: int = 0


def own_batches(loader: DataLoader, rank: int, size: int) -> tuple[DataLoader, Before]:
    """The part of a loader's batches that is one process's: whole batches, as all of them in one process.

    Args:
        loader: draws the same batches each time.
        rank: number of the process.
        size: number of processes.

    Returns:
        The part, and what comes before it.

    Example:
        >>> loader = DataLoader(list("abcde"), batch_size=2)
        >>> own, before = own_batches(loader, rank=1, size=2)
        >>> list(own), before
        ([['c', 'd'], ['e']], Before(batches=1, items=2))
    """
    if size == 1:
        return loader, Before()
    batches = batches_of(loader)
    own = share_of(len(batches), rank, size)
    return with_batches(loader, batches[own.start : own.stop]), Before(own.start, sum(map(len, batches[: own.start])))


def merged_scores(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What :func:`~monai_al.passes.score_items` finds of parts of a pass, as of all of it.

    Args:
        parts: in the order of the pass; one without batches holds nothing.

    Raises:
        ValueError: embeddings differ in length.

    Example:
        >>> merged_scores([{"entropy": np.array([0.5])}, {}, {"entropy": np.array([0.1])}])
        {'entropy': array([0.5, 0.1])}
    """
    if len(parts) == 1:
        return dict(parts[0])
    found: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for name, values in part.items():
            if len(values):
                found.setdefault(name, []).append(values)
    for name, values in found.items():
        sizes = {one.shape[1:] for one in values}
        if len(sizes) > 1:
            raise ValueError(f"{name!r} gives embeddings of different lengths, {sizes}: the images differ in size")
    nothing = {name: values for part in parts for name, values in part.items()}
    return {name: _joined(found[name]) if name in found else empty for name, empty in nothing.items()}


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Scores one after the other; embeddings, too, in memory while they are few."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    rows = GrowingRows()
    for part in parts:
        rows.add(part)
    return rows.array()


def volume_order(items: Sequence[Item]) -> dict[str, int]:
    """Volume -> place of its last item, by which volumes are done in a pass.

    Example:
        >>> volume_order([Item("a/0", "a.nii", "a", "a", 0), Item("a/1", "a.nii", "a", "a", 1)])
        {'a': 1}
    """
    return {item.volume: place for place, item in enumerate(items)}


def own_volumes(items: Sequence[Item], rank: int, size: int) -> set[str]:
    """The volumes that are one process's, neighbors by their first items; each has about as many items.

    Args:
        items: of all volumes.
        rank: number of the process.
        size: number of processes.

    Example:
        >>> own_volumes([Item("a", "a.nii", "a", "a"), Item("b", "b.nii", "b", "b")], rank=1, size=2)
        {'b'}
    """
    counts = Counter(item.volume for item in items)
    own = shares_by_weight(list(counts.values()), size)[rank]
    return set(list(counts)[own.start : own.stop])
