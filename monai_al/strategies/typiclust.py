# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The typical items of the clusters that have the fewest labeled ones."""

from __future__ import annotations

from monai_al.handlers.needs import before_training
from monai_al.records import Query, Round
from monai_al.selection import candidates, check_small_clusters, typical_of_clusters
from monai_al.strategies.base import Strategy
from monai_al.strategies.finite_embeddings import finite_embeddings
from monai_al.strategies.groups import groups_of, level_of, stratified_by, turn_of
from monai_al.uncertainty import Measure

__all__ = ["TypiClust"]


class TypiClust(Strategy):
    """The most typical items of the clusters that have the fewest labeled ones.

    G. Hacohen, A. Dekel, D. Weinshall, "Active learning on a budget: opposite strategies suit high and low budgets",
    ICML 2022, algorithm 1, as :func:`~monai_al.selection.typical_of_clusters` tells it: as many clusters as there will
    be labeled items, and from each the item with the nearest neighbors. It is meant for small budgets, and chooses the
    initial set itself.

    Args:
        embedding: features whose length is of no account: ``"encoder"``, or another one of :meth:`Strategy.needs`. With
            one of the trained network the initial set is random.
        small_clusters: of clusters with 5 items and fewer: ``"lower"`` takes them where the others are fewer than the
            budget, as always at the start; ``"drop"``, as the paper's authors do, takes several items of the others.
        stratified: whether each cluster gives an item of the patients with the fewest labeled and chosen ones; or
            ``"volume"``: of the volumes.

    Raises:
        ValueError: ``small_clusters`` or ``stratified`` is unknown.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> import numpy as np
        >>> pool = Pool([Item(i, i, i, i) for i in "abcdef"])
        >>> rows = np.array([[1.0, 0.0], [1.0, 0.01], [1.0, 0.02], [0.0, 1.0], [0.01, 1.0], [0.02, 1.0]])
        >>> round = Round(1, pool, labeled=[0], seed=0, embeddings={"encoder": rows})
        >>> TypiClust().query(round, budget=1).items[0].reason
        'typical of a cluster with few labeled items, pick 1'
    """

    def __init__(
        self, embedding: str = "encoder", *, small_clusters: str = "lower", stratified: bool | str = False
    ) -> None:
        check_small_clusters(small_clusters)
        self.embedding = embedding
        self.small_clusters = small_clusters
        self.level = level_of(stratified)
        name = "typiclust" if embedding == "encoder" else f"typiclust ({embedding})"
        self.name = stratified_by(name, self.level)

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return {self.embedding: self.embedding}

    def initial_needs(self) -> dict[str, Measure | str] | None:
        """See :meth:`Strategy.initial_needs`."""
        return self.needs() if before_training(self.embedding) else None

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        _, budget = candidates(len(round.pool), budget, round.labeled)
        embeddings = finite_embeddings(self, round, self.embedding)
        picks = typical_of_clusters(
            embeddings,
            budget,
            round.labeled,
            round.rng("typiclust"),
            small_clusters=self.small_clusters,
            groups=groups_of(round.pool, self.level),
        )
        reason = "typical of a cluster with few labeled items, pick"
        reasons = [turn_of(f"{reason} {n}", self.level) for n in range(1, budget + 1)]
        return self.make_query(round, picks, reasons=reasons)
