# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import pytest
import torch
from monai.networks.nets import BasicUNet, UNet

from monai_al.inferers import MCDropoutInferer, dropout_enabled
from monai_al.networks import DualBranchUNet, LevelDropoutUNet, load_pretrained

WIDTHS = (4, 6, 8, 10, 12)
LEVELS = ("conv_0", "down_1", "down_2", "down_3", "down_4")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def unet(dims: int = 2, out: int = 3, **options) -> LevelDropoutUNet:
    return LevelDropoutUNet(2, out, features=WIDTHS, spatial_dims=dims, **options)


def decoder_of(state: dict) -> dict:
    return {name: value for name, value in state.items() if name.startswith(("upcat_", "final_conv"))}


@pytest.mark.parametrize(("dims", "upsample"), [(2, "nontrainable"), (2, "deconv"), (3, "nontrainable")])
def test_both_branches_are_u_nets_of_one_encoder(dims, upsample):
    """A plain U-Net with the auxiliary decoder in place of its own gives the auxiliary prediction."""
    network = DualBranchUNet(unet(dims, upsample=upsample), feature_dropout=0.0)
    plain, other = (unet(dims, upsample=upsample) for _ in range(2))
    plain.load_state_dict(network.network.state_dict())
    other.load_state_dict(network.network.state_dict() | network.auxiliary.state_dict())
    x = torch.randn(2, 2, *(33, 32, 35)[:dims])  # odd sides are padded on the way up
    found = []
    for one in (network, plain, other):
        torch.manual_seed(1)  # the encoder's dropout
        found.append(one(x))
    (main, auxiliary), *expected = found
    assert torch.equal(main, expected[0])
    assert torch.equal(auxiliary, expected[1])
    assert not torch.allclose(main, auxiliary)
    assert torch.equal(network.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("dims", [2, 3])
def test_whole_channels_of_every_level_are_dropped_at_the_rate(dims):
    rate, kept = 0.25, {}
    network = DualBranchUNet(unet(dims), feature_dropout=rate)
    for level in LEVELS:
        network.network.get_submodule(level).register_forward_hook(lambda m, i, o, level=level: kept.update({level: o}))
    network.auxiliary.register_forward_pre_hook(lambda m, args: kept.update(given=args[0]))
    x, dropped = torch.randn(16, 2, *(16,) * dims), []
    for _ in range(8):
        network(x)
        for level, given in zip(LEVELS, kept["given"], strict=True):
            features, given = kept[level].flatten(2), given.flatten(2)
            gone = (given == 0).all(2)
            torch.testing.assert_close(given, torch.where(gone[..., None], 0.0, features / (1 - rate)))
            dropped.append(gone.flatten())
    for level in range(len(LEVELS)):
        share = torch.cat(dropped[level :: len(LEVELS)]).float()
        assert abs(share.mean() - rate) < 4 * (rate * (1 - rate) / len(share)) ** 0.5


def test_in_evaluation_mode_nothing_is_drawn_and_the_auxiliary_decoder_is_not_used():
    network = DualBranchUNet(unet()).eval()
    x = torch.randn(2, 2, 32, 32)
    before = torch.get_rng_state()
    first = network(x)
    assert torch.equal(torch.get_rng_state(), before)
    for parameter in network.auxiliary.parameters():
        parameter.data.fill_(float("nan"))
    assert torch.equal(network(x), first)


def test_several_predictions_are_those_of_the_u_net_s_own_dropout():
    x = torch.randn(2, 2, 32, 32)
    passes = MCDropoutInferer(3, seed=0)(x, DualBranchUNet(unet()).eval())
    assert passes.shape == (3, 2, 3, 32, 32)
    assert not torch.equal(passes[0], passes[1])
    without = DualBranchUNet(unet(dropout=(0,) * 5)).eval()
    with pytest.raises(ValueError, match="no active dropout layer"), dropout_enabled(without):
        pass


def test_both_branches_teach_the_encoder():
    network = DualBranchUNet(unet())
    gradients = []
    for branch in range(2):
        network.zero_grad()
        network(torch.randn(2, 2, 32, 32))[branch].square().mean().backward()
        gradients.append(network.network.conv_0.conv_0.conv.weight.grad)
        own, other = network.network.final_conv.weight.grad, network.auxiliary.final_conv.weight.grad
        assert [grad is not None and bool(grad.any()) for grad in (own, other)] == [branch == 0, branch == 1]
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("make", [unet, lambda: BasicUNet(2, 2, 3, (*WIDTHS, 4))])
def test_weights_go_to_a_plain_u_net_and_back(make):
    """But for the last layer, whose channels may mean something else."""
    network, plain = DualBranchUNet(make()), make()
    assert {name.removeprefix("network.") for name in network.state_dict()} >= set(plain.state_dict())
    assert set(network.auxiliary.state_dict()) == set(decoder_of(plain.state_dict()))
    last = ["final_conv.weight", "final_conv.bias"]
    assert load_pretrained(plain, network.state_dict()).new == last
    plain.final_conv.load_state_dict(network.network.final_conv.state_dict())
    x = torch.randn(2, 2, 32, 32)
    assert torch.equal(plain.eval()(x), network.eval()(x))
    again = DualBranchUNet(make())
    of_the_decoder = [f"auxiliary.{name}" for name in again.auxiliary.state_dict()]
    assert load_pretrained(again, plain.state_dict()).new == [f"network.{name}" for name in last] + of_the_decoder
    again.network.final_conv.load_state_dict(plain.final_conv.state_dict())
    assert torch.equal(again.eval()(x), network(x))


def test_building_it_leaves_the_u_net_as_it_is():
    base = unet()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    network = DualBranchUNet(base)
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    own, other = decoder_of(before), network.auxiliary.state_dict()
    assert not any(torch.equal(own[name], other[name]) for name in own if own[name].ndim > 1)


@pytest.mark.parametrize("dims", [2, 3])
def test_torchscript(dims):
    network = DualBranchUNet(unet(dims))
    stored = io.BytesIO()
    torch.jit.save(torch.jit.script(network), stored)
    stored.seek(0)
    scripted, x = torch.jit.load(stored), torch.randn(2, 2, *(33,) * dims)
    outputs = []
    for one in (network, scripted):
        torch.manual_seed(1)
        outputs.append(one(x))
    assert all(torch.equal(*pair) for pair in zip(*outputs, strict=True))
    assert torch.equal(scripted.eval()(x), network.eval()(x))


@pytest.mark.parametrize(
    ("network", "rate", "match"),
    [
        (lambda: UNet(2, 1, 2, channels=(4, 8), strides=(2,)), 0.5, "network must be a BasicUNet .* got UNet"),
        (unet, 1.0, r"feature_dropout must be in \[0, 1\), got 1.0"),
        (unet, float("nan"), r"feature_dropout must be in \[0, 1\), got nan"),
    ],
)
def test_what_is_refused(network, rate, match):
    with pytest.raises(ValueError, match=match):
        DualBranchUNet(network(), rate)
