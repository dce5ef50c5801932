# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One ranking from two."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import check_scores, tie_rng
from monai_al.selection.top_k import top_k

__all__ = ["merge_alternating"]


def merge_alternating(
    first: ArrayLike,
    second: ArrayLike,
    budget: int,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Pick from two rankings in turn, the first one first; each turn takes its best item not chosen yet.

    The merge of S. Ma et al., "Breaking the barrier: selective uncertainty-based active learning for medical image
    segmentation", 2024, eq. 5, filled up to exactly ``budget`` where the two halves overlap. Each list ranks as in
    :func:`~monai_al.selection.top_k`; of an odd budget the first list gives one more.

    Args:
        first: scores ``(N,)``, higher = more informative.
        second: scores ``(N,)`` of the same items.
        budget: how many items.
        labeled: indices that may not be chosen.
        rng: draws the order of the ``-inf`` items, for the first list first; default: a fresh generator with the
            seed 0.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order; even positions come from the first list, odd ones from the
        second.

    Raises:
        ValueError: the two lists differ in length, or see :func:`~monai_al.selection.top_k`.

    Example:
        >>> merge_alternating([9, 8, 7, 6, 0, 0], [8, 9, 0, 0, 7, 6], budget=5)
        array([0, 1, 2, 4, 3])
    """
    lists = check_scores(first, "first"), check_scores(second, "second")
    if len(lists[0]) != len(lists[1]):
        raise ValueError(f"the two lists must score the same items, got {len(lists[0])} and {len(lists[1])} scores")
    generator = tie_rng(rng)
    rankings = [iter(top_k(scores, budget, labeled, generator).tolist()) for scores in lists]
    chosen: dict[int, None] = {}
    for turn in range(budget):
        index = next(i for i in rankings[turn % 2] if i not in chosen)
        chosen[index] = None
    return np.fromiter(chosen, dtype=np.int64, count=len(chosen))
