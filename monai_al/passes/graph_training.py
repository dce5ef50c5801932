# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Training of a graph network to tell labeled from unlabeled items."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor
from tqdm import trange

from monai_al.data.seeding import seeded
from monai_al.networks.graph_encoder import GraphEncoder, similarity_graph

__all__ = ["graph_loss", "train_graph_encoder"]


def graph_loss(logits: Tensor, labeled: Tensor, weight: float = 1.2) -> Tensor:
    """The binary cross entropy of the labeled and, weighted, of the unlabeled items, each group averaged.

    R. Caramalau, B. Bhattarai, T.-K. Kim, "Sequential graph convolutional network for active learning", CVPR 2021,
    eq. 5: with the probability s of being labeled, - mean of log s over the labeled - ``weight`` * mean of log(1 - s)
    over the unlabeled items. A group without items adds nothing.

    Args:
        logits: ``(N,)`` of being labeled.
        labeled: ``(N,)``, bool.
        weight: lambda.

    Example:
        >>> graph_loss(torch.zeros(3), torch.tensor([True, False, False]), weight=2.0)
        tensor(2.0794)
    """
    losses = F.softplus(torch.where(labeled, -logits, logits))
    groups = ((1.0, losses[labeled]), (weight, losses[~labeled]))
    return sum((factor * group.mean() for factor, group in groups if len(group)), losses.new_zeros(()))


def train_graph_encoder(
    features: ArrayLike,
    labeled: ArrayLike,
    *,
    hidden: int = 128,
    dropout: float = 0.3,
    weight: float = 1.2,
    epochs: int = 200,
    learning_rate: float = 1e-3,
    weight_decay: float = 5e-4,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Train a :class:`~monai_al.networks.GraphEncoder` on the graph of all items, with Adam.

    The process's own random state stays untouched. Memory grows with the square of the number of items.

    Args:
        features: ``(N, D)``, finite.
        labeled: ``(N,)``, bool.
        hidden: of the network.
        dropout: of the network.
        weight: of :func:`graph_loss`.
        epochs: number of steps, each with the whole graph.
        learning_rate: of Adam.
        weight_decay: of Adam.
        seed: fixes the first weights and the dropout.
        device: where to train.
        progress: whether a terminal shows a progress bar.

    Returns:
        Of each item, in evaluation mode: the probability of being labeled ``(N,)``, float64, and the activations
        ``(N, hidden)``, float32.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(6, 4))
        >>> probabilities, activations = train_graph_encoder(features, np.arange(6) < 2, hidden=8, epochs=2)
        >>> probabilities.shape, activations.shape
        ((6,), (6, 8))
    """
    mask = torch.as_tensor(np.asarray(labeled, dtype=bool), device=device)
    rows, adjacency = similarity_graph(torch.as_tensor(np.asarray(features, dtype=np.float32)).to(device))
    aggregated = adjacency @ rows
    with seeded(seed, device), torch.enable_grad():
        network = GraphEncoder(rows.shape[1], hidden, dropout).to(device)
        optimizer = torch.optim.Adam(network.parameters(), learning_rate, weight_decay=weight_decay)
        for _ in trange(epochs, desc="graph", unit="epoch", disable=None if progress else True, leave=False):
            optimizer.zero_grad()
            graph_loss(network.from_aggregated(aggregated, adjacency)[0], mask, weight).backward()
            optimizer.step()
    with torch.no_grad():
        logits, activations = network.eval().from_aggregated(aggregated, adjacency)
    return logits.double().sigmoid().cpu().numpy(), activations.cpu().numpy()
