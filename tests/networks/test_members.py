# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from monai_al.networks import MeanOfMembers


def members(n, seed=0):
    torch.manual_seed(seed)
    return [torch.nn.Conv2d(2, 3, 3, padding=1) for _ in range(n)]


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("activation", [functools.partial(torch.softmax, dim=1), torch.nn.Softmax(1), torch.sigmoid])
def test_the_mean_of_probabilities(n, activation):
    networks = members(n)
    x = torch.rand(2, 2, 6, 5)
    found = MeanOfMembers(networks, activation)(x)
    expected = np.mean([activation(network(x)).detach().numpy() for network in networks], axis=0)
    np.testing.assert_allclose(found.detach(), expected, atol=1e-6)
    if activation is not torch.sigmoid:
        np.testing.assert_allclose(found.sum(1).detach(), 1, atol=1e-6)


def test_it_is_the_mean_of_probabilities_and_not_of_logits():
    low, high = torch.nn.Identity(), torch.nn.Identity()
    low.forward, high.forward = (lambda x: x - 4), (lambda x: x + 8)
    mean = MeanOfMembers([low, high], torch.sigmoid)(torch.zeros(1, 1))
    assert mean.item() == pytest.approx((1 / (1 + np.exp(4)) + 1 / (1 + np.exp(-8))) / 2)


def test_modes_weights_and_arguments_reach_all_members():
    network = MeanOfMembers(members(3), torch.sigmoid)
    assert len(list(network.parameters())) == 6
    assert len(network.members) == 3
    network.eval()
    assert not any(module.training for module in network.modules())

    class Scaled(torch.nn.Module):
        def forward(self, x, factor, *, offset=0.0):
            return x * factor + offset

    found = MeanOfMembers([Scaled(), Scaled()], torch.nn.Identity())(torch.ones(1, 1), 3, offset=0.5)
    assert found.item() == 3.5


def test_no_members_are_refused():
    with pytest.raises(ValueError, match="no members"):
        MeanOfMembers([], torch.sigmoid)


@pytest.mark.parametrize(
    ("activation", "inverse"), [(torch.sigmoid, torch.logit), (functools.partial(torch.softmax, dim=1), torch.log)]
)
def test_a_pipeline_that_applies_the_activation_itself_gets_the_mean_back(activation, inverse):
    networks = members(3)
    x = torch.rand(2, 2, 6, 5)
    mean = MeanOfMembers(networks, activation)(x)
    raw = MeanOfMembers(networks, activation, inverse)(x)
    torch.testing.assert_close(activation(raw), mean)
    assert not torch.allclose(raw, mean)
