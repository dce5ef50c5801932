# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items with the highest scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import candidates, check_scores, tie_rng

__all__ = ["top_k"]


def top_k(
    scores: ArrayLike, budget: int, labeled: ArrayLike = (), rng: np.random.Generator | None = None
) -> np.ndarray:
    """The ``budget`` unlabeled items with the highest scores, highest first.

    Ties break by index. Items that score ``-inf`` come last, in an order drawn from ``rng``.

    Args:
        scores: ``(N,)``, higher = more informative.
        budget: how many items.
        labeled: indices that may not be chosen.
        rng: draws the order of the ``-inf`` items; default: a fresh generator with the seed 0.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: a score is NaN or +inf, the pool is empty, the budget does not fit, or a ``labeled`` index is out of
            range or occurs twice.

    Example:
        >>> top_k([0.1, 0.9, 0.5, 0.9], budget=2, labeled=[1])
        array([3, 2])
    """
    values = check_scores(scores)
    unlabeled, budget = candidates(len(values), budget, labeled)
    values = values[unlabeled]
    ranked = np.flatnonzero(values > -np.inf)
    best = ranked[_highest(values[ranked], min(budget, len(ranked)))]
    if len(best) < budget:
        last = tie_rng(rng).permutation(np.flatnonzero(values == -np.inf))
        best = np.concatenate([best, last[: budget - len(best)]])
    return unlabeled[best].astype(np.int64, copy=False)


def _highest(values: np.ndarray, k: int) -> np.ndarray:
    if k == 0:
        return np.empty(0, dtype=np.int64)
    smallest_kept = np.partition(values, len(values) - k)[len(values) - k]
    kept = np.flatnonzero(values >= smallest_kept)
    return kept[np.argsort(-values[kept], kind="stable")][:k]
