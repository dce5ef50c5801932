# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The best of many batches drawn at random."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import candidates, check_scores, tie_rng
from monai_al.selection.top_k import top_k

__all__ = ["stochastic_batches"]

_REDUCTIONS: Mapping[str, Callable[[np.ndarray], np.floating]] = MappingProxyType(
    {"mean": np.mean, "max": np.max, "sum": np.sum}
)


def stochastic_batches(
    scores: ArrayLike,
    budget: int,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
    *,
    n_batches: int | None = None,
    partition: bool = False,
    reduction: str = "mean",
) -> np.ndarray:
    """Draw batches of ``budget`` unlabeled items at random, and take the one with the highest score, as a whole.

    M. Gaillochet, C. Desrosiers, H. Lombaert, "Active learning for medical image segmentation with stochastic batches",
    2023, section 2. Each of the Q batches is drawn uniformly and on its own: no item stands twice in a batch, but two
    batches may share items. Of equal batches the one drawn first wins. One batch, or equal scores, is random choice;
    the more batches, the nearer to :func:`~monai_al.selection.top_k`. For N unlabeled items and the default Q, time
    grows with N and memory does not depend on Q.

    Args:
        scores: ``(N,)``, higher = more informative; ``-inf`` counts as the smallest finite score of the unlabeled.
        budget: how many items: the size B of a batch.
        labeled: indices that may not be chosen.
        rng: draws the batches, and then the order of the ``-inf`` items in the answer; default: a fresh generator with
            the seed 0.
        n_batches: Q; default: floor(N / B) of the N unlabeled items, as in the paper.
        partition: cut one permutation of the unlabeled items into disjoint batches instead, as the paper's authors do
            in their code; the N - Q * B items left over cannot be chosen.
        reduction: score of a batch: ``"mean"``, ``"max"`` or ``"sum"`` of its items' scores.

    Returns:
        ``(budget,)`` distinct int64 indices in the order of :func:`~monai_al.selection.top_k`: the highest score first.

    Raises:
        ValueError: ``n_batches`` is no whole number of at least 1 or more than a partition has, the reduction is
            unknown, or see :func:`~monai_al.selection.top_k`.

    Example:
        >>> scores = [0.1, 0.9, 0.5, 0.4, 0.8, 0.2]
        >>> stochastic_batches(scores, budget=2, labeled=[1], rng=np.random.default_rng(1), n_batches=100)
        array([4, 2])
    """
    values = check_scores(scores)
    unlabeled, budget = candidates(len(values), budget, labeled)
    batch_score = _reduction(reduction)
    _check_n_batches(n_batches)
    if budget == 0:
        return np.empty(0, dtype=np.int64)
    generator = tie_rng(rng)
    most = len(unlabeled) // budget
    n_batches = most if n_batches is None else n_batches
    if partition and n_batches > most:
        raise ValueError(
            f"n_batches = {n_batches}, but {len(unlabeled)} unlabeled items make only {most} disjoint batches of "
            f"{budget}"
        )
    draw = _disjoint if partition else _independent
    batches = draw(len(unlabeled), budget, n_batches, generator)
    counted = _with_smallest_finite(values[unlabeled])
    best = np.sort(unlabeled[_highest(batches, counted, batch_score)])
    return best[top_k(values[best], budget, rng=generator)].astype(np.int64, copy=False)


def _independent(n: int, size: int, n_batches: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(n_batches):
        yield rng.choice(n, size, replace=False, shuffle=False)


def _disjoint(n: int, size: int, n_batches: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(n)
    for start in range(0, n_batches * size, size):
        yield order[start : start + size]


def _highest(
    batches: Iterator[np.ndarray], values: np.ndarray, batch_score: Callable[[np.ndarray], np.floating]
) -> np.ndarray:
    best = next(batches)
    highest = batch_score(values[best])
    for batch in batches:
        score = batch_score(values[batch])
        if score > highest:
            best, highest = batch, score
    return best


def _with_smallest_finite(values: np.ndarray) -> np.ndarray:
    """The values with ``-inf`` as the smallest other one; zeros where nothing is finite."""
    finite = values > -np.inf
    if finite.all():
        return values
    return np.where(finite, values, values[finite].min()) if finite.any() else np.zeros(len(values))


def _reduction(name: str) -> Callable[[np.ndarray], np.floating]:
    if name not in _REDUCTIONS:
        raise ValueError(f"reduction {name!r} is none of {', '.join(_REDUCTIONS)}")
    return _REDUCTIONS[name]


def _check_n_batches(n_batches: int | None) -> None:
    if n_batches is None:
        return
    try:
        if isinstance(n_batches, bool | np.bool_) or operator.index(n_batches) < 1:
            raise TypeError
    except TypeError:
        raise ValueError(f"n_batches must be a whole number of at least 1, got {n_batches!r}") from None
