# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.networks.nets import FullyConnectedNet, VarAutoEncoder
from torch import nn

from monai_al.networks import VAALNetwork


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 24), (2, 8, 8, 16)])
@pytest.mark.parametrize("channels", [(4,), (4, 6), (2, 3, 4)])
def test_shapes_in_two_and_three_dimensions(shape, channels):
    network = VAALNetwork(shape, latent=5, channels=channels, hidden=(7, 6))
    images = torch.randn(4, *shape)
    reconstruction, mean, log_variance, logits = network(images)
    assert reconstruction.shape == images.shape
    assert mean.shape == log_variance.shape == (4, 5)
    assert logits.shape == (4,)


def test_it_is_made_of_monais_networks_and_the_discriminator_is_the_papers():
    network = VAALNetwork((1, 64, 64))
    assert type(network.autoencoder) is VarAutoEncoder
    assert type(network.discriminator) is FullyConnectedNet
    linear = [m for m in network.discriminator.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(32, 512), (512, 512), (512, 1)]
    assert sum(isinstance(m, nn.ReLU) for m in network.discriminator.modules()) == 2


def test_the_discriminator_sees_the_mean_and_not_the_drawn_code():
    torch.manual_seed(0)
    network = VAALNetwork((1, 8, 8), latent=3, channels=(4,), hidden=(6,))
    images = torch.randn(4, 1, 8, 8)
    first, second = network(images), network(images)
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[3], second[3])
    torch.testing.assert_close(network.discriminator(network.encode(images))[:, 0], first[3])


def test_the_reconstruction_may_be_any_number():
    """The images are of zero mean, so the output must not be squeezed between 0 and 1."""
    torch.manual_seed(0)
    reconstruction = VAALNetwork((1, 8, 8), latent=3, channels=(4,))(torch.randn(8, 1, 8, 8))[0]
    assert reconstruction.min() < 0


@pytest.mark.parametrize(
    ("shape", "channels"), [((1, 12, 16), (2, 2, 2)), ((1, 16, 15), (2,)), ((1, 16, 16), ()), ((1, 4, 4, 2), (2, 2))]
)
def test_a_size_that_cannot_be_halved_is_an_error(shape, channels):
    with pytest.raises(ValueError, match=rf"cannot be halved {len(channels)} times.*divisible by {2 ** len(channels)}"):
        VAALNetwork(shape, channels=channels)
