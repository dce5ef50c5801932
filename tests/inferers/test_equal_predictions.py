# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import nn

from monai_al.inferers import refuse_equal_predictions
from monai_al.networks import DropoutUNet, MeanOfMembers

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = torch.zeros(2, 1, 8, 8)


class Tokens(nn.Module):
    """Each row of an image is a token of a transformer layer."""

    def __init__(self, fused: bool):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True, norm_first=not fused)
        if not fused:
            self.layer.activation_relu_or_gelu = 0  # no fast path for such a layer

    def forward(self, x):
        return self.layer(x[:, 0])[:, None].repeat(1, 2, 1, 1)


class Branches(nn.Module):
    """The branch with dropout is computed, and not used."""

    def __init__(self):
        super().__init__()
        self.conv, self.branch = nn.Conv2d(1, 2, 1), nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout(0.5))

    def forward(self, x):
        self.branch(x)
        return self.conv(x)


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(1, 2, 1), nn.Dropout(0.5), nn.Dropout2d(0.1)

    def forward(self, x):
        return self.conv(x)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (
            Tokens(fused=True),
            "layer.dropout, .* have no effect on its output: a fused layer such as ",
        ),
        (Branches(), "its dropout layers branch.1 have no effect on its output: .* or their branch is not used"),
        (Idle(), "its dropout layers first, second are not called in its forward pass; call them there; or choose"),
    ],
    ids=["fused", "branch", "idle"],
)
@pytest.mark.parametrize("inferer", [None, SlidingWindowInferer((8, 8))], ids=["one call", "windows"])
def test_dropout_without_effect_is_refused_with_its_cause(network, says, inferer):
    with pytest.raises(ValueError, match=f"passes of {type(network).__name__} with its dropout on are equal .*{says}"):
        refuse_equal_predictions("dropout", IMAGES, network.eval(), inferer=inferer)


def test_what_the_message_says_about_fused_layers_helps():
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        refuse_equal_predictions("dropout", IMAGES, Tokens(fused=True).eval())
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


@pytest.mark.parametrize(
    "network",
    [
        Tokens(fused=False),
        nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout(1e-9)),  # too small a rate to be seen in any pass
        nn.Sequential(nn.Dropout3d(0.1), nn.Conv2d(1, 2, 1)),
        nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout2d(0.5)),  # all or nothing
        DropoutUNet(channels=(4, 8), dropout=0.1),
    ],
    ids=["transformer", "tiny rate", "whole image", "one channel", "unet"],
)
def test_dropout_that_acts_is_no_alarm_and_all_is_as_before(network):
    rates = {name: module.p for name, module in network.named_modules() if hasattr(module, "p")}
    state, weights = torch.get_rng_state(), copy.deepcopy(network.eval().state_dict())
    refuse_equal_predictions("dropout", IMAGES, network)
    assert rates == {name: module.p for name, module in network.named_modules() if hasattr(module, "p")}
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert not any(module.training or module._forward_hooks for module in network.modules())


def test_a_network_that_does_not_see_the_changes_of_its_images():
    flips = {"rotation": 0.0, "noise": 0.0, "flips": True, "quarter_turns": False}
    with pytest.raises(ValueError, match="Conv2d predicts augmented copies of an image exactly like the image"):
        refuse_equal_predictions("augmentation", IMAGES, nn.Conv2d(1, 2, 1), augmentation=flips)
    refuse_equal_predictions("augmentation", IMAGES, nn.Conv2d(1, 2, 1))  # turned and noisy
    refuse_equal_predictions("augmentation", IMAGES, nn.Conv2d(1, 2, 3, padding=1), augmentation=flips)


def test_members_of_equal_weights():
    one, two = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)
    refuse_equal_predictions("members", IMAGES, MeanOfMembers([one, two], torch.sigmoid))
    refuse_equal_predictions("members", IMAGES, MeanOfMembers([nn.Identity(), nn.Tanh()], torch.sigmoid))
    for members, numbers in (([one, two, one], "0 and 2"), ([one, two, copy.deepcopy(two)], "1 and 2")):
        with pytest.raises(ValueError, match=f"members {numbers} have the same weights, bit for bit"):
            refuse_equal_predictions("members", IMAGES, MeanOfMembers(members, torch.sigmoid))
