# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings in the plane, and one number for how far groups of them lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["PERPLEXITY", "group_silhouette", "shown_points", "tsne_coordinates"]

PERPLEXITY = 30.0
_PCA_DIMENSIONS = 50
_FEWEST = 4  # points from which on neighbours mean something
_CONSTANT = 1e-9  # spread, relative to the largest value, below which all points are the same


def tsne_coordinates(embeddings: Any, *, perplexity: float = PERPLEXITY, seed: int = 0) -> np.ndarray:
    """t-SNE of embeddings (van der Maaten and Hinton, JMLR 2008), after a PCA to 50 dimensions and from its first two.

    Fewer than four points are placed by the PCA alone, and points that are all the same in one place.

    Args:
        embeddings: ``(N, D)``.
        perplexity: about how many neighbours count for a point; at most (N - 1) / 3 is taken.
        seed: fixes the result on one machine.

    Returns:
        ``(N, 2)`` float64, without a unit.

    Raises:
        ValueError: the embeddings are not two-dimensional, or not finite.

    Example:
        >>> tsne_coordinates([[1.0, 2.0, 3.0]]).tolist()
        [[0.0, 0.0]]
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"embeddings must have the shape (N, D), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"embeddings[{int(np.argmin(np.isfinite(values).all(axis=1)))}] is not finite")
    components = _principal_components(values)
    if len(values) < _FEWEST or not components.any():
        return components[:, :2]
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = components[:, :2] / components[:, 0].std() * 1e-4  # as wide as t-SNE wants its start
    perplexity = min(perplexity, (len(values) - 1) / 3)
    tsne = TSNE(init=start.astype(np.float32), perplexity=perplexity, random_state=seed, learning_rate="auto")
    with threadpool_limits(1):  # the same result on any number of cores, and no slower for so few points
        return tsne.fit_transform(components).astype(np.float64)


def _principal_components(values: np.ndarray) -> np.ndarray:
    """``(N, 2 to 50)`` coordinates along the directions of largest variance; zeros where all points are the same."""
    centered = values / (np.abs(values).max(initial=0.0) or 1.0)
    centered = centered - centered.mean(axis=0) if len(values) else centered
    dimensions = min(_PCA_DIMENSIONS, *centered.shape)
    found = np.zeros((len(values), max(dimensions, 2)))
    if np.abs(centered).max(initial=0.0) > _CONSTANT:
        left, singular, _ = np.linalg.svd(centered, full_matrices=False)
        found[:, :dimensions] = (left * singular)[:, :dimensions]
    return found


def shown_points(n: int, limit: int, *, always: Sequence[int] = (), seed: int = 0) -> np.ndarray:
    """Which points are drawn where there are too many: a random subset and those that matter, in order.

    Args:
        n: number of points.
        limit: how many are drawn at random, at most.
        always: indices that are drawn in any case.
        seed: of the draw.

    Example:
        >>> shown_points(4, 10).tolist(), len(shown_points(100, 10, always=[99]))
        ([0, 1, 2, 3], 11)
    """
    if n <= limit:
        return np.arange(n)
    forced = np.unique(np.asarray(always, dtype=np.int64))
    others = np.setdiff1d(np.arange(n), forced)
    drawn = np.random.default_rng(seed).choice(others, size=min(limit, len(others)), replace=False)
    return np.sort(np.concatenate([forced, drawn]))


def group_silhouette(embeddings: Any, groups: Sequence[Any]) -> float | None:
    """The mean silhouette of groups (Rousseeuw 1987), in [-1, 1]: near 1 where each is tight and far from others.

    Args:
        embeddings: ``(N, D)``.
        groups: N group names or numbers.

    Returns:
        None where it is undefined: for a single group, or where every point is a group of its own.

    Example:
        >>> group_silhouette([[0.0], [0.1], [9.0], [9.1]], "aabb") > 0.9, group_silhouette([[0.0], [1.0]], "ab")
        (True, None)
    """
    from sklearn.metrics import silhouette_score

    numbers = np.unique(np.asarray(list(groups)), return_inverse=True)[1]
    if not 2 <= len(np.unique(numbers)) < len(numbers):
        return None
    return float(silhouette_score(np.asarray(embeddings, dtype=np.float64), numbers))
