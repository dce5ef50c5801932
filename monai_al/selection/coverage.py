# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Groups of items, such as patients, and how many labeled and chosen items each has."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import check_labeled

__all__ = ["Coverage", "check_groups", "spread"]


def check_groups(groups: ArrayLike, n: int) -> np.ndarray:
    """Groups ``(N,)`` as int64 numbers from 0.

    Args:
        groups: the group of each item: a name or a whole number.
        n: how many items there are.

    Raises:
        ValueError: they are neither names nor whole numbers, or not one per item.

    Example:
        >>> check_groups(["p2", "p1", "p2"], 3).tolist()
        [1, 0, 1]
        >>> check_groups(["p2", None, "p2"], 3)
        Traceback (most recent call last):
        ...
        ValueError: groups must be names or whole numbers, one for each item, but that of item 1 is None
    """
    names = np.asarray(groups)
    if names.shape != (n,):
        raise ValueError(f"groups must have the shape ({n},), one for each item, got {names.shape}")
    if names.dtype.kind not in "iuUS":
        i = next((i for i, name in enumerate(names.tolist()) if not isinstance(name, str)), 0)
        raise ValueError(
            f"groups must be names or whole numbers, one for each item, but that of item {i} is {names[i]!r}"
        )
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def spread(ranking: np.ndarray, groups: ArrayLike, n: int, labeled: ArrayLike = ()) -> np.ndarray:
    """A ranking in which the groups take turns, those with the fewest labeled items first.

    Again and again, of the groups with the fewest labeled and earlier items among those that have any left, the one
    whose best item stands first in the ranking gives that item.

    Args:
        ranking: ``(k,)`` distinct indices of unlabeled items, the best first.
        groups: ``(N,)`` names or whole numbers.
        n: N, how many items there are.
        labeled: indices of the labeled items.

    Returns:
        The same indices ``(k,)`` in another order, int64.

    Raises:
        ValueError: ``groups`` are not one name or whole number for each item, or a ``labeled`` index is wrong.

    Example:
        >>> spread(np.array([1, 2, 3, 4]), ["a", "a", "a", "b", "b"], 5, labeled=[0])
        array([3, 1, 4, 2])
    """
    group = check_groups(groups, n)
    own = group[ranking]
    order = np.argsort(own, kind="stable")
    earlier = np.empty(len(own), dtype=np.int64)  # items of the same group that stand before it
    earlier[order] = np.arange(len(own)) - np.searchsorted(own[order], own[order])
    before = np.bincount(group[check_labeled(labeled, n)], minlength=group.max() + 1)[own] + earlier
    return ranking[np.argsort(before, kind="stable")]


class Coverage:
    """Which items may be chosen next, so that no group gets ahead of another one that has items left.

    Args:
        groups: ``(N,)`` names or whole numbers.
        n: N, how many items there are.
        labeled: indices of the labeled items.

    Raises:
        ValueError: see :func:`spread`.

    Example:
        >>> coverage = Coverage(["a", "a", "b", "b"], 4, labeled=[0])
        >>> coverage.behind().tolist()
        [False, False, True, True]
        >>> coverage.add(2)
        >>> coverage.behind().tolist()
        [True, True, True, True]
    """

    def __init__(self, groups: ArrayLike, n: int, labeled: ArrayLike = ()) -> None:
        self._group = check_groups(groups, n)
        self._size = np.bincount(self._group)
        self._count = np.bincount(self._group[check_labeled(labeled, n)], minlength=len(self._size))

    def behind(self) -> np.ndarray:
        """Bool ``(N,)``: the items of the groups with the fewest labeled and chosen ones, of those with any left."""
        open_ = self._count < self._size
        fewest = self._count[open_].min(initial=np.iinfo(np.int64).max)
        return (open_ & (self._count == fewest))[self._group]

    def add(self, item: int) -> None:
        """Count an item as chosen.

        Args:
            item: its index.
        """
        self._count[self._group[item]] += 1
