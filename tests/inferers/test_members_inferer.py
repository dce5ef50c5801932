# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import functools

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_al.inferers import MembersInferer
from monai_al.networks import MeanOfMembers

softmax = functools.partial(torch.softmax, dim=1)


def ensemble(count: int = 3) -> MeanOfMembers:
    torch.manual_seed(0)
    return MeanOfMembers([nn.Conv2d(1, 2, 3, padding=1) for _ in range(count)], softmax, inverse=torch.log)


@pytest.mark.parametrize("count", [2, 5])
def test_each_member_gives_its_own_probabilities(count):
    network, x = ensemble(count), torch.rand(4, 1, 6, 7)
    stack = MembersInferer()(x, network)
    assert stack.shape == (count, 4, 2, 6, 7)
    for probs, member in zip(stack, network.members, strict=True):
        assert torch.equal(probs, member(x).softmax(1))
    assert torch.allclose(stack.mean(0).log(), network(x), atol=1e-6)
    assert not torch.equal(stack[0], stack[1])


def test_members_are_asked_one_after_the_other():
    network, asked = ensemble(), []
    for number, member in enumerate(network.members):
        member.register_forward_hook(lambda *_, number=number: asked.append(number))
    predictions = MembersInferer().samples(torch.rand(1, 1, 4, 4), network)
    assert asked == []
    next(predictions)
    assert asked == [0]
    assert len(list(predictions)) == 2


def test_takes_another_inferer():
    network, x = ensemble(), torch.rand(2, 1, 12, 20)
    stack = MembersInferer(SlidingWindowInferer((8, 8), progress=False))(x, network)
    assert stack.shape == (3, 2, 2, 12, 20)


def test_passes_on_other_arguments():
    class Scaled(nn.Module):
        def forward(self, x: Tensor, factor: float, *, offset: float) -> Tensor:
            return x * factor + offset

    stack = MembersInferer()(torch.ones(1, 1), MeanOfMembers([Scaled(), Scaled()], torch.sigmoid), 2.0, offset=1.0)
    assert torch.equal(stack, torch.sigmoid(torch.full((2, 1, 1), 3.0)))


@pytest.mark.parametrize("network", [nn.Conv2d(1, 2, 1), nn.ModuleList([nn.Identity()] * 2), ensemble(1)])
def test_one_network_is_an_error_before_it_is_asked(network):
    with pytest.raises(ValueError, match="--members 2 or more.*MeanOfMembers"):
        MembersInferer().samples(torch.rand(1, 1, 4, 4), network)
