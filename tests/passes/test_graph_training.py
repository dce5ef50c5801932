# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.passes import train_graph_encoder
from monai_al.passes.graph_training import graph_loss

SMALL = {"hidden": 8, "epochs": 5}


def loss_by_loops(logits, labeled, weight) -> float:
    groups: dict[bool, list[float]] = {True: [], False: []}
    for logit, is_labeled in zip(logits, labeled, strict=True):
        s = 1 / (1 + np.exp(-logit))
        groups[bool(is_labeled)].append(np.log(s) if is_labeled else np.log(1 - s))
    means = {kind: sum(group) / len(group) if group else 0.0 for kind, group in groups.items()}
    return -means[True] - weight * means[False]


@settings(deadline=None, max_examples=60)
@given(data=st.data(), n=st.integers(1, 12), weight=st.sampled_from([0.0, 1.0, 1.2, 5.0]))
def test_the_loss_equals_loops(data, n, weight):
    logits = data.draw(st.lists(st.floats(-20, 20), min_size=n, max_size=n))
    labeled = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    found = graph_loss(torch.tensor(logits, dtype=torch.float64), torch.tensor(labeled), weight)
    assert float(found) == pytest.approx(loss_by_loops(logits, labeled, weight), rel=1e-6, abs=1e-6)


def test_the_loss_is_finite_and_has_a_gradient_far_out():
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = graph_loss(logits, torch.tensor([True, False]), weight=2.0)
    loss.backward()
    assert loss == 3e4
    assert logits.grad.tolist() == [-1.0, 2.0]


def test_groups_of_any_size_weigh_the_same():
    """Each mean is over its own group: many unlabeled items do not drown the labeled ones."""
    few = graph_loss(torch.tensor([1.0, -0.5]), torch.tensor([True, False]))
    many = graph_loss(torch.tensor([1.0] + [-0.5] * 99), torch.arange(100) < 1)
    torch.testing.assert_close(few, many)


def two_groups(n=30, seed=0):
    """Features in two directions, the labeled ones all in the first."""
    rng = np.random.default_rng(seed)
    features = rng.normal(scale=0.1, size=(n, 6))
    features[: n // 2, 0] += 1
    features[n // 2 :, 1] += 1
    return features, np.arange(n) < n // 2


def test_labeled_and_unlabeled_are_told_apart():
    features, labeled = two_groups()
    probabilities, activations = train_graph_encoder(features, labeled, hidden=16, epochs=200)
    assert probabilities[labeled].min() > 0.5 > probabilities[~labeled].max()
    between = np.linalg.norm(activations[labeled].mean(0) - activations[~labeled].mean(0))
    within = activations[labeled].std(0).max()
    assert between > 3 * within


def test_results_are_those_of_the_formula_after_no_training():
    features, labeled = two_groups(8)
    probabilities, activations = train_graph_encoder(features, labeled, hidden=4, epochs=0, seed=3)
    assert probabilities.dtype == np.float64
    assert activations.dtype == np.float32
    assert (activations >= 0).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_the_seed_fixes_all_and_the_random_state_stays():
    features, labeled = two_groups()
    torch.manual_seed(1)
    np.random.seed(1)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    one = train_graph_encoder(features, labeled, seed=5, **SMALL)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numpy_before
    torch.manual_seed(2)
    np.testing.assert_array_equal(one[1], train_graph_encoder(features, labeled, seed=5, **SMALL)[1])
    assert not np.array_equal(one[1], train_graph_encoder(features, labeled, seed=6, **SMALL)[1])


def test_threads_gradients_and_features_stay_as_they_are():
    features, labeled = two_groups()
    before, threads = features.copy(), torch.get_num_threads()
    with torch.no_grad():
        one = train_graph_encoder(features, labeled, **SMALL)
        assert not torch.is_grad_enabled()
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(features, before)
    np.testing.assert_array_equal(one[1], train_graph_encoder(features, labeled, **SMALL)[1])


def test_the_order_of_the_items_does_not_matter():
    features, labeled = two_groups()
    order = np.random.default_rng(1).permutation(len(labeled))
    settings = {**SMALL, "dropout": 0.0}
    probabilities, activations = train_graph_encoder(features, labeled, **settings)
    moved = train_graph_encoder(features[order], labeled[order], **settings)
    np.testing.assert_allclose(moved[0], probabilities[order], atol=1e-5)
    np.testing.assert_allclose(moved[1], activations[order], atol=1e-4)


@pytest.mark.parametrize("labeled", [[], [0], [0, 1, 2]])
def test_any_number_of_labeled_items(labeled):
    mask = np.isin(np.arange(3), labeled)
    probabilities, activations = train_graph_encoder(np.eye(3), mask, **SMALL)
    assert np.isfinite(probabilities).all()
    assert np.isfinite(activations).all()
