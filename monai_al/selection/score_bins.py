# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The lowest scores, the highest ones, and some between: parts of a histogram of the scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import candidates, check_labeled, check_scores, tie_rng

__all__ = ["check_quotas", "largest_remainder", "last_bin", "lowest_highest_middle", "modal_bin"]

QUOTAS = (10, 10, 15)  # lowest, highest, middle
BINS = 80
BEYOND_MODE, BEFORE_END = 6, 33  # bins that the middle part leaves out


def lowest_highest_middle(
    scores: ArrayLike,
    budget: int,
    quotas: Sequence[int] = QUOTAS,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Items with the lowest scores, then ones with the highest, then ones drawn from the middle of their histogram.

    M. Gorriz et al., "Cost-effective active learning for melanoma segmentation", 2017, with the numbers of their code:
    10, 10 and 15 of 35 items, 80 bins of equal width, and a middle that begins 6 bins above the fullest bin and ends 33
    bins before the last one's end. The quotas are scaled to the budget by :func:`largest_remainder`. Where too few
    items are left in the middle it is widened bin by bin on both sides. Ties break by index; of bins that are equally
    full the lowest is the fullest. Items that score ``-inf`` stand in no bin and come last, in an order drawn from
    ``rng``.

    Args:
        scores: ``(N,)``, higher = more informative.
        budget: how many items.
        quotas: the proportions of lowest, highest and middle.
        labeled: indices that may not be chosen; they are not in the histogram.
        rng: draws from the middle; default: a fresh generator with the seed 0.

    Returns:
        ``(budget,)`` distinct int64 indices: the lowest from below, the highest from above, the middle ones as drawn.

    Raises:
        ValueError: see :func:`check_quotas` and :func:`~monai_al.selection.top_k`.

    Example:
        >>> lowest_highest_middle([0.0, 0.1, 0.2, 5.0, 9.0, 10.0], budget=3).tolist()
        [0, 5, 3]
    """
    values = check_scores(scores)
    unlabeled, budget = candidates(len(values), budget, labeled)
    rng = tie_rng(rng)
    ranked = unlabeled[values[unlabeled] > -np.inf]
    n_lowest, n_highest, n_middle = largest_remainder(min(budget, len(ranked)), quotas)
    upwards = ranked[np.argsort(values[ranked], kind="stable")]
    lowest, rest = upwards[:n_lowest], np.sort(upwards[n_lowest:])
    downwards = rest[np.argsort(-values[rest], kind="stable")]
    highest, rest = downwards[:n_highest], np.sort(downwards[n_highest:])
    bins = dict(zip(ranked.tolist(), _bins(values[ranked]), strict=True))
    middle = _drawn_from_middle(
        rest, np.array([bins[i] for i in rest.tolist()]), n_middle, _fullest([*bins.values()]), rng
    )
    last = rng.permutation(np.setdiff1d(unlabeled, ranked))[: budget - len(lowest) - len(highest) - len(middle)]
    return np.concatenate([lowest, highest, middle, last]).astype(np.int64, copy=False)


def modal_bin(scores: ArrayLike, labeled: ArrayLike = ()) -> np.ndarray:
    """Items in the fullest of 80 bins of equal width, of equally full ones the lowest.

    Args:
        scores: ``(N,)``; ``-inf`` stands in no bin.
        labeled: indices that do not count.

    Returns:
        int64 indices, ascending.

    Raises:
        ValueError: a score is NaN or +inf, or a ``labeled`` index is out of range or occurs twice.

    Example:
        >>> modal_bin([0.0, 0.01, 0.02, 5.0, 9.0], labeled=[1])
        array([0, 2])
    """
    values = check_scores(scores)
    counted = np.setdiff1d(np.flatnonzero(values > -np.inf), check_labeled(labeled, len(values)))
    if len(counted) == 0:
        return counted
    bins = _bins(values[counted])
    return counted[bins == _fullest(bins)]


def last_bin(values: ArrayLike, n_bins: int = 10) -> np.ndarray:
    """Items in the highest of some bins of equal width; where all are equal, all of them.

    Args:
        values: ``(N,)``, finite.
        n_bins: how many bins.

    Returns:
        int64 indices, ascending.

    Example:
        >>> last_bin([0.0, 0.89, 0.91, 1.0])
        array([2, 3])
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        return np.empty(0, dtype=np.int64)
    low, high = numbers.min(), numbers.max()
    return np.flatnonzero(numbers >= low + (high - low) * (n_bins - 1) / n_bins)


def largest_remainder(total: int, quotas: Sequence[int]) -> list[int]:
    """Whole numbers in given proportions that add up to a total.

    Each part is rounded down; what is left goes one by one to those that lost most, of equal ones to the first.

    Args:
        total: what they add up to, at least 0.
        quotas: the proportions.

    Raises:
        ValueError: see :func:`check_quotas`.

    Example:
        >>> largest_remainder(35, [10, 10, 15]), largest_remainder(10, [10, 10, 15])
        ([10, 10, 15], [3, 3, 4])
    """
    check_quotas(quotas)
    whole = sum(quotas)
    parts = [total * quota // whole for quota in quotas]
    by_loss = sorted(range(len(quotas)), key=lambda i: -(total * quotas[i] % whole))
    for i in by_loss[: total - sum(parts)]:
        parts[i] += 1
    return parts


def check_quotas(quotas: Sequence[int]) -> None:
    """Refuse what are no proportions.

    Raises:
        ValueError: they are not whole numbers of at least 0, with one above 0.

    Example:
        >>> check_quotas([0, 0])
        Traceback (most recent call last):
        ...
        ValueError: quotas must be whole numbers of at least 0, one of them above 0, got [0, 0]
    """
    whole = all(isinstance(quota, int) and not isinstance(quota, bool) and quota >= 0 for quota in quotas)
    if not whole or not any(quotas):
        raise ValueError(f"quotas must be whole numbers of at least 0, one of them above 0, got {list(quotas)!r}")


def _bins(values: np.ndarray) -> np.ndarray:
    """The bin of each finite value, int64 from 0 to 79."""
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    if high == low:
        return np.zeros(len(values), dtype=np.int64)
    return np.minimum((values - low) / (high - low) * BINS, BINS - 1).astype(np.int64)


def _fullest(bins: ArrayLike) -> int:
    return int(np.bincount(np.asarray(bins, dtype=np.int64), minlength=BINS).argmax())


def _drawn_from_middle(
    rest: np.ndarray, bins: np.ndarray, number: int, mode: int, rng: np.random.Generator
) -> np.ndarray:
    """Some of the items that are left, from a middle that is wide enough."""
    low, end = mode + BEYOND_MODE, BINS - BEFORE_END
    while np.count_nonzero(inside := (bins >= low) & (bins < end)) < number:
        low, end = low - 1, end + 1
    return rng.permutation(rest[inside])[:number]
