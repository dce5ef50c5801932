# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How many items of a query each class chooses."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from monai_al.selection.check import check_budget, tie_rng

__all__ = ["check_share", "class_shares"]


def class_shares(budget: int, share: float, n_classes: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Equal parts of a share of the budget for classes, and the rest.

    The classes have floor(share * budget) items, each floor(that / n_classes) of them; those left over go to drawn
    classes, one each.

    Args:
        budget: how many items in all.
        share: of the classes, in [0, 1].
        n_classes: how many classes, at least 1.
        rng: draws the classes that get one more; default: a fresh generator with the seed 0.

    Returns:
        ``(n_classes + 1,)`` int64 that add up to the budget; the last is the rest.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> class_shares(20, 0.66, 2).tolist()
        [7, 6, 7]
        >>> class_shares(100, 0.66, 3).tolist()
        [22, 22, 22, 34]
    """
    budget = check_budget(budget, budget)
    check_share(share)
    if n_classes < 1:
        raise ValueError(f"n_classes must be at least 1, got {n_classes!r}")
    total = int(Fraction(repr(float(share))) * budget)  # exact: 0.66 of 50 is 33
    each, left = divmod(total, n_classes)
    shares = np.full(n_classes + 1, each, dtype=np.int64)
    shares[tie_rng(rng).permutation(n_classes)[:left]] += 1
    shares[-1] = budget - total
    return shares


def check_share(share: Any, name: str = "share") -> None:
    """Refuse what is no share.

    Args:
        share: what should be one.
        name: what the error calls it.

    Raises:
        ValueError: it is no number in [0, 1].

    Example:
        >>> check_share(66)
        Traceback (most recent call last):
        ...
        ValueError: share must be a number from 0 to 1, got 66
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {share!r}")
