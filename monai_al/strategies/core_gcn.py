# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items that cover what a graph network learned of the pool."""

from __future__ import annotations

import numpy as np

from monai_al.selection import k_center_greedy
from monai_al.strategies.coreset import distances_to_centers
from monai_al.strategies.graph import GraphStrategy

__all__ = ["CoreGCN"]


class CoreGCN(GraphStrategy):
    """The items farthest from all labeled ones by what a graph network learned: k-center greedy on its activations.

    An item's score is its distance to the nearest labeled or earlier chosen one. See
    :class:`~monai_al.strategies.graph.GraphStrategy` for the paper and the arguments.

    Example:
        >>> from monai_al.records import Item, Pool, Round
        >>> pool = Pool([Item(str(i), "", "v", "p") for i in range(8)])
        >>> rows = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
        >>> round = Round(1, pool, labeled=[0, 5], seed=0, embeddings={"bottleneck": rows})
        >>> len(CoreGCN(epochs=5).query(round, budget=3).ids)
        3
    """

    name = "core gcn"

    def choose(
        self,
        probabilities: np.ndarray,
        activations: np.ndarray,
        budget: int,
        labeled: np.ndarray,
        groups: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """See :meth:`GraphStrategy.choose`."""
        picks = k_center_greedy(activations, budget, labeled, device=self.device, groups=groups)
        return picks, distances_to_centers(activations, picks, labeled), "k-center of the graph's activations"
