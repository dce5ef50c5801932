# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from monai_al.networks import GraphEncoder, similarity_graph


def graph_by_loops(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and adjacency, one number at a time."""
    n = len(features)
    rows = np.array([row / np.linalg.norm(row) if np.linalg.norm(row) > 0 else row for row in features])
    adjacency = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            similarity = float(rows[i] @ rows[j]) - (1.0 if i == j else 0.0)
            adjacency[i, j] = 0.0 if i == j else max(0.0, similarity)
    for j in range(n):
        total = sum(adjacency[i, j] for i in range(n))
        for i in range(n):
            adjacency[i, j] = adjacency[i, j] / total if total > 0 else 0.0
    return rows, adjacency + np.eye(n)


def features_of(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 1), (7, 2), (20, 5), (40, 30)])
def test_the_graph_equals_loops(n, d):
    features = features_of(n, d)
    if n > 6:
        features[3] = 0  # no direction: joined with nothing
        features[4] = features[5] * 7  # the same direction, whatever the length
    expected_rows, expected = graph_by_loops(features)
    rows, adjacency = similarity_graph(torch.from_numpy(features))
    np.testing.assert_allclose(rows, expected_rows, atol=1e-12)
    np.testing.assert_allclose(adjacency, expected, atol=1e-12)


def test_negative_similarities_count_as_zero_and_empty_columns_stay_so():
    _, adjacency = similarity_graph(torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]))
    assert adjacency.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("n", [2, 9, 31])
def test_columns_are_normalized_and_not_rows(n):
    _, adjacency = similarity_graph(torch.from_numpy(np.abs(features_of(n, 4))))
    torch.testing.assert_close(adjacency.sum(0), torch.full((n,), 2.0, dtype=torch.float64))
    assert n == 2 or not torch.allclose(adjacency, adjacency.T)


def test_the_features_stay_as_they_are():
    features = torch.from_numpy(features_of(5, 3))
    before = features.clone()
    similarity_graph(features)
    assert torch.equal(features, before)


@pytest.mark.parametrize(("n", "d", "hidden"), [(1, 1, 1), (6, 3, 4), (25, 10, 16)])
def test_forward_equals_the_formula(n, d, hidden):
    rows, adjacency = graph_by_loops(features_of(n, d, seed=n))
    torch.manual_seed(0)
    network = GraphEncoder(d, hidden).double().eval()
    w1, b1, w2, b2 = (p.detach().numpy() for p in network.parameters())
    activations = np.maximum(adjacency @ rows @ w1.T + b1, 0)
    logits = adjacency @ activations @ w2.T + b2
    found, hidden_found = network(*similarity_graph(torch.from_numpy(features_of(n, d, seed=n))))
    np.testing.assert_allclose(hidden_found.detach(), activations, atol=1e-12)
    np.testing.assert_allclose(found.detach(), logits[:, 0], atol=1e-12)


def test_known_products_give_the_same():
    torch.manual_seed(0)
    network = GraphEncoder(4, 8).eval()
    rows, adjacency = similarity_graph(torch.randn(9, 4))
    for one, other in zip(network(rows, adjacency), network.from_aggregated(adjacency @ rows, adjacency), strict=True):
        assert torch.equal(one, other)


def test_dropout_acts_on_the_logits_in_training_alone():
    torch.manual_seed(0)
    network = GraphEncoder(4, 64, dropout=0.5)
    graph = similarity_graph(torch.randn(9, 4))
    assert isinstance(network.dropout, nn.Dropout)
    first, second = network(*graph), network(*graph)
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])  # the activations are those before dropout
    network.eval()
    assert torch.equal(network(*graph)[0], network(*graph)[0])
