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
from monai_al.selection.coverage import Coverage, check_groups
from monai_al.selection.embeddings import blocks, check_embeddings, unit_vectors
from monai_al.selection.k_means import k_means

__all__ = ["check_small_clusters", "pick_in_turn", "typical_of_clusters"]

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
    small_clusters: str = "lower",
    groups: ArrayLike | None = None,
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
        small_clusters: what is enough: ``"lower"`` or ``"drop"``, see :func:`pick_in_turn`.
        groups: ``(N,)`` names or whole numbers, such as the patient of each item, see :func:`pick_in_turn`.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: the embeddings are not finite, not of the shape (N, D), or empty; the budget does not fit; a
            ``labeled`` index is out of range or occurs twice; an option is unknown or out of range; or ``groups`` are
            not one name or whole number for each item.

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
    check_small_clusters(small_clusters)
    if groups is not None:
        check_groups(groups, n)
    if budget == 0:
        return np.empty(0, dtype=np.int64)
    directions = unit_vectors(embeddings)
    n_clusters = min(len(check_labeled(labeled, n)) + budget, max_clusters)
    _, clusters = k_means(directions, n_clusters, tie_rng(rng))
    return pick_in_turn(
        directions,
        clusters,
        budget,
        labeled,
        neighbors=neighbors,
        min_cluster_size=min_cluster_size,
        small_clusters=small_clusters,
        groups=groups,
    )


def pick_in_turn(
    embeddings: np.ndarray,
    clusters: np.ndarray,
    budget: int,
    labeled: ArrayLike = (),
    *,
    neighbors: int = 20,
    min_cluster_size: int = 5,
    small_clusters: str = "lower",
    groups: ArrayLike | None = None,
) -> np.ndarray:
    """Go round the clusters and take the most typical unlabeled item of each, until there are ``budget`` items.

    Clusters stand in the order of their labeled items, fewest first, then of their size, largest first, then of their
    id. The order is fixed at the start: a round gives every cluster one more labeled item, so that ordering them again
    would change nothing; a cluster whose items are all labeled is passed over. Typicality is 1 / (mean distance to the
    n nearest neighbors in the cluster, labeled ones included, + 1e-5), n = min(``neighbors``, size / 2), at least 1;
    typicalities that differ by 1e-12 of themselves or less count as equal, and the first of equal items is taken.

    Clusters of ``min_cluster_size`` items and fewer are left out. With ``"lower"`` that size is lowered step by step,
    to 1 at the least, where fewer clusters than the budget would be left, so that as many items as possible come from
    clusters of their own. Where nothing is labeled there are no more clusters than items to choose, so that only single
    items are left out. With ``"drop"``, as the paper's authors do, the size stays, and the other clusters give several
    items each. Either way it is lowered where these together have too few unlabeled items.

    With ``groups``, a cluster gives its most typical item of the groups that have the fewest labeled and chosen items,
    of those with any left, and is passed over where it has none; where a whole round gives none, such an item of the
    clusters that were left out is taken, in the same order. So the groups come first, and clusters choose among them.

    Args:
        embeddings: ``(N, D)`` float.
        clusters: ``(N,)`` ids, any whole numbers.
        budget: how many items; no more than there are unlabeled ones.
        labeled: indices that may not be chosen.
        neighbors: nearest neighbors, at most.
        min_cluster_size: the size up to which clusters are left out.
        small_clusters: ``"lower"`` or ``"drop"``.
        groups: ``(N,)`` names or whole numbers, or None.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: ``small_clusters`` is unknown, or ``groups`` are not one name or whole number for each item.

    Example:
        >>> points = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [50.0], [60.0]])
        >>> clusters = np.array([7, 7, 7, 7, 7, 7, -1, -1])
        >>> pick_in_turn(points, clusters, budget=2)
        array([1, 6])
        >>> pick_in_turn(points, clusters, budget=2, small_clusters="drop")
        array([1, 2])
    """
    check_small_clusters(small_clusters)
    turns = _Turns(embeddings, clusters, labeled, neighbors, groups)
    kept, left_out = turns.order(budget, min_cluster_size, small_clusters)
    while len(turns.chosen) < budget:
        before = len(turns.chosen)
        for one in kept:
            turns.take(one, budget)
        if len(turns.chosen) == before:
            next(one for one in left_out if turns.take(one, budget))
    return np.array(turns.chosen, dtype=np.int64)


class _Turns:
    """The clusters, what was chosen of them, and what may be chosen next."""

    def __init__(
        self, embeddings: np.ndarray, clusters: np.ndarray, labeled: ArrayLike, neighbors: int, groups: ArrayLike | None
    ) -> None:
        n = len(clusters)
        self.embeddings = embeddings
        self.neighbors = neighbors
        self.free = np.ones(n, dtype=bool)
        self.free[check_labeled(labeled, n)] = False
        self.cluster = np.unique(clusters, return_inverse=True)[1]
        self.coverage = None if groups is None else Coverage(groups, n, labeled)
        self.typicality = np.full(n, np.nan)
        self.chosen: list[int] = []

    def order(self, budget: int, limit: int, small_clusters: str) -> tuple[np.ndarray, np.ndarray]:
        """The clusters to choose from, in turn, and those that are left out."""
        size = np.bincount(self.cluster)
        unlabeled = np.bincount(self.cluster[self.free], minlength=len(size))
        while small_clusters == "lower" and limit > 1 and ((size > limit) & (unlabeled > 0)).sum() < budget:
            limit -= 1
        while limit > 0 and unlabeled[size > limit].sum() < budget:
            limit -= 1
        order = np.lexsort((-size, size - unlabeled))
        order = order[unlabeled[order] > 0]
        return order[size[order] > limit], order[size[order] <= limit]

    def take(self, cluster: int, budget: int) -> bool:
        """Choose the most typical item of a cluster that may be chosen; whether there is one."""
        members = np.flatnonzero(self.cluster == cluster)
        unlabeled = members[self.free[members]]
        items = unlabeled if self.coverage is None else unlabeled[self.coverage.behind()[unlabeled]]
        if len(items) == 0 or len(self.chosen) == budget:
            return False
        if np.isnan(self.typicality[items[0]]):
            self.typicality[unlabeled] = _typicality(self.embeddings, unlabeled, members, self.neighbors)
        values = self.typicality[items]
        pick = int(items[(values >= values.max() * (1 - _TIE)).argmax()])
        self.chosen.append(pick)
        self.free[pick] = False
        if self.coverage is not None:
            self.coverage.add(pick)
        return True


def check_small_clusters(value: Any) -> None:
    """Refuse an unknown way to treat small clusters.

    Args:
        value: what should be one of those of :func:`pick_in_turn`.

    Raises:
        ValueError: it is none.

    Example:
        >>> check_small_clusters("keep")
        Traceback (most recent call last):
        ...
        ValueError: small_clusters 'keep' is none of lower, drop
    """
    if value not in ("lower", "drop"):
        raise ValueError(f"small_clusters {value!r} is none of lower, drop")


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
