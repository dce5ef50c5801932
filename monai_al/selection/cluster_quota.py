# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Of each cluster the items nearest to its centroid, as many as its share of the pool says."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from monai_al.selection.check import candidates, check_budget, check_labeled
from monai_al.selection.embeddings import CenteredRows, blocks, check_embeddings
from monai_al.selection.k_means import k_means

__all__ = ["centroid_distances", "cluster_quota", "clusters_of_all", "fewer_clusters", "nearest_by_quota"]

_STARTS = 10
"""Starts of k-means."""
_TIE = 1e-12
"""Distances in a cluster that differ by this share count as equal."""


def cluster_quota(
    embeddings: Any,
    budget: int,
    n_clusters: int = 10,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
    *,
    total: int | None = None,
) -> np.ndarray:
    """Cluster all items, and take of each cluster the items nearest to its centroid, by its share of the pool.

    The clusters are those of :func:`clusters_of_all`; :func:`nearest_by_quota` chooses from them. In later rounds, an
    equal generator and equal embeddings give the same clusters and the same ranking again, so that the choice goes on
    where it stopped.

    Z. Zhao et al., "Self-supervised assisted active learning for skin lesion segmentation", EMBC 2022.

    Args:
        embeddings: ``(N, D)`` float.
        budget: how many items.
        n_clusters: how many clusters; as many as ``total`` where that is smaller, with a warning.
        labeled: indices that may not be chosen; they count for their clusters.
        rng: draws the starts of k-means; default: a fresh generator with the seed 0.
        total: see :func:`nearest_by_quota`.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: the embeddings are not finite, not of the shape (N, D), or empty; the budget or ``total`` does not
            fit; ``n_clusters`` is no whole number of at least 1; a ``labeled`` index is out of range or occurs twice.

    Example:
        >>> rows = [[0.0], [1.0], [2.0], [3.0], [4.0], [50.0], [51.0], [52.0]]
        >>> cluster_quota(rows, budget=5, n_clusters=2)
        array([2, 6, 1, 5, 3])
        >>> cluster_quota(rows, budget=2, n_clusters=2, labeled=[2, 6, 1])
        array([5, 3])
    """
    embeddings = check_embeddings(embeddings)
    _, budget = candidates(int(embeddings.shape[0]), budget, labeled)
    total = _total(total, int(embeddings.shape[0]), budget, labeled)
    if budget == 0:
        return np.empty(0, dtype=np.int64)
    clusters, distances = clusters_of_all(embeddings, fewer_clusters(n_clusters, total), rng)
    return nearest_by_quota(clusters, distances, budget, labeled, total=total)


def nearest_by_quota(
    clusters: ArrayLike,
    distances: ArrayLike,
    budget: int,
    labeled: ArrayLike = (),
    *,
    total: int | None = None,
) -> np.ndarray:
    """Share the items that will be labeled over the clusters by their sizes, and take the nearest items of each.

    With C the number of items that will be labeled, those that are now included, a cluster of N_i of the N items has
    the quota ceil(C N_i / N), in whole numbers. What a cluster lacks to its quota is chosen, the items nearest to the
    centroid first; distances that differ by 1e-12 of themselves or less count as equal, and of equal items the first
    comes first. Items are ranked only within their own cluster, so that none is chosen twice, and each for its own
    cluster.

    What clusters lack adds up to at least as many items as are to be chosen, and mostly to a few more: quotas are
    rounded up, and clusters may have more labeled items than their quota, where these were chosen otherwise. The
    surplus is dropped: going through the clusters by their size, largest first (of equal ones that with the lower id),
    and round again if need be, each gives up the farthest of the items that were to be chosen from it, if it has any
    left. So a cluster with a quota of 1 may end without an item, where several are as small as that.

    The clusters take turns in proportion to their items, so that also the first picks are spread over the pool: an item
    that is the j-th of the m items of its cluster, labeled ones included, has the place (2 j - 1) / 2 m, and the larger
    cluster goes first where places are equal.

    Args:
        clusters: ``(N,)`` ids, any whole numbers.
        distances: ``(N,)`` of each item to the centroid of its cluster, see :func:`centroid_distances`.
        budget: how many items.
        labeled: indices that may not be chosen; they count for their clusters.
        total: C; default: labeled items and budget together. With more, the choice is made for all of them, and its
            first ``budget`` items are given: calling again with these labeled goes on with the same choice.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: ``clusters`` or ``distances`` are not one number for each item; the budget or ``total`` does not
            fit; or a ``labeled`` index is out of range or occurs twice.

    Example:
        >>> clusters, distances = [0, 0, 0, 0, 0, 1, 1, 1], [2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0]
        >>> nearest_by_quota(clusters, distances, budget=3)
        array([6, 2, 5])
        >>> nearest_by_quota(clusters, distances, budget=3, total=5)
        array([2, 6, 1])
        >>> nearest_by_quota(clusters, distances, budget=2, labeled=[2, 6, 1])
        array([5, 3])
    """
    cluster, far = _checked(clusters, distances)
    n = len(cluster)
    unlabeled, budget = candidates(n, budget, labeled)
    total = _total(total, n, budget, labeled)
    known = check_labeled(labeled, n)
    size = np.bincount(cluster)
    done = np.bincount(cluster[known], minlength=len(size))
    new = _new_items(size, done, total)
    ranking = _ranked(cluster, far)
    ranking = ranking[np.isin(ranking, unlabeled)]
    own = cluster[ranking]
    earlier = np.arange(len(own)) - np.searchsorted(own, own)  # unlabeled ones of the same cluster
    chosen = earlier < new[own]
    picks, own = ranking[chosen], own[chosen]
    place = (2 * (done[own] + earlier[chosen]) + 1) / (2 * (done + new)[own])
    return picks[np.lexsort((own, -size[own], place))][:budget]


def clusters_of_all(
    embeddings: Any, n_clusters: int, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each item, and how far it is from the mean of its cluster.

    Args:
        embeddings: ``(N, D)`` float.
        n_clusters: how many clusters, as :func:`~monai_al.selection.k_means` makes them with 10 starts.
        rng: draws the starts; default: a fresh generator with the seed 0.

    Returns:
        Ids ``(N,)`` int64, and Euclidean distances ``(N,)`` float64.

    Raises:
        ValueError: see :func:`~monai_al.selection.k_means`.

    Example:
        >>> clusters_of_all([[0.0], [2.0], [9.0]], n_clusters=2)[1]
        array([1., 1., 0.])
    """
    _, clusters = k_means(embeddings, n_clusters, rng, n_init=_STARTS)
    return clusters, centroid_distances(embeddings, clusters)


def centroid_distances(embeddings: Any, clusters: ArrayLike) -> np.ndarray:
    """How far each item is from the mean of its cluster.

    Args:
        embeddings: ``(N, D)`` float.
        clusters: ``(N,)`` ids, any whole numbers.

    Returns:
        ``(N,)`` Euclidean distances, float64.

    Raises:
        ValueError: the embeddings are not finite, not of the shape (N, D), or empty; or ``clusters`` are not one whole
            number for each item.

    Example:
        >>> centroid_distances([[0.0, 0.0], [6.0, 8.0], [1.0, 1.0]], [7, 7, 3])
        array([5., 5., 0.])
    """
    embeddings = check_embeddings(embeddings)
    rows = CenteredRows(embeddings)
    cluster = _numbered(clusters, rows.n)
    sums = np.zeros((cluster.max() + 1, rows.dim))
    for items in blocks(rows.n, rows.chunk):
        order = np.argsort(cluster[items], kind="stable")
        ids, starts = np.unique(cluster[items][order], return_index=True)
        sums[ids] += np.add.reduceat((rows.scaled(items) - rows.center)[order], starts)
    means = sums / np.bincount(cluster)[:, None]
    distances = np.empty(rows.n)
    for items in blocks(rows.n, rows.chunk):
        distances[items] = np.linalg.norm(rows.scaled(items) - rows.center - means[cluster[items]], axis=1)
    return distances / rows.unit


def fewer_clusters(n_clusters: int, total: int) -> int:
    """As many clusters as there will be labeled items, where that is fewer; with a warning.

    Args:
        n_clusters: how many are asked for.
        total: how many items will be labeled.

    Example:
        >>> fewer_clusters(10, 300)
        10
    """
    if not isinstance(n_clusters, int | np.integer) or n_clusters <= total:  # what is no number, k_means refuses
        return n_clusters
    warnings.warn(
        f"{n_clusters} clusters are more than the {total} items to be labeled: {total} clusters are made", stacklevel=2
    )
    return total


def _checked(clusters: ArrayLike, distances: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    far = np.asarray(distances, dtype=np.float64)
    if far.ndim != 1 or len(far) == 0:
        raise ValueError(f"distances must have the shape (N,) with at least one item, got {far.shape}")
    wrong = ~np.isfinite(far) | (far < 0)
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"distances[{i}] is {far[i]}: a distance must be finite and at least 0")
    return _numbered(clusters, len(far)), far


def _numbered(clusters: ArrayLike, n: int) -> np.ndarray:
    """Clusters as numbers from 0, in the order of their ids."""
    ids = np.asarray(clusters)
    if ids.shape != (n,) or ids.dtype.kind not in "iu":
        raise ValueError(f"clusters must be whole numbers of the shape ({n},), got {ids.dtype} with shape {ids.shape}")
    return np.unique(ids, return_inverse=True)[1]


def _total(total: int | None, n: int, budget: int, labeled: ArrayLike) -> int:
    least = len(check_labeled(labeled, n)) + budget
    if total is None:
        return least
    try:
        total = check_budget(total, n)
    except ValueError as error:
        raise ValueError(f"total must be a whole number of at most {n} items, the pool, got {total!r}") from error
    if total < least:
        raise ValueError(f"total {total} is less than the {least} items that are labeled or to be chosen")
    return total


def _new_items(size: np.ndarray, done: np.ndarray, total: int) -> np.ndarray:
    """How many items each cluster gives, of all ``total`` items that will be labeled.

    They never add up to too few before some are dropped: the quotas add up to at least ``total``, and a cluster that is
    above its quota only makes the others' part larger.
    """
    n = int(size.sum())
    new = np.maximum((total * size + n - 1) // n - done, 0)
    surplus = int(new.sum()) - (total - int(done.sum()))
    while surplus > 0:
        for cluster in np.argsort(-size, kind="stable"):
            if surplus > 0 and new[cluster] > 0:
                new[cluster] -= 1
                surplus -= 1
    return new


def _ranked(cluster: np.ndarray, far: np.ndarray) -> np.ndarray:
    """All items, cluster by cluster, the nearest to the centroid first; of about equal ones the first of the pool."""
    order = np.lexsort((far, cluster))
    own, far = cluster[order], far[order]
    equal_to = np.arange(len(order))  # the place of the first that counts as equal
    for place in 1 + np.flatnonzero((own[1:] == own[:-1]) & (far[1:] <= far[:-1] * (1 + _TIE))):
        if far[place] <= far[equal_to[place - 1]] * (1 + _TIE):
            equal_to[place] = equal_to[place - 1]
    return order[np.lexsort((order, equal_to))]
