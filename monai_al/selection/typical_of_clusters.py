# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The most typical item of each cluster."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from monai_al.selection.check import candidates, check_labeled, tie_rng
from monai_al.selection.embeddings import blocks, check_embeddings, unit_vectors
from monai_al.selection.k_means import k_means

__all__ = ["pick_in_turn", "typical_of_clusters"]

_TIE = 1e-12
"""Typicalities that differ by this share count as equal."""
_SMALLEST_DISTANCE = 1e-5
_NUMBERS = 2**21
"""Numbers in a block of work."""


def typical_of_clusters(
    embeddings: Any,
    budget: int,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
    *,
    max_clusters: int = 500,
    neighbors: int = 20,
    min_cluster_size: int = 5,
) -> np.ndarray:
    """TypiClust: cluster all items, and take the most typical one of each cluster, of clusters without labels first.

    G. Hacohen, A. Dekel, D. Weinshall, "Active learning on a budget: opposite strategies suit high and low budgets",
    2022. The embeddings, made unit vectors, fall into min(labeled + budget, ``max_clusters``) clusters by
    :func:`~monai_al.selection.k_means`; :func:`pick_in_turn` chooses from them. Distances are computed cluster by
    cluster and in blocks: time grows with the square of a cluster's size, memory does not.

    Args:
        embeddings: ``(N, D)`` float; a row of zeros stays one.
        budget: how many items.
        labeled: indices that may not be chosen.
        rng: draws the starts of k-means; default: a fresh generator with the seed 0.
        max_clusters: the largest number of clusters.
        neighbors: nearest neighbors that typicality looks at, at most.
        min_cluster_size: clusters of this size and smaller are left out where enough others remain.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: the embeddings are not finite, not of the shape (N, D), or empty; the budget does not fit; a
            ``labeled`` index is out of range or occurs twice; or an option is out of range.

    Example:
        >>> angles = np.radians([0, 20, 30, 35, 45, 65, 180, 200, 215, 222, 230, 245, 265])
        >>> embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        >>> typical_of_clusters(embeddings, budget=2).tolist()
        [9, 2]
    """
    embeddings = check_embeddings(embeddings)
    n = int(embeddings.shape[0])
    _, budget = candidates(n, budget, labeled)
    _check_option(max_clusters, "max_clusters", 1)
    _check_option(neighbors, "neighbors", 1)
    _check_option(min_cluster_size, "min_cluster_size", 0)
    if budget == 0:
        return np.empty(0, dtype=np.int64)
    directions = unit_vectors(embeddings)
    n_clusters = min(len(check_labeled(labeled, n)) + budget, max_clusters)
    _, clusters = k_means(directions, n_clusters, tie_rng(rng))
    return pick_in_turn(directions, clusters, budget, labeled, neighbors=neighbors, min_cluster_size=min_cluster_size)


def pick_in_turn(
    embeddings: np.ndarray,
    clusters: np.ndarray,
    budget: int,
    labeled: ArrayLike = (),
    *,
    neighbors: int = 20,
    min_cluster_size: int = 5,
) -> np.ndarray:
    """Go round the clusters and take the most typical unlabeled item of each, until there are ``budget`` items.

    Clusters stand in the order of their labeled items, fewest first, then of their size, largest first, then of their
    id. The order is fixed at the start: a round gives every cluster one more labeled item, so that ordering them again
    would change nothing; a cluster whose items are all labeled is passed over. Typicality is 1 / (mean distance to the
    n nearest neighbors in the cluster, labeled ones included, + 1e-5), n = min(``neighbors``, size / 2), at least 1;
    typicalities that differ by 1e-12 of themselves or less count as equal, and the first of equal items is taken.

    Clusters of ``min_cluster_size`` items and fewer are left out. Where fewer clusters than the budget would be left to
    choose from, that size is lowered step by step, to 1 at the least; single items are taken only where all others
    together are too few.

    Args:
        embeddings: ``(N, D)`` float.
        clusters: ``(N,)`` ids, any whole numbers.
        budget: how many items; no more than there are unlabeled ones.
        labeled: indices that may not be chosen.
        neighbors: nearest neighbors, at most.
        min_cluster_size: the size up to which clusters are left out.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Example:
        >>> points = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [50.0], [60.0]])
        >>> pick_in_turn(points, np.array([7, 7, 7, 7, 7, 7, -1, -1]), budget=2)
        array([1, 6])
    """
    free = np.ones(len(clusters), dtype=bool)
    free[check_labeled(labeled, len(clusters))] = False
    ids, cluster = np.unique(clusters, return_inverse=True)
    order = _order(cluster, free, len(ids), budget, min_cluster_size)
    typicality = np.full(len(clusters), np.nan)
    chosen: list[int] = []
    while len(chosen) < budget:
        for members in (np.flatnonzero(cluster == one) for one in order):
            unlabeled = members[free[members]]
            if len(unlabeled) == 0 or len(chosen) == budget:
                continue
            if np.isnan(typicality[unlabeled[0]]):
                typicality[unlabeled] = _typicality(embeddings, unlabeled, members, neighbors)
            values = typicality[unlabeled]
            chosen.append(int(unlabeled[(values >= values.max() * (1 - _TIE)).argmax()]))
            free[chosen[-1]] = False
    return np.array(chosen, dtype=np.int64)


def _order(cluster: np.ndarray, free: np.ndarray, n_clusters: int, budget: int, limit: int) -> np.ndarray:
    """The clusters to choose from, in turn."""
    size = np.bincount(cluster, minlength=n_clusters)
    unlabeled = np.bincount(cluster[free], minlength=n_clusters)
    while limit > 1 and ((size > limit) & (unlabeled > 0)).sum() < budget:
        limit -= 1
    if unlabeled[size > limit].sum() < budget:
        limit = 0
    order = np.lexsort((-size, size - unlabeled))
    return order[(size > limit)[order] & (unlabeled > 0)[order]]


def _typicality(embeddings: np.ndarray, items: np.ndarray, members: np.ndarray, neighbors: int) -> np.ndarray:
    """Typicality of some items among the members of their cluster, themselves included."""
    n = min(neighbors, max(1, len(members) // 2), len(members) - 1)
    mean = np.zeros(len(items))
    if n == 0:
        return 1 / (mean + _SMALLEST_DISTANCE)
    points = embeddings[members].astype(np.float64)
    center = points.mean(0)
    others = torch.from_numpy(points - center)
    norms = others.square().sum(1)
    places = np.searchsorted(members, items)
    for part in blocks(len(items), max(1, _NUMBERS // max(len(members), n * points.shape[1]))):
        own = places[part]
        distances = torch.addmm(norms, others[own], others.T, alpha=-2)
        distances[np.arange(len(own)), own] = np.inf
        nearest = distances.topk(n, largest=False).indices.numpy()
        mean[part] = np.sqrt(((points[own, None] - points[nearest]) ** 2).sum(-1)).mean(-1)
    return 1 / (mean + _SMALLEST_DISTANCE)


def _check_option(value: Any, name: str, least: int) -> None:
    try:
        if isinstance(value, bool | np.bool_) or operator.index(value) < least:
            raise TypeError
    except TypeError:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}") from None
