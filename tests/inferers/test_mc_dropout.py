# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from torch import nn

from monai_al.inferers import MCDropoutInferer, dropout_enabled


def network(dropout: float = 0.5) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.Dropout2d(dropout),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4, track_running_stats=True), nn.AlphaDropout(0.1)),
        nn.Dropout(0.0),
        nn.Conv2d(4, 2, 1),
    )


def modes(module: nn.Module) -> list[bool]:
    return [m.training for m in module.modules()]


@pytest.fixture
def mixed() -> nn.Sequential:
    """A network whose modules stand in different modes."""
    net = network().train()
    net[1].eval()
    net[3][2].eval()
    return net


def test_only_active_dropout_is_in_training_mode(mixed):
    with dropout_enabled(mixed):
        training = [m for m in mixed.modules() if m.training]
    assert training == [mixed[2], mixed[3][2]]


def test_modes_are_restored(mixed):
    before = modes(mixed)
    with dropout_enabled(mixed):
        assert modes(mixed) != before
    assert modes(mixed) == before


def test_modes_are_restored_after_an_error(mixed):
    before = modes(mixed)
    with pytest.raises(RuntimeError, match="from inside"), dropout_enabled(mixed):
        raise RuntimeError("from inside")
    assert modes(mixed) == before
    with pytest.raises(RuntimeError):
        MCDropoutInferer()(torch.zeros(1, 99, 8, 8), mixed)
    assert modes(mixed) == before


def test_modes_are_restored_between_passes_and_when_they_are_not_used_up(mixed):
    before = modes(mixed)
    passes = MCDropoutInferer(passes=5).samples(torch.zeros(2, 1, 8, 8), mixed)
    next(passes)
    assert modes(mixed) == before
    next(passes)
    del passes
    assert modes(mixed) == before


@pytest.mark.parametrize("net", [nn.Conv2d(1, 1, 1), nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout(0.0)).train()])
def test_no_active_dropout_is_an_error(net):
    before = modes(net)
    with pytest.raises(ValueError, match="no active dropout layer"), dropout_enabled(net):
        pass
    with pytest.raises(ValueError, match="no active dropout layer"):
        MCDropoutInferer()(torch.zeros(1, 1, 4, 4), net)
    assert modes(net) == before


@pytest.mark.parametrize("training", [False, True])
def test_statistics_and_weights_stay_as_they_are(training):
    net = network().train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    MCDropoutInferer(passes=3)(torch.randn(4, 1, 8, 8), net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_passes_differ_and_are_stacked():
    net, image = network(), torch.randn(3, 1, 8, 8)
    stack = MCDropoutInferer(passes=6)(image, net)
    assert stack.shape == (6, 3, 2, 8, 8)
    assert len({tuple(prediction.flatten().tolist()) for prediction in stack}) == 6


def test_mean_over_the_passes_is_that_of_training_mode_dropout():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.25))
    stack = MCDropoutInferer(passes=400, seed=0)(torch.ones(8, 4), net)
    assert stack.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (stack == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_a_seed_repeats_the_passes_and_leaves_the_random_state_alone():
    net, image = network(), torch.randn(2, 1, 8, 8)
    state = torch.get_rng_state()
    first = MCDropoutInferer(passes=3, seed=1)(image, net)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    assert torch.equal(MCDropoutInferer(passes=3, seed=1)(image, net), first)
    assert not torch.equal(MCDropoutInferer(passes=3, seed=2)(image, net), first)
    assert not torch.equal(first[0], first[1])


def test_the_random_state_is_used_without_a_seed():
    net, image = network(), torch.randn(2, 1, 8, 8)
    torch.manual_seed(3)
    first = MCDropoutInferer(passes=2)(image, net)
    torch.manual_seed(3)
    assert torch.equal(MCDropoutInferer(passes=2)(image, net), first)


def test_takes_another_inferer_and_monai_networks():
    net = UNet(2, 1, 3, channels=(4, 8), strides=(2,), dropout=0.3)
    inferer = MCDropoutInferer(passes=2, inferer=SlidingWindowInferer((8, 8), progress=False))
    assert inferer(torch.randn(1, 1, 12, 20), net).shape == (2, 1, 3, 12, 20)


def test_passes_on_other_arguments():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x: torch.Tensor, factor: float, offset: float = 0.0) -> torch.Tensor:
            return self.drop(x) * factor + offset

    stack = MCDropoutInferer(passes=2)(torch.zeros(1, 2), Scaled(), 2.0, offset=3.0)
    assert torch.equal(stack, torch.full((2, 1, 2), 3.0))


@pytest.mark.parametrize("passes", [0, -1, 2.5, True])
def test_refuses_a_wrong_number_of_passes(passes):
    with pytest.raises(ValueError, match="passes"):
        MCDropoutInferer(passes=passes)
