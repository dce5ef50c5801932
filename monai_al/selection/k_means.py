# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Clusters of embeddings."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from monai_al.selection.check import tie_rng
from monai_al.selection.embeddings import CenteredRows, blocks, check_embeddings
from monai_al.selection.flat_index import faiss_module, has_faiss, has_gpu

__all__ = ["k_means"]

_FEW = 10_000
"""Below so many items several starts cost little."""
_STARTS = 5
_START_ROWS = 20_000
"""Items, drawn at random, that the first centroids are chosen from."""
_SOME, _SOME_PER_CLUSTER = 25_000, 100
"""Items, drawn at random, that the iterations begin with where there are more than twice as many."""
_LAST = 4
"""Iterations on all items after these."""


def k_means(
    embeddings: Any,
    n_clusters: int,
    rng: np.random.Generator | None = None,
    *,
    n_init: int | None = None,
    max_iter: int = 25,
    backend: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster embeddings by k-means: Euclidean distance, Lloyd's algorithm on all items, k-means++ starts.

    The first centroids come from scikit-learn's greedy k-means++ (on 20 000 items drawn at random where there are
    more), which ends at a lower inertia than plain k-means++. The iterations are those of faiss, on a GPU where faiss
    was built for one and finds it, else on the CPU; or of scikit-learn where faiss is not installed. Where there are
    more than 50 000 items and 200 for each cluster, they run on half of these, drawn at random, and then a few on all:
    the inertia is that of iterations on all items to about a percent, in less time. Of several starts the one with the
    lowest inertia counts. An equal generator gives an equal answer. All work is in float32, on a copy of the embeddings
    that is centered and scaled.

    Every cluster has members and ids run from 0: an empty cluster is moved to the item farthest from its centroid, and
    where fewer than ``n_clusters`` rows are distinct, each of them is a cluster, in the order of the pool.

    Args:
        embeddings: ``(N, D)`` float.
        n_clusters: how many clusters.
        rng: draws the starts; default: a fresh generator with the seed 0.
        n_init: starts; default: 5 below 10 000 items, else 1.
        max_iter: iterations of each start.
        backend: ``"faiss"`` or ``"sklearn"``; default: faiss where it is installed.

    Returns:
        The centroids ``(K, D)`` float32 and the cluster of each item, ``(N,)`` int64; K = ``n_clusters``, or the number
        of distinct rows where that is smaller.

    Raises:
        ValueError: the embeddings are not finite, not of the shape (N, D), or empty; ``n_clusters``, ``n_init`` or
            ``max_iter`` is no whole number of at least 1; the backend is unknown or not installed.

    Example:
        >>> centroids, clusters = k_means([[0.0, 0.0], [9.0, 9.0], [0.0, 1.0]], n_clusters=2)
        >>> bool(clusters[0] == clusters[2] != clusters[1])
        True
        >>> centroids[clusters[0]].round(5).tolist()
        [0.0, 0.5]
    """
    embeddings = check_embeddings(embeddings)
    n_clusters = _at_least_one(n_clusters, "n_clusters")
    max_iter = _at_least_one(max_iter, "max_iter")
    starts = (_STARTS if embeddings.shape[0] < _FEW else 1) if n_init is None else _at_least_one(n_init, "n_init")
    cluster = {"faiss": _by_faiss, "sklearn": _by_sklearn}[_backend(backend)]
    rows = CenteredRows(embeddings)
    points = _points(rows)
    distinct = _first_distinct(points, n_clusters + 1)
    if len(distinct) <= n_clusters:
        clusters = np.fromiter((distinct[point.tobytes()] for point in points), dtype=np.int64, count=len(points))
        _, first = np.unique(clusters, return_index=True)
        return (rows.scaled(first) / rows.unit).astype(np.float32), clusters
    rng = tie_rng(rng)
    some = max(_SOME, _SOME_PER_CLUSTER * n_clusters)
    if len(points) > 2 * some and max_iter > _LAST:
        first = _first_centroids(points, n_clusters, rng, starts)
        part = points[np.sort(rng.choice(len(points), some, replace=False))]
        begun, _ = cluster(part, n_clusters, first, max_iter)
        centroids, clusters = cluster(points, n_clusters, iter([begun]), _LAST)
    else:
        centroids, clusters = cluster(points, n_clusters, _first_centroids(points, n_clusters, rng, starts), max_iter)
    centroids, clusters = _without_empty(points, centroids, clusters)
    return ((centroids.astype(np.float64) / rows.scale + rows.center) / rows.unit).astype(np.float32), clusters


def _points(rows: CenteredRows) -> np.ndarray:
    points = np.empty((rows.n, rows.dim), dtype=np.float32)
    for items in blocks(rows.n, rows.chunk):
        points[items] = rows.centered(items) + np.float32(0)  # no -0, so that equal rows have equal bytes
    return points


def _first_distinct(points: np.ndarray, at_most: int) -> dict[bytes, int]:
    """The first distinct rows, numbered, as bytes; it stops when there are ``at_most``."""
    distinct: dict[bytes, int] = {}
    for point in points:
        distinct.setdefault(point.tobytes(), len(distinct))
        if len(distinct) == at_most:
            break
    return distinct


def _by_sklearn(
    points: np.ndarray, n_clusters: int, firsts: Iterator[np.ndarray], max_iter: int
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # threads add up their parts in any order
        found = [KMeans(n_clusters, init=first, n_init=1, max_iter=max_iter).fit(points) for first in firsts]
    best = min(found, key=lambda one: one.inertia_)
    return best.cluster_centers_, best.labels_.astype(np.int64)


def _by_faiss(
    points: np.ndarray, n_clusters: int, firsts: Iterator[np.ndarray], max_iter: int
) -> tuple[np.ndarray, np.ndarray]:
    lowest, best = np.inf, (points[:0], np.empty(0, dtype=np.int64))
    with faiss_module() as faiss:
        for first in firsts:
            trained = faiss.Kmeans(
                points.shape[1],
                n_clusters,
                niter=max_iter,
                gpu=has_gpu(faiss),
                max_points_per_centroid=len(points),
                min_points_per_centroid=1,
                seed=0,
            )
            trained.train(points, init_centroids=first)
            distances, clusters = trained.index.search(points, 1)
            inertia = distances.sum(dtype=np.float64)
            if inertia < lowest:
                lowest, best = inertia, (np.array(trained.centroids), clusters[:, 0].astype(np.int64))
    return best


def _first_centroids(
    points: np.ndarray, n_clusters: int, rng: np.random.Generator, starts: int
) -> Iterator[np.ndarray]:
    from sklearn.cluster import kmeans_plusplus

    for _ in range(starts):
        some = points
        if len(points) > max(_START_ROWS, n_clusters):
            some = points[rng.choice(len(points), max(_START_ROWS, n_clusters), replace=False)]
            some = some.astype(np.float64)  # as scikit-learn computes with, block by block, in twice the time
        found = kmeans_plusplus(some, n_clusters, random_state=int(rng.integers(2**31)))[0]
        yield found.astype(np.float32, copy=False)


def _without_empty(points: np.ndarray, centroids: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move each centroid without members to the row farthest from its own, until none is left."""
    if np.bincount(clusters, minlength=len(centroids)).all():
        return centroids, clusters
    distances = _squared_distances(points, centroids, clusters)
    while True:
        empty = np.flatnonzero(np.bincount(clusters, minlength=len(centroids)) == 0)
        if len(empty) == 0 or distances.max() == 0:
            used, clusters = np.unique(clusters, return_inverse=True)
            return centroids[used], clusters.astype(np.int64)
        centroids[empty[0]] = points[distances.argmax()]
        others = _squared_distances(points, centroids, np.full(len(points), empty[0]))
        nearer = others < distances
        clusters[nearer], distances[nearer] = empty[0], others[nearer]


def _squared_distances(points: np.ndarray, centroids: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """``(N,)``: of every row to its centroid."""
    distances = np.empty(len(points))
    for items in blocks(len(points), 1024):
        distances[items] = ((points[items].astype(np.float64) - centroids[clusters[items]]) ** 2).sum(-1)
    return distances


def _backend(name: str | None) -> str:
    installed = has_faiss()
    if name is None:
        return "faiss" if installed else "sklearn"
    if name not in ("faiss", "sklearn"):
        raise ValueError(f"backend {name!r} is none of faiss, sklearn")
    if name == "faiss" and not installed:
        raise ValueError('backend "faiss" is not installed: pip install "monai_al[faiss]", or take "sklearn"')
    return name


def _at_least_one(value: Any, name: str) -> int:
    try:
        if isinstance(value, bool | np.bool_) or operator.index(value) < 1:
            raise TypeError
    except TypeError:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}") from None
    return operator.index(value)
