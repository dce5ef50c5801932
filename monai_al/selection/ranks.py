# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The place of every item in a ranking."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import check_labeled, check_scores

__all__ = ["ranks"]


def ranks(scores: ArrayLike, labeled: ArrayLike = ()) -> np.ndarray:
    """The rank of every unlabeled item in the order of :func:`~monai_al.selection.top_k`, 1 for the best.

    Args:
        scores: ``(N,)``, higher = more informative.
        labeled: indices that stand in no ranking.

    Returns:
        ``(N,)`` int64; 0 for labeled items and for those that score ``-inf``.

    Raises:
        ValueError: a score is NaN or +inf, or a ``labeled`` index is out of range or occurs twice.

    Example:
        >>> ranks([0.1, 0.9, 0.5, 0.9], labeled=[1])
        array([3, 0, 2, 1])
    """
    values = check_scores(scores)
    ranked = values > -np.inf
    ranked[check_labeled(labeled, len(values))] = False
    indices = np.flatnonzero(ranked)
    found = np.zeros(len(values), dtype=np.int64)
    found[indices[np.argsort(-values[indices], kind="stable")]] = np.arange(1, len(indices) + 1)
    return found
