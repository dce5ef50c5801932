# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import nn

from monai_al.inferers import dropout_enabled
from monai_al.networks import LevelDropoutUNet

WIDTHS = (2, 3, 4, 5, 6)
RATES = (0.05, 0.1, 0.2, 0.3, 0.5)
ENCODER = ["conv_0", *(f"down_{level}.convs" for level in (1, 2, 3, 4))]


def network(**options) -> LevelDropoutUNet:
    torch.manual_seed(0)
    return LevelDropoutUNet(features=WIDTHS, **options).eval()


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("rates", [RATES, (0, 0, 0, 0, 0.25), (0,) * 5])
def test_one_layer_of_each_rate_between_the_two_convolutions_of_each_encoder_level(rates):
    net = network(dropout=rates)
    found = {name: m.p for name, m in net.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p}
    expected = {f"{place}.conv_0.adn.D": rate for place, rate in zip(ENCODER, rates, strict=True) if rate}
    assert found == expected


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("upsample", ["nontrainable", "deconv"])
def test_without_its_dropout_it_is_monais(dims, upsample):
    net = network(spatial_dims=dims, in_channels=3, out_channels=4, upsample=upsample)
    plain = BasicUNet(dims, 3, 4, (*WIDTHS, 2), act="LeakyReLU", norm="BATCH", upsample=upsample).eval()
    plain.load_state_dict(net.state_dict())
    x = images(2, 3, *(16,) * dims)
    torch.testing.assert_close(net(x), plain(x), rtol=0, atol=0)


def test_the_published_number_of_parameters():
    """1.81 million with one input and four outputs; transposed convolutions would make them 1.95."""
    count = sum(p.numel() for p in LevelDropoutUNet(1, 4).parameters())
    assert abs(count / 1.81e6 - 1) < 0.01
    assert sum(p.numel() for p in LevelDropoutUNet(1, 4, upsample="deconv").parameters()) > 1.94e6


@pytest.mark.nightly
def test_dropout_acts_on_single_values_at_its_rate():
    net = network(dropout=(0, 0, 0, 0, 0.5))
    dropped = {}
    layer = net.down_4.convs.conv_0.adn.D
    layer.register_forward_hook(lambda m, i, o: dropped.update(share=((o == 0) & (i[0] != 0)).float().mean()))
    x = images(4, 1, 512, 512)
    with torch.no_grad(), dropout_enabled(net):
        assert not torch.equal(net(x), net(x))
    assert abs(dropped["share"] - 0.5) < 0.03
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"features": (1, 2, 3, 4)}, r"features must hold 5 values, one for each level, got \(1, 2, 3, 4\)"),
        ({"dropout": 0.5}, "dropout must hold 5 values, one for each level, got 0.5"),
        ({"dropout": (0.1, 0.1, 1.0, 0.1, 0.1)}, r"dropout must be in \[0, 1\) at each level, got 1.0"),
        ({"dropout": (0.1, -0.1, 0.1, 0.1, float("nan"))}, "got -0.1"),
    ],
)
def test_wrong_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        LevelDropoutUNet(**options)
