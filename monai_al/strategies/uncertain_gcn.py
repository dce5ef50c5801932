# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items of which a graph network is uncertain whether they are labeled."""

from __future__ import annotations

import numpy as np

from monai_al.selection import stratified, top_k
from monai_al.strategies.graph import GraphStrategy

__all__ = ["UncertainGCN"]


class UncertainGCN(GraphStrategy):
    """The items whose probability of being labeled lies nearest to a small one.

    An item's score is minus the distance of its probability to ``margin``. See :class:`GraphStrategy` for the paper.

    Args:
        embedding: of :class:`GraphStrategy`.
        margin: the probability that counts as the most uncertain one; small, as few items are labeled.
        **settings: the other arguments of :class:`GraphStrategy`.

    Example:
        >>> strategy = UncertainGCN()
        >>> probabilities = np.array([0.9, 0.5, 0.15, 0.02])
        >>> strategy.choose(probabilities, np.zeros((4, 2)), 2, labeled=np.array([0]))[0]
        array([2, 3])
    """

    name = "uncertain gcn"

    def __init__(self, embedding: str = "bottleneck", *, margin: float = 0.1, **settings: int | float | str) -> None:
        super().__init__(embedding, **settings)  # type: ignore[arg-type]
        self.margin = margin

    def choose(
        self,
        probabilities: np.ndarray,
        activations: np.ndarray,
        budget: int,
        labeled: np.ndarray,
        groups: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """See :meth:`GraphStrategy.choose`."""
        scores = -np.abs(probabilities - self.margin)
        picks = top_k(scores, budget, labeled) if groups is None else stratified(scores, budget, groups, labeled)
        return picks, scores[picks], "the graph is uncertain whether it is labeled"
