# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets import FlexibleUNet
from torch import nn

from monai_al.networks import ResNetUNet

STAGES = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
DECODER = (16, 8, 8, 4, 4)

pytestmark = pytest.mark.usefixtures("one_thread")


def network(backbone="resnet50", **options) -> ResNetUNet:
    torch.manual_seed(0)
    return ResNetUNet(backbone=backbone, **{"widen_factor": 0.125, "decoder_channels": DECODER, **options}).eval()


def torchvision_shapes(backbone: str, in_channels: int, factor: float) -> dict[str, tuple[int, ...]]:
    """The names and shapes of torchvision's ResNet without ``fc``, written out."""
    deep = backbone not in ("resnet18", "resnet34")
    expansion = 4 if deep else 1
    widths = [int(w * factor) for w in (64, 128, 256, 512)]
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (widths[0], in_channels, 7, 7)}

    def norm(name, n):
        shapes.update({f"{name}.{part}": (n,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    norm("bn1", widths[0])
    before = widths[0]
    for stage, (width, blocks) in enumerate(zip(widths, STAGES[backbone], strict=True), start=1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            sides = ((1, before, width), (3, width, width), (1, width, 4 * width)) if deep else ()
            for number, (side, given, out) in enumerate(sides or ((3, before, width), (3, width, width)), start=1):
                shapes[f"{at}.conv{number}.weight"] = (out, given, side, side)
                norm(f"{at}.bn{number}", out)
            if block == 0 and (stage > 1 or deep):
                shapes[f"{at}.downsample.0.weight"] = (expansion * width, before, 1, 1)
                norm(f"{at}.downsample.1", expansion * width)
            before = expansion * width
    return shapes


@pytest.mark.parametrize("backbone", STAGES)
@pytest.mark.parametrize("in_channels", [1, 3])
def test_the_encoder_has_the_layers_of_torchvision(backbone, in_channels):
    found = {k: tuple(v.shape) for k, v in network(backbone, in_channels=in_channels).encoder.state_dict().items()}
    assert found == torchvision_shapes(backbone, in_channels, 0.125)


def test_at_full_width_it_is_the_flexible_unet():
    ours, theirs = ResNetUNet(1, 3).eval(), FlexibleUNet(1, 3, "resnet50").eval()
    theirs.load_state_dict(ours.state_dict())
    for norm in theirs.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 1e-5
    image = torch.randn(1, 1, 64, 32)
    torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (48, 64), (50, 37), (33, 1), (212, 189)])
@pytest.mark.parametrize("training", [False, True])
def test_images_of_any_size(size, training):
    net = network("resnet18", out_channels=3).train(training)
    assert net(torch.randn(2, 1, *size)).shape == (2, 3, *size)


def test_volumes():
    assert network("resnet18", spatial_dims=3)(torch.randn(1, 1, 40, 33, 10)).shape == (1, 2, 40, 33, 10)


def test_padding_repeats_the_end_of_each_side():
    net, image = network(), torch.randn(2, 1, 50, 37)
    padded = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (0, 0), (0, 14), (0, 27)), mode="edge"))
    torch.testing.assert_close(net(image), net(padded)[:, :, :50, :37])


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_it_can_be_scripted(backbone):
    net, image = network(backbone, dropout=0.2), torch.randn(2, 1, 40, 64)
    torch.testing.assert_close(torch.jit.script(net)(image), net(image))


def test_dropout_is_in_the_decoder():
    for rate in (0.0, 0.3):
        net = network(dropout=rate)
        assert {module.p for module in net.decoder.modules() if isinstance(module, nn.Dropout)} == {rate}
        assert not any(isinstance(module, nn.Dropout) for module in net.encoder.modules())


def test_all_weights_get_a_gradient():
    net = network("resnet18").train()
    net(torch.randn(2, 1, 64, 64)).square().mean().backward()
    assert [name for name, weight in net.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet51"}, "backbone must be one of 'resnet18', .*got 'resnet51'"),
        ({"decoder_channels": (8, 4)}, r"five levels, got \(8, 4\)"),
    ],
)
def test_clear_errors(options, message):
    with pytest.raises(ValueError, match=message):
        ResNetUNet(**options)
