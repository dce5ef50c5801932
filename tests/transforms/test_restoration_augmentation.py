# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.transforms import (
    RestorationAugmentation,
    RestorationParameters,
    bezier_intensity,
    painted,
    restoration_pairs,
    shuffled_pixels,
)

OFF = {"flip": 0, "shuffle": 0, "curve": 0, "paint": 0}

pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(parameters: tuple, chosen) -> tuple:
    """Parameters of some images."""
    return type(parameters)(*(rows(each, chosen) if isinstance(each, tuple) else each[chosen] for each in parameters))


def one_by_hand(image: torch.Tensor, parameters: RestorationParameters, i: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The steps one after the other."""
    own = rows(parameters, slice(i, i + 1))
    target = image.flip([axis + 1 for axis, flipped in enumerate(own.flips[0].tolist()) if flipped])
    found = target[None]
    if own.shuffle:
        found = shuffled_pixels(found, own.blocks)
    if own.curve:
        found = bezier_intensity(found, own.curves)
    if own.paint:
        found = painted(found, own.paintings)
    return found[0], target


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([(32, 32), (31, 50), (1, 40), (16, 20, 9), (12, 12, 1)]),
    st.sampled_from([torch.float16, torch.float32, torch.float64]),
    st.integers(0, 2**20),
)
def test_each_image_as_by_hand_and_inputs_stay(shape, dtype, seed):
    images = torch.rand(6, 2, *shape, generator=seeded(seed)).to(dtype)
    before = images.clone()
    parameters = RestorationAugmentation(blocks=200).draw(6, shape, seeded(seed))
    found, target = restoration_pairs(images, parameters)
    assert torch.equal(images, before)
    assert found.dtype == target.dtype == dtype
    for i in range(6):
        one, its_target = one_by_hand(images[i], parameters, i)
        assert torch.equal(found[i], one)
        assert torch.equal(target[i], its_target)
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("axes", [2, 3])
def test_how_often_each_is_done(axes):
    n = 4000
    drawn = RestorationAugmentation(blocks=1).draw(n, (64,) * axes, seeded())
    shares = {"shuffle": 0.5, "curve": 0.9, "paint": 0.9}
    for name, share in shares.items():
        assert getattr(drawn, name).double().mean().item() == pytest.approx(share, abs=0.03)
    assert drawn.flips.double().mean(0).tolist() == pytest.approx([0.4] * axes, abs=0.03)
    assert drawn.paintings.outside.double().mean().item() == pytest.approx(0.8, abs=0.03)
    falls = drawn.curves[:, 0, 1] == 1
    assert falls.double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (drawn.paintings.sizes.amax((1, 2)) > 64 / 3)[drawn.paintings.outside].all()
    assert (drawn.paintings.sizes <= 64 / 3)[~drawn.paintings.outside].all()
    done = [drawn.shuffle, drawn.curve, drawn.paint, drawn.paintings.outside, falls, *drawn.flips.T]
    together = torch.corrcoef(torch.stack(done).double()) - torch.eye(len(done), dtype=torch.float64)
    assert together.abs().max() < 0.06  # each is drawn for itself


def test_alone_each_does_what_it_says():
    images = torch.rand(8, 1, 64, 48, generator=seeded(), dtype=torch.float64)
    seen = {}
    for name in OFF:
        seen[name] = RestorationAugmentation(**OFF | {name: 1})(images, seeded(1))
    assert torch.equal(seen["flip"]["image"], images.flip(2, 3))
    assert torch.equal(seen["flip"]["target"], images.flip(2, 3))
    for name in ("shuffle", "curve", "paint"):
        assert torch.equal(seen[name]["target"], images)
        assert all((a != b).any() for a, b in zip(seen[name]["image"], images, strict=True))
    order = images.flatten(1).argsort(1)
    mapped = seen["curve"]["image"].flatten(1).gather(1, order).diff(dim=1)
    assert ((mapped >= 0).all(1) | (mapped <= 0).all(1)).all()
    unchanged = (seen["paint"]["image"] == images).double().mean((1, 2, 3))
    assert ((unchanged > 0.15) & (unchanged < 1)).all()
    for moved, image in zip(seen["shuffle"]["image"], images, strict=True):
        assert torch.isin(moved, image).all()


def test_same_seed_same_pair_and_untouched_pairs_share_no_memory():
    images = torch.rand(5, 1, 40, 40, generator=seeded())
    augment = RestorationAugmentation()
    first, again, other = (augment(images, seeded(seed)) for seed in (3, 3, 4))
    for key in ("image", "target"):
        assert torch.equal(first[key], again[key])
        assert not torch.equal(first[key], other[key])
    torch.manual_seed(3)
    assert torch.equal(augment(images)["image"], first["image"])  # without a generator: the global one
    pair = RestorationAugmentation(**OFF)(images)
    assert torch.equal(pair["image"], images)
    pair["image"].zero_()
    assert pair["target"].count_nonzero() == images.count_nonzero() > 0


def test_refused():
    with pytest.raises(ValueError, match=r"block_side must be within 0 and 1"):
        RestorationAugmentation(block_side=25)
    with pytest.raises(ValueError, match=r"window_sides must be within 0 and 1, smaller number first"):
        RestorationAugmentation(window_sides=(0.6, 0.4))
    with pytest.raises(ValueError, match=r"windows must be a whole number of at least 1, got 0"):
        RestorationAugmentation(windows=0)
    with pytest.raises(ValueError, match=r"floating point .* got torch.uint8"):
        RestorationAugmentation()(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    parameters = RestorationAugmentation().draw(2, (8, 8))
    with pytest.raises(ValueError, match=r"there are 3 images but parameters for 2"):
        restoration_pairs(torch.rand(3, 1, 8, 8), parameters)
    with pytest.raises(ValueError, match=r"images have 3 spatial axes but the parameters are for 2"):
        restoration_pairs(torch.rand(2, 1, 8, 8, 8), parameters)
