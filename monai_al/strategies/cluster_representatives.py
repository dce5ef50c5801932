# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items nearest to the centroids of clusters, of each cluster by its share of the pool."""

from __future__ import annotations

from monai_al.handlers.needs import before_training
from monai_al.records import Query, Round, rng
from monai_al.selection import candidates, clusters_of_all, fewer_clusters, nearest_by_quota
from monai_al.strategies.base import Strategy
from monai_al.strategies.finite_embeddings import finite_embeddings
from monai_al.uncertainty import Measure

__all__ = ["ClusterRepresentatives"]


class ClusterRepresentatives(Strategy):
    """The items nearest to the centroids of a few clusters, of each cluster by its share of the pool.

    Z. Zhao et al., "Self-supervised assisted active learning for skin lesion segmentation" (SAAL), EMBC 2022: k-means,
    and of each cluster its quota, see :func:`~monai_al.selection.nearest_by_quota`. The clusters follow from the
    embeddings, the seed and ``k`` alone. Where the embeddings stay the same, so do clusters and ranking in all rounds,
    also of a run that goes on: each cluster is continued where it stopped. With an embedding of the trained network
    they are new in each round, labeled items count for the clusters that they are in then, and the initial set is
    random; else the strategy chooses it itself.
    An item's score is minus its distance to the centroid of its cluster.

    Args:
        embedding: ``"encoder"``, or another one of :meth:`Strategy.needs`, such as ``"bottleneck:2"``.
        k: clusters, at least 1; as many as the initial set has items where that is smaller (with ``"one_stop"``, as the
            run asks for in all; with an embedding of the trained network, as are labeled after the query).
        mode: ``"iterative"``: a query is what brings the labeled items to the quotas of their number after it;
            ``"one_stop"``: the items of all rounds are chosen at once by the quotas of their number, and the queries
            hand them out in parts. Where this number is unknown, or reached, it goes on as ``"iterative"``.

    Raises:
        ValueError: ``k`` or ``mode`` is none of these, or ``"one_stop"`` has an embedding of the trained network.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> import numpy as np
        >>> rows = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [50.0], [51.0], [52.0]])
        >>> round = Round(0, Pool([Item(i, i, i, i) for i in "abcdefgh"]), [], seed=0, embeddings={"encoder": rows})
        >>> [(item.id, item.score) for item in ClusterRepresentatives(k=2).query(round, budget=3).items]
        [('g', 0.0), ('c', 0.0), ('f', -1.0)]
    """

    def __init__(self, embedding: str = "encoder", k: int = 10, *, mode: str = "iterative") -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"k must be a number of clusters, at least 1, got {k!r}")
        if mode not in ("iterative", "one_stop"):
            raise ValueError(f"mode {mode!r} is none of iterative, one_stop")
        if mode == "one_stop" and not before_training(embedding):
            raise ValueError(
                "mode one_stop needs an embedding that stays the same, such as 'encoder' or 'pixels:64', got "
                f"{embedding!r}"
            )
        self.embedding, self.k, self.mode = embedding, k, mode
        self.name = "cluster representatives" if embedding == "encoder" else f"cluster representatives ({embedding})"

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
        if budget == 0:
            return self.make_query(round, [])
        total = len(round.labeled) + budget
        if self.mode == "one_stop":
            total = max(total, min(round.total_budget or 0, len(round.pool)))
        k = fewer_clusters(self.k, self._at_first(round, total))
        clusters, distances = clusters_of_all(rows, k, rng(round.seed, 0, "cluster representatives"))
        picks = nearest_by_quota(clusters, distances, budget, round.labeled, total=total)
        sizes = [int((clusters == clusters[i]).sum()) for i in picks]
        reasons = [f"near the centroid of {n} item{'s' * (n > 1)}" for n in sizes]
        return self.make_query(round, picks, 0 - distances[picks], reasons)

    def _at_first(self, round: Round, total: int) -> int:
        """How many items are to be labeled where the clusters are made: the same in all rounds that keep them."""
        if self.mode == "one_stop" or not before_training(self.embedding):
            return total
        return min(round.first_budget or total, total)
