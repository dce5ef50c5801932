# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The batches of a training, each shared out among the processes that train together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch.distributed as dist
from torch.utils.data import BatchSampler, Sampler

__all__ = ["DealtBatches", "deal"]


def deal(batches: Iterable[Sequence[Any]], size: int) -> list[list[Any]]:
    """Batches of which every process gets a share, each thing once.

    A batch with fewer things than there are processes, as the last of an epoch may be, takes from those before; where
    they have none to spare it joins the one before.

    Args:
        batches: what each holds.
        size: number of processes.

    Raises:
        ValueError: the first batch has fewer things than there are processes.

    Example:
        >>> deal([[1, 2, 3, 4], [5]], size=2), deal([[1, 2], [3]], size=2)
        ([[1, 2, 3], [4, 5]], [[1, 2, 3]])
    """
    filled = [list(batch) for batch in batches]
    if filled and len(filled[0]) < size:
        raise ValueError(
            f"{size} processes cannot share a batch of {len(filled[0])}: start fewer processes (--nproc_per_node), or "
            "raise --batch_size or --budget"
        )
    while len(filled) > 1 and sum(map(len, filled)) < len(filled) * size:
        last = filled.pop()
        filled[-1] += last
    for number in range(len(filled) - 1, 0, -1):
        lacks = size - len(filled[number])
        if lacks > 0:
            before = filled[number - 1]
            filled[number] = before[-lacks:] + filled[number]
            del before[-lacks:]
    return filled


class DealtBatches(Sampler[list[Any]]):
    """Of each batch the share of this process. What a step sees is what it sees in one process.

    The first process draws the batches of an epoch and tells the others.

    Args:
        batches: draws the batches of an epoch each time it is iterated, always as many.
        rank: number of this process.
        size: number of processes.
        group: of all processes; not needed by a process alone.

    Raises:
        ValueError: see :func:`deal`.

    Example:
        >>> list(DealtBatches([[1, 2, 3], [4]], rank=0, size=1))
        [[1, 2, 3], [4]]
    """

    def __init__(
        self, batches: Iterable[Sequence[Any]], rank: int, size: int, group: dist.ProcessGroup | None = None
    ) -> None:
        self.batches, self.rank, self.size, self.group = batches, rank, size, group

    def __len__(self) -> int:
        """Number of batches."""
        if type(self.batches) is not BatchSampler:
            return len(self.batches)  # type: ignore[arg-type]
        n, batch_size = len(self.batches.sampler), self.batches.batch_size  # type: ignore[arg-type]
        whole, rest = divmod(n, batch_size)
        sizes = [batch_size] * whole + [rest] * (rest > 0 and not self.batches.drop_last)
        return len(deal([[None] * size for size in sizes], self.size))

    def __iter__(self) -> Iterator[list[Any]]:
        """The shares of an epoch."""
        drawn = [self._dealt() if self.rank == 0 else None]
        if self.size > 1:
            dist.broadcast_object_list(drawn, src=0, group=self.group)
        for batch in drawn[0] or ():
            yield batch[self.rank :: self.size]

    def _dealt(self) -> list[list[Any]]:
        dealt = deal(self.batches, self.size)
        if len(dealt) != len(self):
            raise ValueError(
                f"the batches of this sampler are too small for {self.size} processes, its {len(self)} batches fill "
                f"{len(dealt)}: start fewer processes (--nproc_per_node), or let it draw larger batches"
            )
        return dealt
