# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items with the highest scores, spread over groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import candidates, check_scores
from monai_al.selection.coverage import spread
from monai_al.selection.top_k import top_k

__all__ = ["stratified"]


def stratified(
    scores: ArrayLike,
    budget: int,
    groups: ArrayLike,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Again and again the group with the fewest labeled and chosen items gives the one that scores highest.

    A group whose items are all labeled or chosen gives no more. Of groups with equally many, the one whose best item
    scores highest goes first: the scores choose among the groups, too, and all ties break by index. So the numbers of
    labeled and chosen items of the groups that have items left grow to differ by at most 1; with one group it is
    :func:`~monai_al.selection.top_k`. An item that scores ``-inf`` comes last in its group, and last among those of
    groups with equally many, in an order drawn from ``rng``.

    Args:
        scores: ``(N,)``, higher = more informative.
        budget: how many items.
        groups: ``(N,)`` names or whole numbers, such as the patient of each item.
        labeled: indices that may not be chosen; they count for their groups.
        rng: draws the order of the ``-inf`` items; default: a fresh generator with the seed 0.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: ``groups`` are not one name or whole number for each item, or see
            :func:`~monai_al.selection.top_k`.

    Example:
        >>> scores, patients = [0.9, 0.8, 0.7, 0.1, 0.2], ["a", "a", "a", "b", "c"]
        >>> stratified(scores, budget=4, groups=patients)
        array([0, 4, 3, 1])
        >>> stratified(scores, budget=2, groups=patients, labeled=[0])
        array([4, 3])
    """
    values = check_scores(scores)
    unlabeled, budget = candidates(len(values), budget, labeled)
    ranking = top_k(values, len(unlabeled), labeled, rng)
    return spread(ranking, groups, len(values), labeled)[:budget]
