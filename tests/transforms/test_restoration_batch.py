# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_al.transforms import RestorationAugmentation, RestorationBatch


@pytest.mark.parametrize("shape", [(4, 1, 32, 32), (3, 3, 20, 33), (2, 1, 16, 12, 8)])
@pytest.mark.parametrize("kind", [torch.as_tensor, MetaTensor], ids=["tensor", "MetaTensor"])
def test_the_augmentation_s_pairs_of_images_that_stay(shape, kind):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    batch = {"image": kind(images.clone()), "id": ["a"]}
    augmentation = RestorationAugmentation(blocks=50)
    image, target = RestorationBatch(augmentation, seed=5)(batch)
    expected = augmentation(images, torch.Generator().manual_seed(5))
    assert type(image) is type(target) is torch.Tensor
    assert torch.equal(image, expected["image"])
    assert torch.equal(target, expected["target"])
    assert torch.equal(torch.as_tensor(batch["image"]), images)


def test_a_seed_leaves_the_global_generator_alone_and_without_one_it_draws():
    batch = {"image": torch.rand(2, 1, 24, 24)}
    state = torch.get_rng_state()
    fixed, free = RestorationBatch(seed=3), RestorationBatch()
    assert torch.equal(fixed(batch)[0], fixed(batch)[0])
    assert torch.equal(torch.get_rng_state(), state)
    one, other = free(batch)[0], free(batch)[0]
    assert not torch.equal(one, other)
    torch.set_rng_state(state)
    assert torch.equal(free(batch)[0], one)


def test_other_seeds_and_keys():
    images = torch.rand(2, 1, 24, 24)
    one = RestorationBatch(seed=0)({"image": images})[0]
    assert not torch.equal(RestorationBatch(seed=1)({"image": images})[0], one)
    assert torch.equal(RestorationBatch(seed=0, image_key="scan")({"scan": images})[0], one)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0), (-1.7, 4.2), (0.25, 2.0)])
def test_images_of_other_ranges_are_scaled_to_be_deformed_and_keep_their_range(low, high):
    scaled = torch.rand(3, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    scaled[:, 0, 0, :2] = torch.tensor([0.0, 1.0])  # each image has its lowest and highest intensity
    images = scaled * (high - low) + low
    image, target = RestorationBatch(seed=4)({"image": images})
    floor = min(low, 0.0)  # as much of the range is that of [0, 1]
    expected = RestorationAugmentation()((images - floor) / (high - floor), torch.Generator().manual_seed(4))
    assert torch.allclose(target, expected["target"], atol=1e-6)
    assert torch.allclose(image, expected["image"] * (high - floor) + floor, atol=1e-4)
    assert target.min() >= 0
    assert target.max() <= 1 + 1e-6


def test_images_of_a_batch_have_ranges_of_their_own():
    images = torch.rand(4, 1, 24, 24) * torch.tensor([1.0, 3.0, 1.0, 100.0]).reshape(4, 1, 1, 1)
    still = RestorationAugmentation(flip=0, shuffle=0, curve=0, paint=0)
    image, target = RestorationBatch(still)({"image": images})
    assert torch.allclose(image, images)
    assert torch.equal(target[[0, 2]], images[[0, 2]])
    assert torch.allclose(target.amax((1, 2, 3))[[1, 3]], torch.ones(2))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_image_that_is_not_finite_is_told(value):
    images = torch.full((2, 1, 8, 16), 0.5)
    images[1, 0, 0, 0] = value
    with pytest.raises(ValueError, match="not finite, and cannot be deformed"):
        RestorationBatch()({"image": images})
