# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Patients and volumes of a pool: what is left of them, and where their slices lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from monai_al.records import Item, Pool, Round

__all__ = ["extents", "fewest_first", "labeled_of", "nearest", "number", "unlabeled_of"]


def unlabeled_of(round: Round, level: str) -> dict[str, list[int]]:
    """Positions of the unlabeled items of each group that has any, in the order of the pool.

    Args:
        round: the state of the pool.
        level: ``"patient"`` or ``"volume"``.

    Example:
        >>> pool = Pool([Item("v/0", "v", "v", "p", slice=0), Item("v/1", "v", "v", "p", slice=1)])
        >>> unlabeled_of(Round(1, pool, labeled=[0], seed=0), "patient")
        {'p': [1]}
    """
    groups: dict[str, list[int]] = {}
    for i in round.unlabeled.tolist():
        groups.setdefault(getattr(round.pool[i], level), []).append(i)
    return groups


def labeled_of(round: Round, level: str) -> Counter[str]:
    """How many items of each group are labeled or asked for, 0 for a group without.

    Args:
        round: the state of the pool.
        level: ``"patient"`` or ``"volume"``.

    Example:
        >>> labeled_of(Round(1, Pool([Item("a", "a", "a", "p")]), labeled=[0], seed=0), "patient")["p"]
        1
    """
    return Counter(getattr(round.pool[i], level) for i in round.labeled.tolist())


def fewest_first(names: Iterable[str], counts: Mapping[str, int], rng: np.random.Generator) -> list[str]:
    """Names by their counts, the fewest first; equal ones in a drawn order.

    Example:
        >>> fewest_first(["a", "b"], Counter(a=2, b=1), np.random.default_rng(0))
        ['b', 'a']
    """
    names = list(names)
    return sorted((names[i] for i in rng.permutation(len(names))), key=lambda name: counts[name])


def extents(pool: Pool) -> dict[str, tuple[int, int]]:
    """First slice number of each volume, and how many slices there are from it to the last one.

    A whole image or volume counts as one slice.

    Example:
        >>> extents(Pool([Item("v/2", "v", "v", "v", slice=2), Item("v/5", "v", "v", "v", slice=5)]))
        {'v': (2, 4)}
    """
    numbers: dict[str, list[int]] = {}
    for item in pool:
        numbers.setdefault(item.volume, []).append(number(item))
    return {volume: (min(found), max(found) - min(found) + 1) for volume, found in numbers.items()}


def nearest(pool: Pool, positions: Sequence[int], place: float) -> int:
    """The one of several items of a volume whose slice number is nearest to a place; of two, the lower.

    Args:
        pool: the pool.
        positions: positions in the pool.
        place: in slice numbers: 2.5 lies between the slices 2 and 3.

    Example:
        >>> pool = Pool([Item(f"v/{z}", "v", "v", "v", slice=z) for z in range(4)])
        >>> nearest(pool, [3, 1, 0], 2.0)
        1
    """
    return min(positions, key=lambda i: (round(abs(number(pool[i]) - place), 6), number(pool[i]), i))


def number(item: Item) -> int:
    """An item's slice number; a whole image or volume has 0.

    Example:
        >>> number(Item("v/7", "v", "v", "v", slice=7))
        7
    """
    return 0 if item.slice is None else item.slice
