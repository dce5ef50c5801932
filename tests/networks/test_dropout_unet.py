# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from torch import nn

from monai_al.inferers import dropout_enabled
from monai_al.networks import DropoutUNet

WIDTHS = [(2, 4), (4, 8, 16), (3, 5, 7, 9), (1, 1, 1)]
SIZES = [(1,), (7,), (1, 1), (3, 50), (16, 24), (5, 9, 8)]


def network(channels=(4, 8, 16), **options) -> DropoutUNet:
    torch.manual_seed(0)
    built = DropoutUNet(channels=channels, **options)
    for module in built.modules():  # as after some training
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return built.eval()


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def convolved(x, block):
    """Two convolutions, batch norms and LeakyReLUs by PyTorch's functions, from the block's weights."""
    conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
    for part in block:
        norm = part.adn.N
        x = conv(x, part.conv.weight, part.conv.bias, padding=1)
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        x = torch.where(x > 0, x, 0.01 * x)
    return x


def reference(net: DropoutUNet, x: torch.Tensor, levels: int) -> torch.Tensor:
    """The published forward pass, written out, for sides that need no padding."""
    pool = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}[x.ndim]
    up = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}[x.ndim]
    conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
    skips = []
    for level in range(1, levels):
        x = convolved(x, net.get_submodule(f"encoder_{level}.convs"))
        skips.append(x)
        x = pool(x, 2)
    x = convolved(x, net.get_submodule("bottleneck.convs"))
    for level in range(levels - 1, 0, -1):
        deconv = net.get_submodule(f"decoder_{level}.up.deconv")
        x = up(x, deconv.weight, deconv.bias, stride=2)
        x = convolved(torch.cat([skips[level - 1], x], 1), net.get_submodule(f"decoder_{level}.convs"))
    head = net.get_submodule("head.conv.conv")
    return conv(x, head.weight, head.bias)


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 2), (3, 1)])
def test_equals_the_network_written_out(channels, dims, in_channels, out_channels):
    net = network(channels, spatial_dims=dims, in_channels=in_channels, out_channels=out_channels)
    x = images(2, in_channels, *(8, 16, 8)[:dims])
    torch.testing.assert_close(net(x), reference(net, x, len(channels)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize("size", SIZES)
def test_any_size_is_padded_by_its_border_and_cropped(channels, size):
    net = network(channels, spatial_dims=len(size), out_channels=3)
    x = images(2, 1, *size)
    multiple = 2 ** (len(channels) - 1)
    padded = x
    for dim, length in enumerate(size, start=2):
        missing = (-length) % multiple
        last = padded.select(dim, length - 1).unsqueeze(dim)
        padded = torch.cat([padded] + [last] * missing, dim)
    expected = reference(net, padded, len(channels))[(..., *(slice(length) for length in size))]
    assert net(x).shape == (2, 3, *size)
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


def conv(inside, outside, kernel):
    return inside * outside * kernel + outside


def test_parameters_counted_by_hand():
    first = conv(1, 2, 9) + 2 * 2 + conv(2, 4, 9) + 2 * 4  # 1-2-4, each convolution with a batch norm
    bottleneck = conv(4, 4, 9) + 2 * 4 + conv(4, 6, 9) + 2 * 6  # 4-4-6
    decoder = conv(6, 6, 4) + conv(6 + 4, 4, 9) + 2 * 4 + conv(4, 4, 9) + 2 * 4
    net = DropoutUNet(in_channels=1, out_channels=3, channels=(4, 6))
    assert sum(p.numel() for p in net.parameters()) == first + bottleneck + decoder + conv(4, 3, 1)


def test_the_published_widths():
    net = DropoutUNet()
    found = {
        name: [(part.conv.in_channels, part.conv.out_channels) for part in stage.convs]
        for name, stage in net.named_children()
        if hasattr(stage, "convs")
    }
    assert found == {
        "encoder_1": [(1, 32), (32, 64)],
        "encoder_2": [(64, 64), (64, 128)],
        "encoder_3": [(128, 128), (128, 256)],
        "bottleneck": [(256, 256), (256, 512)],
        "decoder_3": [(768, 256), (256, 256)],
        "decoder_2": [(384, 128), (128, 128)],
        "decoder_1": [(192, 64), (64, 64)],
    }
    assert [name for name, _ in net.named_children()] == [*found, "head"]


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_layers_by_name(levels):
    net = network((2,) * levels)
    below = range(1, levels)
    names = [f"encoder_{i}" for i in below] + ["bottleneck"] + [f"decoder_{i}" for i in reversed(below)] + ["head"]
    assert [name for name, _ in net.named_children()] == names
    seen = {}
    for name in names:
        net.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: seen.update({name: tuple(o.shape)}))
    net(images(1, 1, 16, 32))
    for i in below:
        assert seen[f"encoder_{i}"] == seen[f"decoder_{i}"] == (1, 2, 16 // 2 ** (i - 1), 32 // 2 ** (i - 1))
    assert seen["bottleneck"] == (1, 2, 16 // 2 ** (levels - 1), 32 // 2 ** (levels - 1))


@pytest.mark.parametrize("levels", [2, 4])
@pytest.mark.parametrize("places", [("pool", "concat"), ["pool"], {"concat"}, ()])
@pytest.mark.parametrize("rate", [0.5, 0.1, 0.0])
def test_dropout_count_places_and_rate(levels, places, rate):
    net = DropoutUNet(channels=(2,) * levels, dropout=rate, dropout_in=places)
    found = {name: m.p for name, m in net.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd)}
    after_pool = [f"encoder_{i}.dropout" for i in range(2, levels)] + ["bottleneck.dropout"]
    after_concat = [f"decoder_{i}.dropout" for i in range(1, levels)]
    expected = after_pool * ("pool" in places) + after_concat * ("concat" in places)
    assert found == (dict.fromkeys(expected, rate) if rate else {})


def test_dropout_works_on_what_was_pooled_and_what_was_concatenated():
    net = network((2, 4, 8))
    given = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda m, i, o, name=name: given.update({name: i[0]}))
    seen = {}
    for name, module in net.named_children():
        module.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o.clone()}))
    net(images(1, 1, 8, 8))
    torch.testing.assert_close(given["encoder_2.dropout"], F.max_pool2d(seen["encoder_1"], 2))
    torch.testing.assert_close(given["bottleneck.dropout"], F.max_pool2d(seen["encoder_2"], 2))
    torch.testing.assert_close(given["decoder_2.dropout"][:, :4], seen["encoder_2"])
    torch.testing.assert_close(given["decoder_2.dropout"][:, 4:], net.decoder_2.up(seen["bottleneck"]))
    torch.testing.assert_close(given["decoder_1.dropout"][:, :2], seen["encoder_1"])


def test_evaluation_is_deterministic_and_training_is_not():
    net, x = network(), images(2, 1, 16, 16)
    assert torch.equal(net(x), net(x))
    with dropout_enabled(net):
        assert not torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))
    plain = network(dropout=0.0).train()
    assert torch.equal(plain(x), plain(x))


def test_the_weights_depend_on_the_seed_alone():
    assert all(map(torch.equal, network().state_dict().values(), network().state_dict().values()))
    rates = [network(dropout=rate).state_dict() for rate in (0.0, 0.5)]
    assert rates[0].keys() == rates[1].keys()
    assert all(map(torch.equal, rates[0].values(), rates[1].values()))


def test_every_weight_gets_a_gradient():
    net = network(dropout=0.0).train()
    net(images(3, 1, 9, 10)).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert sum(p.grad.abs().sum() > 0 for p in net.parameters()) > len(list(net.parameters())) / 2


@pytest.mark.parametrize("channels", WIDTHS[:3])
@pytest.mark.parametrize("dims", sorted({len(size) for size in SIZES}))
def test_scripted_it_gives_the_same(channels, dims):
    net = network(channels, spatial_dims=dims)
    scripted = torch.jit.script(net)
    for size in [size for size in SIZES if len(size) == dims]:
        for x in (images(2, 1, *size), images(1, 1, *(length + 3 for length in size))):
            torch.testing.assert_close(scripted(x), net(x), rtol=0, atol=0)


def test_a_scripted_network_still_drops_in_training():
    scripted, x = torch.jit.script(network()).train(), images(2, 1, 16, 16)
    assert not torch.equal(scripted(x), scripted(x))


def test_copies_state_dicts_and_metatensors(tmp_path):
    net, x = network(), images(2, 1, 11, 6)
    torch.save(net.state_dict(), tmp_path / "model.pt")
    loaded = DropoutUNet(channels=(4, 8, 16)).eval()
    loaded.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    for other in (loaded, copy.deepcopy(net)):
        assert torch.equal(other(x), net(x))
    assert torch.equal(net(MetaTensor(x)).as_tensor(), net(x))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"channels": (4,)}, r"at least two levels, got \(4,\)"),
        ({"channels": []}, "at least two levels"),
        ({"dropout": 1.0}, r"in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, "got -0.1"),
        ({"dropout": float("nan")}, "got nan"),
        ({"dropout_in": ("pool", "cat")}, "'pool' and 'concat', got 'cat'"),
        ({"dropout_in": "pool"}, "must be a list of .* got 'pool'"),
    ],
)
def test_wrong_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        DropoutUNet(**options)
