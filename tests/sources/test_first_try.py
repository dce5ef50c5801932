# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer
from torch import nn

from monai_al.inferers import TrainedNetwork
from monai_al.sources.first_try import check_samples
from monai_al.uncertainty import Augmentation, Measure

IMAGE = torch.zeros(1, 8, 8)


def trained(network: nn.Module) -> TrainedNetwork:
    return TrainedNetwork(network, torch.device("cpu"), SimpleInferer(), "softmax")


class Idle(nn.Module):
    """Its dropout is never called."""

    def __init__(self):
        super().__init__()
        self.conv, self.drop = nn.Conv2d(1, 2, 1), nn.Dropout(0.5)

    def forward(self, x):
        return self.conv(x)


@pytest.mark.parametrize("measure", ["mc_dropout", "bald"])
@pytest.mark.parametrize(
    ("network", "says"),
    [(nn.Conv2d(1, 2, 1), "Conv2d has no active dropout layer"), (Idle(), "passes of Idle .* are equal bit for bit")],
    ids=["none", "idle"],
)
def test_passes_that_cannot_differ_are_refused(measure, network, says):
    with pytest.raises(ValueError, match=says):
        check_samples(trained(network), [Measure.of("entropy"), Measure.of(measure)], IMAGE)


def test_flips_of_a_network_that_sees_single_pixels_are_refused():
    tta = Measure.of("tta", augmentation=Augmentation(rotation=0.0, noise=0.0, flips=True))
    with pytest.raises(ValueError, match="Conv2d predicts augmented copies of an image exactly like the image"):
        check_samples(trained(nn.Conv2d(1, 2, 1)), [tta], IMAGE)


@pytest.mark.parametrize("measure", ["entropy", "mc_dropout", "bald", "tta", "ensemble_variance"])
def test_an_untrained_network_is_no_alarm_and_stays_as_it_is(measure):
    """Its head is all zeros at first, so that all predictions are equal."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(0.01), nn.Conv2d(4, 2, 1))
    nn.init.zeros_(network[2].weight)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_samples(trained(network), [Measure.of(measure)], IMAGE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network[1].p == 0.01
    assert network.training
