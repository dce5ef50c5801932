# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The rules that every selection function keeps."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["DEFAULT_SEED", "candidates", "check_budget", "check_labeled", "check_scores", "tie_rng"]

DEFAULT_SEED = 0
"""Seed of the generator that is used where none is given."""


def check_scores(scores: ArrayLike, name: str = "scores") -> np.ndarray:
    """Scores ``(N,)`` as float64; ``-inf`` is allowed and means "rank last".

    Raises:
        ValueError: not one-dimensional, empty, NaN or +inf; the message says which index.

    Example:
        >>> check_scores([0.5, float("nan")])
        Traceback (most recent call last):
        ...
        ValueError: scores[1] is nan: a score must be finite, or -inf to rank last
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name} must have the shape (N,), got {values.shape}")
    if len(values) == 0:
        raise ValueError(f"{name} are empty: there is nothing to choose from")
    wrong = np.isnan(values) | (values == np.inf)
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"{name}[{i}] is {values[i]}: a score must be finite, or -inf to rank last")
    return values


def check_labeled(labeled: ArrayLike, n: int) -> np.ndarray:
    """Indices of the labeled items as int64, in the given order.

    Raises:
        ValueError: not integers, out of range or twice; the message says which index.

    Example:
        >>> check_labeled([2, 2], 5)
        Traceback (most recent call last):
        ...
        ValueError: labeled index 2 occurs twice
    """
    indices = np.asarray(labeled)
    if indices.size == 0:
        return np.empty(0, dtype=np.int64)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"labeled must be a list of integers, got {indices.dtype} with shape {indices.shape}")
    outside = (indices < 0) | (indices >= n)
    if outside.any():
        raise ValueError(f"labeled index {indices[outside.argmax()]} is out of range for a pool of {n} items")
    values, counts = np.unique(indices, return_counts=True)
    if len(values) < len(indices):
        raise ValueError(f"labeled index {values[(counts > 1).argmax()]} occurs twice")
    return indices.astype(np.int64)


def check_budget(budget: Any, unlabeled: int) -> int:
    """The budget as an int.

    Raises:
        ValueError: not a whole number, negative, or more than there are unlabeled items.

    Example:
        >>> check_budget(7, 5)
        Traceback (most recent call last):
        ...
        ValueError: budget 7 is more than the 5 unlabeled items
    """
    try:
        if isinstance(budget, bool | np.bool_):
            raise TypeError
        number = operator.index(budget)
    except TypeError:
        raise ValueError(f"budget must be a whole number of items, got {budget!r}") from None
    if number < 0:
        raise ValueError(f"budget must not be negative, got {number}")
    if number > unlabeled:
        raise ValueError(f"budget {number} is more than the {unlabeled} unlabeled items")
    return number


def candidates(n: int, budget: Any, labeled: ArrayLike = ()) -> tuple[np.ndarray, int]:
    """The indices that may be chosen, ascending, and the checked budget.

    Args:
        n: number of items in the pool.
        budget: how many are to be chosen.
        labeled: indices that may not be chosen.

    Raises:
        ValueError: an empty pool, a budget that does not fit, or a wrong ``labeled`` index.

    Example:
        >>> candidates(4, 2, labeled=[1])
        (array([0, 2, 3]), 2)
    """
    if n == 0:
        raise ValueError("the pool is empty: there is nothing to choose from")
    free = np.ones(n, dtype=bool)
    free[check_labeled(labeled, n)] = False
    unlabeled = np.flatnonzero(free)
    return unlabeled, check_budget(budget, len(unlabeled))


def tie_rng(rng: np.random.Generator | None) -> np.random.Generator:
    """The given generator, or a fresh one with the fixed seed 0, so that equal calls give equal answers.

    Example:
        >>> int(tie_rng(None).integers(100)) == int(tie_rng(None).integers(100))
        True
    """
    return np.random.default_rng(DEFAULT_SEED) if rng is None else rng
