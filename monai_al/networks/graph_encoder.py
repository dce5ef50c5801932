# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A graph of all items, and a network on it that tells labeled from unlabeled ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GraphEncoder", "similarity_graph"]


def similarity_graph(features: Tensor) -> tuple[Tensor, Tensor]:
    """The items' unit features, and how strongly each item is joined with each other one.

    R. Caramalau, B. Bhattarai, T.-K. Kim, "Sequential graph convolutional network for active learning", CVPR 2021,
    section 3.2: with rows X of length 1, the similarities X X^T - I, each column divided by its sum, + I. Negative
    similarities count as 0 here, so that no sum vanishes by cancellation; a column of zeros stays 0 before I is added.

    Args:
        features: ``(N, D)``; a row of zeros stays one.

    Returns:
        The rows ``(N, D)`` of length 1, and the adjacency ``(N, N)``, the one matrix of this size that is made.

    Example:
        >>> similarity_graph(torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, -3.0]]))[1]
        tensor([[1., 1., 0.],
                [1., 1., 0.],
                [0., 0., 1.]])
    """
    rows = F.normalize(features, dim=1)
    adjacency = (rows @ rows.T).clamp_(min=0).fill_diagonal_(0)
    sums = adjacency.sum(0)
    adjacency.div_(torch.where(sums > 0, sums, 1.0))
    adjacency.diagonal().add_(1)
    return rows, adjacency


class GraphEncoder(nn.Module):
    """Two graph convolutions: from the features of all items to the logit of each one being labeled.

    R. Caramalau, B. Bhattarai, T.-K. Kim, "Sequential graph convolutional network for active learning", CVPR 2021,
    eq. 4: with adjacency A, features X and dropout d, the activations are H = relu(A X W1 + b1) and the logits
    A d(H) W2 + b2.

    Args:
        in_features: D.
        hidden: number of activations of an item.
        dropout: share of the activations that is dropped in training.

    Example:
        >>> features, adjacency = similarity_graph(torch.randn(6, 5))
        >>> logits, activations = GraphEncoder(5, hidden=8)(features, adjacency)
        >>> logits.shape, activations.shape
        (torch.Size([6]), torch.Size([6, 8]))
    """

    def __init__(self, in_features: int, hidden: int = 128, dropout: float = 0.3) -> None:
        super().__init__()
        self.first = nn.Linear(in_features, hidden)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, adjacency: Tensor) -> tuple[Tensor, Tensor]:
        """The logits ``(N,)`` and the activations ``(N, hidden)``, as they are before dropout.

        Args:
            features: X ``(N, D)``.
            adjacency: A ``(N, N)``.
        """
        return self.from_aggregated(adjacency @ features, adjacency)

    def from_aggregated(self, aggregated: Tensor, adjacency: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`forward` where A X ``(N, D)`` is known already: it is the same in every epoch.

        Args:
            aggregated: A X ``(N, D)``.
            adjacency: A ``(N, N)``.
        """
        activations = F.relu(self.first(aggregated))
        values = self.dropout(activations) @ self.second.weight[0]
        return adjacency @ values + self.second.bias, activations
