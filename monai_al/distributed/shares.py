# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which part of a row of things is whose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["share_of", "shares_by_weight"]


def share_of(n: int, rank: int, size: int) -> range:
    """The positions of one of several processes: one run of neighbors each, as equal as can be.

    Args:
        n: how many things there are.
        rank: number of the process.
        size: number of processes.

    Example:
        >>> [list(share_of(5, rank, 2)) for rank in range(2)]
        [[0, 1], [2, 3, 4]]
    """
    return range(n * rank // size, n * (rank + 1) // size)


def shares_by_weight(weights: Sequence[float], size: int) -> list[range]:
    """Runs of neighbors of about equal total weight, one for each process; together they are everything.

    Args:
        weights: ``(n,)``, what each thing costs, above 0.
        size: number of processes.

    Example:
        >>> shares_by_weight([3, 1, 1, 1], 2)
        [range(0, 1), range(1, 4)]
    """
    ends = np.cumsum(np.asarray(weights, dtype=np.float64))
    total = ends[-1] if len(ends) else 0.0
    middles = ends - np.asarray(weights, dtype=np.float64) / 2
    cuts = [0, *(int(np.searchsorted(middles, total * rank / size)) for rank in range(1, size)), len(ends)]
    return [range(start, stop) for start, stop in zip(cuts[:-1], cuts[1:], strict=True)]
