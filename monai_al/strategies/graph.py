# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the strategies on a graph of all items share."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from monai_al.passes.graph_training import train_graph_encoder
from monai_al.records import Query, Round
from monai_al.selection import candidates
from monai_al.strategies.base import Strategy
from monai_al.strategies.finite_embeddings import finite_embeddings
from monai_al.strategies.groups import groups_of, level_of, stratified_by, turn_of
from monai_al.uncertainty import Measure

__all__ = ["GraphStrategy"]


class GraphStrategy(Strategy):
    """A graph network is trained to tell labeled from unlabeled items; a subclass chooses by what it learned.

    R. Caramalau, B. Bhattarai, T.-K. Kim, "Sequential graph convolutional network for active learning", CVPR 2021. The
    graph joins items whose embeddings point the same way, see :func:`~monai_al.networks.similarity_graph`. Its memory
    grows with the square of the number of items, so a large pool gives a random part of its unlabeled items only, and
    never fewer than are asked for. The initial set is random, and so is every query while nothing is labeled.

    Args:
        embedding: the features, as in :meth:`Strategy.needs`.
        hidden: number of activations of an item.
        dropout: share of them that is dropped in training.
        weight: lambda, of the loss of the unlabeled items.
        epochs: number of steps with the whole graph.
        learning_rate: of Adam.
        weight_decay: of Adam.
        subset: how many unlabeled items the graph holds at most.
        device: where the network is trained.
        progress: whether a terminal shows a progress bar.
        stratified: whether each item is one of the patients with the fewest labeled and chosen items; or ``"volume"``:
            of the volumes.

    Raises:
        ValueError: ``subset`` is no whole number of at least 1, or ``stratified`` is unknown.

    Example:
        >>> GraphStrategy.__abstractmethods__
        frozenset({'choose'})
    """

    def __init__(
        self,
        embedding: str = "bottleneck",
        *,
        hidden: int = 128,
        dropout: float = 0.3,
        weight: float = 1.2,
        epochs: int = 200,
        learning_rate: float = 1e-3,
        weight_decay: float = 5e-4,
        subset: int = 10000,
        device: str = "cpu",
        progress: bool = True,
        stratified: bool | str = False,
    ) -> None:
        if isinstance(subset, bool) or not isinstance(subset, int) or subset < 1:
            raise ValueError(f"subset must be a whole number of at least 1, got {subset!r}")
        self.embedding = embedding
        self.training = {
            "hidden": hidden,
            "dropout": dropout,
            "weight": weight,
            "epochs": epochs,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
        }
        self.subset = subset
        self.device = device
        self.progress = progress
        self.level = level_of(stratified)
        name = self.name if embedding == "bottleneck" else f"{self.name} ({embedding})"
        self.name = stratified_by(name, self.level)

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return {self.embedding: self.embedding}

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        unlabeled, budget = candidates(len(round.pool), budget, round.labeled)
        features = finite_embeddings(self, round, self.embedding)
        if len(round.labeled) == 0 or budget == 0:
            picks = round.rng("graph start").permutation(unlabeled)[:budget]
            return self.make_query(round, picks, reasons=["drawn: nothing is labeled"] * budget)
        part = self._part(unlabeled, budget, round.rng("graph subset"))
        positions = np.concatenate([round.labeled, part])
        in_graph = np.arange(len(round.labeled))
        probabilities, activations = train_graph_encoder(
            features[positions],
            np.arange(len(positions)) < len(in_graph),
            seed=int(round.rng("graph").integers(2**62)),
            device=self.device,
            progress=self.progress,
            **self.training,
        )
        groups = groups_of(round.pool, self.level)
        picks, scores, reason = self.choose(
            probabilities, activations, budget, in_graph, groups=None if groups is None else groups[positions]
        )
        reasons = [turn_of(f"{reason}, pick {n}", self.level) for n in range(1, budget + 1)]
        return self.make_query(round, positions[picks], scores, reasons)

    @abstractmethod
    def choose(
        self,
        probabilities: np.ndarray,
        activations: np.ndarray,
        budget: int,
        labeled: np.ndarray,
        groups: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Positions in the graph, their scores, and why.

        Args:
            probabilities: of being labeled ``(N,)``.
            activations: ``(N, hidden)``.
            budget: how many items.
            labeled: positions in the graph that may not be chosen.
            groups: ``(N,)`` the patient or volume of each item, where those take turns.
        """

    def _part(self, unlabeled: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
        size = max(self.subset, budget)
        return unlabeled if len(unlabeled) <= size else np.sort(rng.choice(unlabeled, size, replace=False))
