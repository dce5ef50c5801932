# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items whose balls cover most of a pool."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from monai_al.selection.check import candidates, check_labeled
from monai_al.selection.class_shares import check_share
from monai_al.selection.embeddings import blocks, check_embeddings, unit_vectors
from monai_al.selection.k_means import k_means

__all__ = ["newly_held", "prob_cover", "pure_radius", "radius_of_clusters"]

_SIDE = 1024
"""Items on each side of a block of distances."""
_NUMBERS = 2**21
"""Numbers in a block of exact distances."""


def prob_cover(
    embeddings: Any,
    budget: int,
    delta: float,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Take the unlabeled item whose ball holds most items that no ball of a labeled or chosen item holds yet.

    O. Yehuda, A. Dekel, G. Hacohen, D. Weinshall, "Active learning through a covering lens", NeurIPS 2022, algorithm 1:
    the greedy choice for maximum coverage. A ball holds the items nearer than ``delta``, its center always; distances
    are those of the embeddings made unit vectors. Ties break by index. Where no unlabeled item's ball holds such an
    item any more, those that one ball holds count as not held, then those that two hold, and so on: the pool is covered
    again, as evenly as before.

    Distances are computed in blocks and never kept: beside the unit vectors in float32, memory is some numbers per item
    and a few blocks, whatever the radius. Each item is looked at twice by all others, when the balls are counted and
    when one holds it first: time grows with N * N * D and hardly with the budget. Which items a ball holds is decided
    in float64 on the float32 unit vectors wherever float32 might be wrong.

    Args:
        embeddings: ``(N, D)`` float; a row of zeros stays one.
        budget: how many items.
        delta: radius of the balls, above 0; infinity holds everything. See :func:`radius_of_clusters`.
        labeled: indices that may not be chosen; what their balls hold is covered from the start.
        rng: not used: nothing is drawn.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: ``delta`` is not above 0; the embeddings are not finite, not of the shape (N, D), or empty; the
            budget does not fit; or a ``labeled`` index is out of range or occurs twice.

    Example:
        >>> angles = np.radians([0, 10, 20, 90, 100, 180])
        >>> embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        >>> prob_cover(embeddings, budget=3, delta=0.2)
        array([1, 3, 5])
        >>> prob_cover(embeddings, budget=3, delta=0.2, labeled=[0])
        array([3, 1, 5])
    """
    embeddings = check_embeddings(embeddings)
    n = int(embeddings.shape[0])
    _, budget = candidates(n, budget, labeled)
    _check_delta(delta)
    centers = check_labeled(labeled, n)
    if budget == 0:
        return np.empty(0, dtype=np.int64)
    balls = _Balls(unit_vectors(embeddings), float(delta))
    held = balls.count(centers)
    enough = 0  # an item in no more balls than this counts as not held
    gains = balls.count(np.flatnonzero(held == enough))
    taken = np.zeros(n, dtype=bool)
    taken[centers] = True
    chosen: list[int] = []
    while len(chosen) < budget:
        pick = int(np.where(taken, -1, gains).argmax())
        if gains[pick] == 0:
            enough += 1
            gains += balls.count(np.flatnonzero(held == enough))
            continue
        inside = balls.count(np.array([pick]))
        gains -= balls.count(np.flatnonzero((inside > 0) & (held == enough)))
        held += inside
        taken[pick] = True
        chosen.append(pick)
    return np.array(chosen, dtype=np.int64)


def newly_held(embeddings: Any, picks: np.ndarray, delta: float, labeled: ArrayLike = ()) -> np.ndarray:
    """How many items the ball of each picked item holds that no ball of a labeled or earlier picked one does.

    Args:
        embeddings: ``(N, D)`` float.
        picks: ``(k,)`` positions in pick order.
        delta: radius of the balls, as in :func:`prob_cover`.
        labeled: positions of the centers before the first pick.

    Returns:
        ``(k,)`` int64.

    Example:
        >>> newly_held(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), np.array([1, 0, 2]), delta=0.5)
        array([2, 0, 1])
    """
    embeddings = check_embeddings(embeddings)
    _check_delta(delta)
    balls = _Balls(unit_vectors(embeddings), float(delta))
    held = balls.count(check_labeled(labeled, int(embeddings.shape[0]))) > 0
    found = np.empty(len(picks), dtype=np.int64)
    for place, pick in enumerate(np.asarray(picks, dtype=np.int64)):
        inside = balls.count(pick[None]) > 0
        found[place] = (inside & ~held).sum()
        held |= inside
    return found


def radius_of_clusters(
    embeddings: Any, n_clusters: int, purity: float = 0.95, rng: np.random.Generator | None = None
) -> float:
    """The radius of balls that the paper of :func:`prob_cover` takes: :func:`pure_radius` of the clusters of k-means.

    Args:
        embeddings: ``(N, D)`` float; clusters are those of the unit vectors.
        n_clusters: the number of classes where it is known.
        purity: as in :func:`pure_radius`.
        rng: draws the starts of :func:`~monai_al.selection.k_means`; default: a fresh generator with the seed 0.

    Raises:
        ValueError: see :func:`pure_radius` and :func:`~monai_al.selection.k_means`.

    Example:
        >>> angles = np.radians([0, 10, 20, 60, 70])
        >>> embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        >>> round(radius_of_clusters(embeddings, n_clusters=2, purity=0.6), 4)
        0.8452
    """
    _, clusters = k_means(unit_vectors(check_embeddings(embeddings)), n_clusters, rng)
    return pure_radius(embeddings, clusters, purity)


def pure_radius(embeddings: Any, clusters: ArrayLike, purity: float = 0.95) -> float:
    """The largest radius at which at least so many of the balls hold items of one cluster only.

    It is found exactly: a ball stays pure up to the distance of its center to the nearest item of another cluster.

    Args:
        embeddings: ``(N, D)`` float; distances are those of the unit vectors, as in :func:`prob_cover`.
        clusters: ``(N,)`` ids, any whole numbers.
        purity: share of the balls, in [0, 1].

    Returns:
        The radius; infinity where there is one cluster.

    Raises:
        ValueError: the embeddings are not finite, not of the shape (N, D), or empty; there is not one cluster id per
            item; or ``purity`` is out of range.

    Example:
        >>> angles = np.radians([0, 10, 20, 60, 70])
        >>> embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        >>> round(pure_radius(embeddings, [0, 0, 0, 1, 1], purity=0.6), 4)  # from 10 to 60 degrees, and from 20 to 70
        0.8452
    """
    embeddings = check_embeddings(embeddings)
    n = int(embeddings.shape[0])
    ids = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if ids.shape != (n,):
        raise ValueError(f"there must be one cluster per item, ({n},), got {np.shape(clusters)}")
    check_share(purity, "purity")
    impure = min(n - 1, int((1 - Fraction(repr(float(purity)))) * n))  # so many balls may be
    rows = _Distances(unit_vectors(embeddings))
    squares = rows.nearest_other(np.arange(n), ids)
    border = np.partition(squares, impure)[impure]
    if np.isinf(border):
        return float("inf")
    unsure = np.flatnonzero(np.abs(squares - border) <= 2 * rows.slack)
    exact = rows.nearest_other_exactly(unsure, ids, squares[unsure] + 2 * rows.slack)
    return float(np.sort(exact)[impure - (squares < border - 2 * rows.slack).sum()])


class _Distances:
    """Squared distances of unit vectors in float32, off by at most ``slack``, and exact ones of some pairs."""

    def __init__(self, directions: np.ndarray) -> None:
        self.directions = directions
        self.rows = torch.from_numpy(directions)
        parts = blocks(len(directions), max(1, _NUMBERS // directions.shape[1]))
        self.squares = torch.cat([(self.rows[part].double() ** 2).sum(1) for part in parts]).float()
        self.slack = 4 * (directions.shape[1] + 8) * 2.0**-24

    def between(self, some: slice | np.ndarray, others: slice | np.ndarray) -> torch.Tensor:
        products = torch.addmm(self.squares[others], self.rows[some], self.rows[others].T, alpha=-2)
        return products.add_(self.squares[some].unsqueeze(1))

    def exactly(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Distances of pairs, always the same for a pair."""
        found = np.empty(len(some))
        for part in blocks(len(some), max(1, _NUMBERS // self.directions.shape[1])):
            first, second = (self.directions[side[part]].astype(np.float64) for side in (some, others))
            found[part] = np.sqrt(((first - second) ** 2).sum(-1))
        return found

    def nearest_other(self, items: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """``(len(items),)`` squared distances to the nearest item of another cluster."""
        found, clusters = np.empty(len(items)), torch.from_numpy(ids)
        for part in blocks(len(items), _SIDE):
            some = items[part]
            nearest = torch.full((len(some),), torch.inf)
            for others in blocks(len(ids), _SIDE):
                squares = self.between(some, others)
                squares.masked_fill_(clusters[some].unsqueeze(1) == clusters[others], torch.inf)
                nearest = torch.minimum(nearest, squares.amin(1))
            found[part] = nearest.numpy()
        return found

    def nearest_other_exactly(self, items: np.ndarray, ids: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """The same as exact distances, each found among those below a limit of its square."""
        found, clusters = np.full(len(items), np.inf), torch.from_numpy(ids)
        for part in blocks(len(items), _SIDE):
            some = items[part]
            for others in blocks(len(ids), _SIDE):
                near = self.between(some, others) <= torch.from_numpy(limits[part]).float().unsqueeze(1)
                near &= clusters[some].unsqueeze(1) != clusters[others]
                i, j = (side.numpy() for side in near.nonzero(as_tuple=True))
                np.minimum.at(found, part.start + i, self.exactly(some[i], others.start + j))
        return found


class _Balls(_Distances):
    """The balls of one radius around all items."""

    def __init__(self, directions: np.ndarray, radius: float) -> None:
        super().__init__(directions)
        self.radius = radius

    def count(self, items: np.ndarray) -> np.ndarray:
        """``(N,)`` int64: how many of these items each ball holds, which is how many of their balls hold each item."""
        n = len(self.directions)
        counts = np.zeros(n, dtype=np.int64)
        for part in blocks(len(items), _SIDE):
            some = items[part]
            for others in blocks(n, max(_SIDE, _SIDE * _SIDE // len(some))):
                counts[others] += self._holds(some, others).sum(0).numpy()
        return counts

    def _holds(self, some: np.ndarray, others: slice) -> torch.Tensor:
        gaps = self.between(some, others).sub_(self.radius**2)
        holds = gaps < 0
        unsure = gaps.abs_() <= self.slack
        if bool(unsure.any()):
            i, j = unsure.nonzero(as_tuple=True)
            exact = self.exactly(some[i.numpy()], others.start + j.numpy()) < self.radius
            holds[i, j] = torch.from_numpy(exact)
        return holds


def _check_delta(delta: Any) -> None:
    if isinstance(delta, bool) or not isinstance(delta, int | float | np.number) or not delta > 0:
        raise ValueError(f"delta must be a radius above 0, got {delta!r}")
