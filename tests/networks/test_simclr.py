# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from monai_al.networks import SimCLR

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}

pytestmark = pytest.mark.usefixtures("one_thread")


def network(seed=0, **options) -> SimCLR:
    torch.manual_seed(seed)
    return SimCLR(**{"widen_factor": 0.125, "projection": (16, 8), **options})


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def trained(net: SimCLR) -> SimCLR:
    """With running averages that are not those of the start."""
    for _ in range(3):
        net(images(4, net.encoder.conv1.in_channels, 48, 48) * 3 + 1)
    return net.eval()


# -- the encoder is torchvision's ResNet -------------------------------------------------------------------------------


def torchvision_shapes(backbone: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's ResNet without its last layer, written down from its definition."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, width: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def conv(name: str, width: int, out: int, size: int) -> None:
        shapes[f"{name}.weight"] = (out, width, size, size)

    conv("conv1", 3, 64, 7)
    norm("bn1", 64)
    width = 64
    for level, blocks in enumerate(BLOCKS[backbone]):
        inner = 64 * 2**level
        for block in range(blocks):
            name = f"layer{level + 1}.{block}"
            convs = [(width, inner, 3), (inner, inner, 3)]
            if backbone == "resnet50":
                convs = [(width, inner, 1), (inner, inner, 3), (inner, 4 * inner, 1)]
            for number, (before, after, size) in enumerate(convs, start=1):
                conv(f"{name}.conv{number}", before, after, size)
                norm(f"{name}.bn{number}", after)
            if block == 0 and (level > 0 or width != convs[-1][1]):
                conv(f"{name}.downsample.0", width, convs[-1][1], 1)
                norm(f"{name}.downsample.1", convs[-1][1])
            width = convs[-1][1]
    return shapes


@pytest.mark.parametrize("backbone", BLOCKS)
def test_its_weights_bear_the_names_of_torchvision(backbone):
    net = SimCLR(in_channels=3, backbone=backbone)
    shapes = torchvision_shapes(backbone)
    assert {name: tuple(value.shape) for name, value in net.encoder.state_dict().items()} == shapes
    assert {"conv1.weight", "layer1.0.conv1.weight", "layer4.1.bn2.running_var"} <= shapes.keys()
    missing, unexpected = net.load_state_dict(
        {f"encoder.{name}": torch.zeros(shape) for name, shape in shapes.items()}, strict=False
    )
    assert (missing, unexpected) == (["head.0.weight", "head.2.weight"], [])


def by_hand(weights: dict[str, torch.Tensor], backbone: str, x: torch.Tensor) -> torch.Tensor:
    """K. He et al., "Deep residual learning", 2016, with the stride in the 3x3 convolution, from the weights alone."""

    def norm(x, name):
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scale = weights[f"{name}.weight"] / torch.sqrt(var + 1e-5)
        return x * scale[:, None, None] + (weights[f"{name}.bias"] - mean * scale)[:, None, None]

    x = F.conv2d(x, weights["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(norm(x, "bn1").relu(), 3, stride=2, padding=1)
    for level, blocks in enumerate(BLOCKS[backbone]):
        for block in range(blocks):
            name, stride, before = f"layer{level + 1}.{block}", 2 if level and not block else 1, x
            strides = (1, stride, 1) if backbone == "resnet50" else (stride, 1)
            for number, step in enumerate(strides, start=1):
                weight = weights[f"{name}.conv{number}.weight"]
                x = norm(F.conv2d(x, weight, stride=step, padding=weight.shape[2] // 2), f"{name}.bn{number}")
                x = x.relu() if number < len(strides) else x
            if f"{name}.downsample.0.weight" in weights:
                before = F.conv2d(before, weights[f"{name}.downsample.0.weight"], stride=stride)
                before = norm(before, f"{name}.downsample.1")
            x = (x + before).relu()
    return x.mean((2, 3))


@pytest.mark.parametrize("backbone", BLOCKS)
@pytest.mark.parametrize("size", [(32, 32), (50, 70)])
def test_features_and_projections(backbone, size):
    net = trained(network(backbone=backbone, in_channels=2))
    x = images(3, 2, *size)
    features = by_hand(net.encoder.state_dict(), backbone, x)
    torch.testing.assert_close(net.encode(x), features, rtol=1e-4, atol=1e-5)
    first, last = net.head[0].weight, net.head[2].weight
    torch.testing.assert_close(net(x), (features @ first.T).relu() @ last.T, rtol=1e-4, atol=1e-5)


# -- shapes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [8, 32, 48, 64, 96])
@pytest.mark.parametrize("training", [True, False])
def test_small_images(side, training):
    net = network().train(training)
    projections = net(images(2, 1, side, side))
    assert projections.shape == (2, 8)
    assert projections.isfinite().all()


@pytest.mark.parametrize(
    ("options", "features"),
    [
        ({}, 512),
        ({"backbone": "resnet34", "widen_factor": 0.5}, 256),
        ({"widen_factor": 0.25}, 128),
        ({"backbone": "resnet50"}, 2048),
        ({"backbone": "resnet50", "widen_factor": 0.25}, 512),
    ],
)
def test_widths(options, features):
    net = SimCLR(**options).eval()
    seen = []
    net.get_submodule("encoder").register_forward_hook(lambda module, args, output: seen.append(output))
    assert net(images(1, 1, 32, 32)).shape == (1, 64)
    assert seen[0].shape == (1, features)
    linear = [m for m in net.head if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features, m.bias) for m in linear] == [(features, 512, None), (512, 64, None)]
    assert isinstance(net.head[1], nn.ReLU)


@pytest.mark.parametrize("projection", [(5,), (7, 6, 5)])
def test_other_heads(projection):
    net = network(projection=projection)
    kinds = [type(m) for m in net.head]
    assert kinds == [nn.Linear, *[nn.ReLU, nn.Linear] * (len(projection) - 1)]
    assert net(images(2, 1, 32, 32)).shape == (2, 5)


def test_volumes():
    assert network(spatial_dims=3)(images(2, 1, 32, 32, 40)).shape == (2, 8)


# -- training ----------------------------------------------------------------------------------------------------------


def test_one_image_in_training():
    assert network()(images(1, 1, 64, 64)).shape == (1, 8)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network()(images(1, 1, 32, 32))


def test_all_weights_are_trained():
    net = network()
    net(images(4, 1, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_in_evaluation_images_do_not_depend_on_their_batch():
    net, x = trained(network()), images(3, 1, 40, 40)
    torch.testing.assert_close(torch.cat([net(one[None]) for one in x]), net(x))


def test_files(tmp_path):
    net = trained(network())
    torch.save({"model": net.state_dict()}, tmp_path / "model.pt")
    other = network(seed=5).eval()
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True)["model"])
    x = images(2, 1, 32, 32)
    assert torch.equal(other(x), net(x))
    assert not torch.equal(network(seed=5).eval()(x), net(x))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="backbone must be one of 'resnet18', 'resnet34', 'resnet50', got 'vgg'"):
        SimCLR(backbone="vgg")
    with pytest.raises(ValueError, match="at least one width"):
        SimCLR(projection=())
