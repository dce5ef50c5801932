# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The batches of a training, each shared out among the processes that train together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch.distributed as dist
from torch.utils.data import Sampler

__all__ = ["DealtBatches", "deal"]


def deal(batches: Iterable[Sequence[Any]], size: int) -> list[list[Any]]:
    """Batches of which every process gets a share, each thing once.

    A batch with fewer things than there are processes, as the last of an epoch may be, takes from the one before.

    Args:
        batches: what each holds.
        size: number of processes.

    Raises:
        ValueError: there are too few things.

    Example:
        >>> deal([[1, 2, 3, 4], [5]], size=2)
        [[1, 2, 3], [4, 5]]
    """
    filled = [list(batch) for batch in batches]
    for number in range(len(filled) - 1, -1, -1):
        lacks = size - len(filled[number])
        if lacks > 0 and number > 0:
            before = filled[number - 1]
            filled[number] = before[-lacks:] + filled[number]
            del before[-lacks:]
        elif lacks > 0:
            raise ValueError(
                f"{size} processes cannot share a batch of {len(filled[number])}: start fewer processes "
                "(--nproc_per_node), or raise --batch_size or --budget"
            )
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
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[Any]]:
        """The shares of an epoch."""
        drawn = [deal(self.batches, self.size) if self.rank == 0 else None]
        if self.size > 1:
            dist.broadcast_object_list(drawn, src=0, group=self.group)
        for batch in drawn[0] or ():
            yield batch[self.rank :: self.size]
