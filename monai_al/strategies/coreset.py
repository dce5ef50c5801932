# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items that cover the pool."""

from __future__ import annotations

import numpy as np
import torch

from monai_al.handlers.needs import before_training
from monai_al.records import Query, Round
from monai_al.selection import candidates, k_center_greedy
from monai_al.strategies.base import Strategy
from monai_al.strategies.finite_embeddings import finite_embeddings
from monai_al.strategies.groups import groups_of, level_of, stratified_by, turn_of
from monai_al.uncertainty import Measure

__all__ = ["Coreset", "distances_to_centers"]


class Coreset(Strategy):
    """The items farthest from all labeled ones, one after the other: k-center greedy.

    O. Sener, S. Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018,
    algorithm 1. An item's score is its distance to the nearest labeled or earlier chosen one.

    The strategy chooses the initial set itself.

    Args:
        embedding: what distances are between: ``"bottleneck"`` or the path of another layer of the trained network,
            ``"encoder"``, ``"pixels"``, or ``"pixels:64"``; see :meth:`Strategy.needs`.
        initial: the same for the initial set, where ``embedding`` needs a trained network.
        start: the first item where nothing is labeled: the one nearest to the ``"mean"`` of all embeddings, or a
            ``"random"`` one.
        device: where distances are computed.
        stratified: whether each item is the farthest one of the patients with the fewest labeled and chosen items, not
            of all; or ``"volume"``: of the volumes.

    Raises:
        ValueError: ``start`` or ``stratified`` is unknown, or ``initial`` needs a trained network.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> pool = Pool([Item(i, i, i, i) for i in "abcde"])
        >>> rows = np.array([[0.0], [1.0], [5.0], [6.0], [10.0]])
        >>> round = Round(1, pool, labeled=[0], seed=0, embeddings={"bottleneck": rows})
        >>> [(item.id, item.score) for item in Coreset().query(round, budget=3).items]
        [('e', 10.0), ('c', 5.0), ('b', 1.0)]
    """

    def __init__(
        self,
        embedding: str = "bottleneck",
        *,
        initial: str = "pixels",
        start: str = "mean",
        device: str = "cpu",
        stratified: bool | str = False,
    ) -> None:
        if start not in ("mean", "random"):
            raise ValueError(f"start {start!r} is none of mean, random")
        if not before_training(initial):
            raise ValueError(f"initial must need no trained network, such as 'pixels:64' or 'encoder', got {initial!r}")
        self.embedding = embedding
        self.initial = embedding if before_training(embedding) else initial
        self.start = start
        self.device = device
        self.level = level_of(stratified)
        self.name = stratified_by(f"coreset ({embedding})", self.level)

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return {self.embedding: self.embedding}

    def initial_needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.initial_needs`."""
        return {self.initial: self.initial}

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        _, budget = candidates(len(round.pool), budget, round.labeled)
        embeddings = finite_embeddings(self, round, self._there(round))
        picks = k_center_greedy(
            embeddings,
            budget,
            round.labeled,
            round.rng("k-center"),
            start=self.start,
            device=self.device,
            groups=groups_of(round.pool, self.level),
        )
        scores = distances_to_centers(embeddings, picks, round.labeled)
        reasons = [turn_of(f"k-center, pick {n}", self.level) for n in range(1, budget + 1)]
        return self.make_query(round, picks, scores, reasons)

    def _there(self, round: Round) -> str:
        """The embedding of this round: that of the initial set where only that is there and nothing is labeled."""
        first = len(round.labeled) == 0 and self.embedding not in round.embeddings
        return self.initial if first else self.embedding


def distances_to_centers(embeddings: np.ndarray, picks: np.ndarray, labeled: np.ndarray) -> np.ndarray:
    """How far each picked item was from the nearest center when it was picked.

    Args:
        embeddings: ``(N, D)``.
        picks: ``(k,)`` positions in pick order.
        labeled: positions of the centers before the first pick.

    Returns:
        ``(k,)`` Euclidean distances, float64; ``inf`` where there was no center.

    Example:
        >>> distances_to_centers(np.array([[0.0], [1.0], [5.0]]), np.array([2, 1]), np.array([0]))
        array([5., 1.])
    """
    if len(picks) == 0:
        return np.empty(0)
    centers = embeddings[np.concatenate([labeled, picks])]
    rows = torch.from_numpy(centers.astype(np.result_type(centers, np.float32)))
    exact = "donot_use_mm_for_euclid_dist"
    between = torch.cdist(rows[len(labeled) :], rows, compute_mode=exact).double().numpy()
    later = np.arange(len(rows)) >= len(labeled) + np.arange(len(picks))[:, None]
    return np.where(later, np.inf, between).min(axis=1)
