# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How many dimensions embeddings use."""

from __future__ import annotations

import numpy as np
from scipy.special import entr

__all__ = ["effective_rank"]


def effective_rank(embeddings: np.ndarray) -> float:
    """The exponential of the entropy of the singular values: RankMe.

    Q. Garrido et al., "RankMe: assessing the downstream performance of pretrained self-supervised representations by
    their rank", ICML 2023, equations 1 and 2, without the addition against log 0. It needs no labels. 1: all embeddings
    lie on one line through 0, they have collapsed; ``min(N, D)``, the most there can be: all directions are used alike.
    The embeddings are taken as they are, neither centred nor normalized; their scale does not matter.

    Args:
        embeddings: ``(N, D)``, at least one of each.

    Returns:
        At least 1, and 1 where all values are 0.

    Raises:
        ValueError: the embeddings have another shape or are not finite.

    Example:
        >>> round(effective_rank(np.eye(3, 8)), 6), round(effective_rank(np.ones((3, 8))), 6)
        (3.0, 1.0)
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"embeddings must be (N, D) with at least one row and column, got {values.shape}")
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise ValueError(f"embedding {wrong[0]} is not finite")
    singular = np.linalg.svd(values, compute_uv=False)
    total = singular.sum()
    return float(np.exp(entr(singular / total).sum())) if total > 0 else 1.0
