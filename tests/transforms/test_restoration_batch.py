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


@pytest.mark.parametrize(
    ("values", "told"), [((0.0, 255.0), "0 to 255"), ((-1.0, 1.0), "-1 to 1"), ((0.0, float("nan")), "nan to nan")]
)
def test_intensities_out_of_0_to_1_are_told(values, told):
    images = torch.tensor(values).reshape(1, 1, 2, 1).repeat(1, 1, 8, 16)
    with pytest.raises(ValueError, match=f"intensities from {told}, and .*: scale them to that by the config's intens"):
        RestorationBatch()({"image": images})


def test_what_interpolation_adds_is_tolerated():
    images = torch.tensor([-5e-4, 1.0005]).reshape(1, 1, 2, 1).repeat(1, 1, 8, 16)
    image, _ = RestorationBatch(seed=0)({"image": images})
    assert torch.isfinite(image).all()
