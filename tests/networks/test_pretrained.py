# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights of a restoring network in a segmenting one: everything but the last layer, or an error that lists names."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from monai.networks.nets import UNETR, AttentionUnet, BasicUNet, DynUNet, SegResNet, UNet
from torch import nn

from monai_al.networks import (
    DeeplySupervised,
    DropoutUNet,
    LevelDropoutUNet,
    LossPredictor,
    ResNetUNet,
    load_pretrained,
    matched_weights,
)


def dyn_unet(d, i, o):
    return DynUNet(d, i, o, [3, 3, 3], [1, 2, 2], [2, 2], filters=[4, 8, 8])


def unetr(d, i, o):
    return UNETR(i, o, (32,) * d, feature_size=4, hidden_size=12, mlp_dim=12, num_heads=2, spatial_dims=d)


NETWORKS = {
    "UNet": lambda d, i, o: UNet(d, i, o, (4, 8, 16), (2, 2)),
    "residual UNet": lambda d, i, o: UNet(d, i, o, (4, 8, 16), (2, 2), num_res_units=2),
    "BasicUNet": lambda d, i, o: BasicUNet(d, i, o, (4, 4, 8, 8, 8, 4)),
    "DynUNet": dyn_unet,
    "SegResNet": lambda d, i, o: SegResNet(d, 8, i, o, blocks_down=(1, 1), blocks_up=(1,)),
    "AttentionUnet": lambda d, i, o: AttentionUnet(d, i, o, (4, 8), (2,)),
    "UNETR": unetr,
    "LevelDropoutUNet": lambda d, i, o: LevelDropoutUNet(i, o, (4, 4, 8, 8, 8), spatial_dims=d),
    "DropoutUNet": lambda d, i, o: DropoutUNet(i, o, (4, 8, 8), spatial_dims=d),
    "ResNetUNet": lambda d, i, o: ResNetUNet(i, o, "resnet18", decoder_channels=(8, 8, 8, 8, 8), widen_factor=0.125),
}
DIMENSIONS = [(name, d) for name in NETWORKS for d in (2, 3) if (name, d) != ("ResNetUNet", 3)]


def made(name, d, i, o, seed=0):
    if name == "UNETR" and importlib.util.find_spec("einops") is None:
        pytest.skip("MONAI's UNETR needs einops")
    torch.manual_seed(seed)
    return NETWORKS[name](d, i, o)


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def run_last(network, image):
    """Names of the weights of the last layer with a kernel that runs."""
    ran = []
    for name, module in network.named_modules():
        if any(weight.ndim > 1 for weight in module.parameters(recurse=False)):
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    with torch.no_grad():
        network.eval()(image)
    return {name for name in network.state_dict() if name.rpartition(".")[0] == ran[-1]}


@pytest.mark.parametrize(("i", "o"), [(1, 1), (1, 3), (3, 2)])
@pytest.mark.parametrize(("name", "d"), DIMENSIONS)
def test_everything_but_the_last_layer_is_loaded(name, d, i, o):
    source, network = made(name, d, i, i, seed=1), made(name, d, i, o)
    before, pretrained = copied(network), copied(source)
    found = load_pretrained(network, pretrained)
    after = network.state_dict()
    if i == o:
        last = run_last(network, torch.zeros(1, i, *[32] * d))
    else:  # what another number of channels changes
        last = {key for key, value in before.items() if value.shape != made(name, d, i, o + 4).state_dict()[key].shape}
    assert set(found.new) == last
    assert set(found.weights) == set(after) - last
    for key, value in after.items():
        assert torch.equal(value, (before if key in last else pretrained)[key]), key
    assert not all(torch.equal(before[key], pretrained[key]) for key in found.weights)


WRAPPERS = {
    "DeeplySupervised": lambda network: DeeplySupervised(network, image_size=(32, 32)),
    "LossPredictor": lambda network: LossPredictor(network, [_inner(network)], image_size=(32, 32)),
}


def _inner(network):
    """A layer that runs once."""
    return next(name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", ["UNet", "BasicUNet", "DropoutUNet", "LevelDropoutUNet"])
def test_a_network_is_found_within_another_and_the_other_way_round(name, wrapper):
    plain, other = made(name, 2, 1, 1, seed=1), made(name, 2, 1, 3)
    expected = matched_weights(other, plain.state_dict())
    wrapped = WRAPPERS[wrapper](made(name, 2, 1, 3))
    found = matched_weights(wrapped, plain.state_dict())
    assert set(found.weights) == {f"network.{key}" for key in expected.weights}
    around = {key for key in wrapped.state_dict() if not key.startswith("network.")}
    assert set(found.new) == {f"network.{key}" for key in expected.new} | around
    back = matched_weights(other, WRAPPERS[wrapper](plain).state_dict())
    assert (set(back.weights), back.new) == (set(expected.weights), expected.new)
    assert all(torch.equal(back.weights[key], expected.weights[key]) for key in back.weights)


REFUSED = {
    "other widths": (UNet(2, 1, 3, (8, 16, 16), (2, 2)), r"do not fit to UNet: model\.0\.conv\.weight \(4, 1, 3, 3\)"),
    "one other width": (UNet(2, 1, 3, (4, 8, 32), (2, 2)), r"do not fit to UNet: model\.1\.submodule"),
    "another depth": (UNet(2, 1, 3, (4, 8, 16, 16), (2, 2, 2)), r"of another network than UNet: .*model\.1\.submod"),
    "image channels": (UNet(2, 3, 2, (4, 8, 16), (2, 2)), r"do not fit to UNet: model\.0\.conv\.weight \(4, 1, "),
    "image channels, as many out": (UNet(2, 3, 3, (4, 8, 16), (2, 2)), r"model\.0\.conv\.weight \(4, 1, 3, 3\) instea"),
    "volumes": (UNet(3, 1, 3, (4, 8, 16), (2, 2)), r"\(4, 1, 3, 3\) instead of \(4, 1, 3, 3, 3\), .* and \d+ more"),
    "another network": (BasicUNet(2, 1, 3, (4, 4, 8, 8, 8, 4)), r"BasicUNet has no model\.0.*have no .*conv_0\.conv"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_listed_and_nothing_is_changed(what):
    network, message = REFUSED[what]
    before = copied(network)
    with pytest.raises(ValueError, match=message):
        load_pretrained(network, made("UNet", 2, 1, 1).state_dict())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("o", [1, 3])
def test_image_channels_that_no_first_name_tells(o):
    """The first weights of a vision transformer are those of positions, which know of no channels."""
    with pytest.raises(ValueError, match=r"do not fit to UNETR: vit\.patch_embedding\.patch_embeddings\.weight"):
        matched_weights(made("UNETR", 2, 3, o), made("UNETR", 2, 1, 1).state_dict())


def test_a_width_that_is_the_only_one():
    """All sizes that differ do so from 8 to 16, as those of a last layer with other channels would."""
    with pytest.raises(ValueError, match=r"do not fit to UNet: model\.0\.conv\.weight \(8, 1, 3, 3\)"):
        matched_weights(UNet(2, 1, 3, (16, 16), (2,)), UNet(2, 1, 3, (8, 8), (2,)).state_dict())
