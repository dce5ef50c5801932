# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items with the highest scores, with noise on the logarithm of the scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import candidates, check_labeled, check_scores, tie_rng
from monai_al.selection.coverage import spread
from monai_al.selection.top_k import top_k

__all__ = ["check_beta", "geometric", "power_noise"]


def power_noise(
    scores: ArrayLike,
    budget: int,
    beta: float = 1.0,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
    *,
    groups: ArrayLike | None = None,
) -> np.ndarray:
    """Draw items one after the other, each with a probability in proportion to its score to the power ``beta``.

    A. Kirsch, S. Farquhar, P. Atighehchian, A. Jesson, F. Branchaud-Charron, Y. Gal, "Stochastic batch acquisition: a
    simple baseline for deep active learning", TMLR 2023, the power variant: the ``budget`` highest ``log(score) +
    Gumbel(0, 1 / beta)``, which is the same. A small ``beta`` is nearly random choice among the items with a score
    above 0, a large one nearly :func:`~monai_al.selection.top_k`, and infinity is that.

    A score of 0 or below has no chance beside one above 0: such items come after all those, the highest first; ties
    break by index. Items that score ``-inf`` come last, in an order drawn from ``rng``.

    Args:
        scores: ``(N,)``, higher = more informative; best ones that have a natural 0, as uncertainties do.
        budget: how many items.
        beta: above 0; infinity means no noise.
        labeled: indices that may not be chosen.
        rng: draws the noise, and then the order of the ``-inf`` items; default: a fresh generator with the seed 0.
        groups: ``(N,)`` names or whole numbers, such as the patient of each item, that take turns as in
            :func:`~monai_al.selection.stratified`; None: all items are drawn from alike.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: ``beta`` is not above 0, ``groups`` are not one name or whole number for each item, or see
            :func:`~monai_al.selection.top_k`.

    Example:
        >>> scores = [0.1, 0.9, 0.0, 0.5]
        >>> power_noise(scores, budget=4, beta=100).tolist()
        [1, 3, 0, 2]
        >>> sorted({int(power_noise(scores, 1, 0.01, rng=np.random.default_rng(seed))[0]) for seed in range(20)})
        [0, 1, 3]
    """
    values = check_scores(scores)
    unlabeled, budget = candidates(len(values), budget, labeled)
    beta = check_beta(beta)
    generator = tie_rng(rng)
    positive = unlabeled[values[unlabeled] > 0]
    noise = generator.gumbel(size=len(positive))
    logs = np.log(values[positive])
    noisy = logs + noise / beta if beta >= 1 else beta * logs + noise  # the same order, and no overflow
    wanted = budget if groups is None else len(unlabeled)
    first = positive[top_k(noisy, min(wanted, len(positive)))] if len(positive) else positive
    rest = top_k(values, wanted - len(first), np.concatenate([check_labeled(labeled, len(values)), first]), generator)
    ranking = np.concatenate([first, rest])
    return ranking if groups is None else spread(ranking, groups, len(values), labeled)[:budget]


def geometric(first: float, last: float, step: int, steps: int) -> float:
    """The number of one of several steps, each of which multiplies the one before by the same factor.

    Args:
        first: of step 0, above 0.
        last: of step ``steps - 1``, above 0.
        step: counted from 0; later ones than the last have the last one's.
        steps: how many steps there are.

    Example:
        >>> [round(geometric(1, 100, step, 5), 1) for step in range(5)]
        [1.0, 3.2, 10.0, 31.6, 100.0]
    """
    if step < 1:
        return float(first)
    return float(last) if step >= steps - 1 else float(first) * (last / first) ** (step / (steps - 1))


def check_beta(beta: Any) -> float:
    """The power as a float.

    Raises:
        ValueError: it is no number above 0.

    Example:
        >>> check_beta(0)
        Traceback (most recent call last):
        ...
        ValueError: beta must be a number above 0, got 0
    """
    try:
        if isinstance(beta, bool | np.bool_ | str) or math.isnan(number := float(beta)) or number <= 0:
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(f"beta must be a number above 0, got {beta!r}") from None
    return number
