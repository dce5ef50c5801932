# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.networks.image_input import ImageInput


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 4, 2)])
@pytest.mark.parametrize("grey", [False, True])
def test_every_channel_is_normalised_by_its_own(channels, shape, grey):
    rng = np.random.default_rng(channels)
    mean, std = rng.random(channels).tolist(), (rng.random(channels) + 0.1).tolist()
    images = rng.random((2, 1 if grey else channels, *shape)).astype(np.float32)
    found = ImageInput(mean, std)(torch.from_numpy(images)).numpy()
    assert found.shape == (2, channels, *shape)
    for item, channel in itertools.product(range(2), range(channels)):
        expected = (images[item, 0 if grey else channel] - mean[channel]) / std[channel]
        np.testing.assert_allclose(found[item, channel], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shape", "size"), [((4, 6), (8, 18)), ((12, 8), (4, 4)), ((4, 2, 6), (2, 1, 3))])
def test_means_over_whole_images_stay_when_sizes_are_multiples(shape, size):
    images = torch.rand(2, 1, *shape)
    images[1] = 0.25
    found = ImageInput([0.0], [1.0], size=size)(images)
    assert tuple(found.shape[2:]) == size
    torch.testing.assert_close(found[1], torch.full_like(found[1], 0.25))
    assert images[0].min() <= found[0].min()
    assert found[0].max() <= images[0].max()


def test_a_ramp_stays_one_inside_when_resized():
    ramp = torch.arange(8).float().div(8).expand(1, 1, 4, 8)
    found = ImageInput([0.0], [1.0], size=[4, 16])(ramp)[0, 0, 0]
    expected = torch.tensor([(column + 0.5) / 2 - 0.5 for column in range(16)]) / 8
    torch.testing.assert_close(found[1:-1], expected[1:-1])


@settings(max_examples=50, deadline=None)
@given(low=st.floats(-1000, 999), width=st.floats(0.01, 100))
def test_a_range_becomes_0_to_1_and_is_cut_there(low, width):
    values = torch.tensor([low - width, low, low + width / 2, low + width, low + 3 * width], dtype=torch.float64)
    found = ImageInput([0.0], [1.0], value_range=(low, low + width))(values.view(1, 1, -1))
    torch.testing.assert_close(found.flatten(), torch.tensor([0, 0, 0.5, 1, 1], dtype=found.dtype), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.1, torch.nan])
def test_other_values_than_0_to_1_are_refused(value):
    images = torch.full((1, 1, 2, 2), 0.5)
    images[0, 0, 1, 1] = value
    with pytest.raises(ValueError, match="takes images of values of 0 to 1, but .* by --encoder_range"):
        ImageInput([0.5], [1.0])(images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": [0.5, 0.5]}, "--encoder_mean holds 2 numbers and --encoder_std 1"),
        ({"mean": [], "std": []}, "--encoder_mean holds 0 numbers"),
        ({"std": [0.0]}, r"--encoder_std must hold numbers above 0, got \[0.0\]"),
        ({"value_range": [1, 1]}, r"--encoder_range must hold the lower number first, got \[1, 1\]"),
    ],
)
def test_numbers_that_cannot_be_used(options, message):
    with pytest.raises(ValueError, match=message):
        ImageInput(**{"mean": [0.5], "std": [1.0], **options})


def test_images_that_do_not_fit():
    with pytest.raises(ValueError, match="images have 2 channels, but the encoder takes 3: .*--encoder_mean"):
        ImageInput([0.5] * 3, [1.0] * 3)(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="images have 3 dimensions, but .* network takes 2: .* by --encoder_network"):
        ImageInput([0.5], [1.0], spatial_dims=2)(torch.zeros(1, 1, 4, 4, 4))
    with pytest.raises(ValueError, match="--encoder_size holds 3 numbers, but the images have 2 dimensions"):
        ImageInput([0.5], [1.0], size=[4, 4, 4])(torch.zeros(1, 1, 4, 4))
