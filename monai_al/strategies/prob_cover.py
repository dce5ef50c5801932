# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items whose balls cover most of the pool."""

from __future__ import annotations

from monai_al.handlers.needs import before_training
from monai_al.records import Query, Round, rng
from monai_al.selection import candidates, check_share, newly_held, prob_cover, radius_of_clusters
from monai_al.strategies.base import Strategy
from monai_al.strategies.finite_embeddings import finite_embeddings
from monai_al.uncertainty import Measure

__all__ = ["ProbCover"]


class ProbCover(Strategy):
    """The items whose balls hold most items that no ball of a labeled or chosen one holds yet.

    O. Yehuda, A. Dekel, G. Hacohen, D. Weinshall, "Active learning through a covering lens", NeurIPS 2022, see
    :func:`~monai_al.selection.prob_cover`. The radius follows from embeddings, seed and first budget alone, so that it
    is the same in all rounds, also of a run that goes on. The strategy chooses the initial set itself.

    Args:
        embedding: as in :class:`~monai_al.strategies.TypiClust`.
        k: clusters, at least 2; None: as many as the initial set has items or, where unknown, as are labeled now.
        purity: share of the balls that hold items of one cluster only, in [0, 1].

    Example:
        >>> from monai_al.records import Item, Pool
        >>> rows = [[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0], [0.1, 1.0]]
        >>> round = Round(0, Pool([Item(i, i, i, i) for i in "abcde"]), [], seed=0, embeddings={"encoder": rows})
        >>> [(item.id, item.reason) for item in ProbCover().query(round, budget=2).items]
        [('a', 'first to hold 3 items'), ('d', 'first to hold 2 items')]
    """

    def __init__(self, embedding: str = "encoder", k: int | None = None, purity: float = 0.95) -> None:
        check_share(purity, "purity")
        if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 2):
            raise ValueError(f"k must be a number of clusters, at least 2, got {k!r}")
        self.embedding, self.k, self.purity = embedding, k, purity
        self.name = "prob cover" if embedding == "encoder" else f"prob cover ({embedding})"

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return {self.embedding: self.embedding}

    def initial_needs(self) -> dict[str, Measure | str] | None:
        """See :meth:`Strategy.initial_needs`."""
        return self.needs() if before_training(self.embedding) else None

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        _, budget = candidates(len(round.pool), budget, round.labeled)
        rows = finite_embeddings(self, round, self.embedding)
        k = self.k or max(2, round.first_budget or len(round.labeled) or budget)
        delta = radius_of_clusters(rows, k, self.purity, rng(round.seed, 0, "prob cover"))
        picks = prob_cover(rows, budget, delta, round.labeled)
        held = newly_held(rows, picks, delta, round.labeled)
        return self.make_query(round, picks, held, [f"first to hold {n} items" for n in held])
