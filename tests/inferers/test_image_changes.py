# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Generator, Tensor

from monai_al.inferers import ImageChanges, change_images, draw_image_changes, undo_image_changes
from monai_al.uncertainty import Augmentation

pytestmark = pytest.mark.usefixtures("one_thread")

EVERYTHING = Augmentation(rotation=30, noise=0.1, flips=True, quarter_turns=True)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 11), st.integers(1, 11))


def generators(*seeds: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in seeds]


def changes(
    count: int,
    *,
    degrees: list[float] | None = None,
    flips: list[tuple[bool, bool]] | None = None,
    turns: list[int] | None = None,
    noise: float = 0.0,
) -> ImageChanges:
    return ImageChanges(
        flips=torch.tensor(flips or [(False, False)] * count),
        turns=torch.tensor(turns or [0] * count),
        degrees=None if degrees is None else torch.tensor(degrees, dtype=torch.float64),
        noise_seeds=torch.arange(count),
        noise=noise,
    )


def equal(first: ImageChanges, second: ImageChanges) -> bool:
    return all(torch.equal(getattr(first, n), getattr(second, n)) for n in ("flips", "turns", "degrees", "noise_seeds"))


def matrix(degrees: float) -> np.ndarray:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, sine], [-sine, cosine]])


def by_scipy(plane: np.ndarray, degrees: float) -> np.ndarray:
    centre = (np.array(plane.shape) - 1) / 2
    turn = matrix(degrees)
    return ndimage.affine_transform(plane, turn, centre - turn @ centre, order=1, mode="nearest")


def seen_by_loops(height: int, width: int, degrees: float) -> np.ndarray:
    """Where each pixel of an image went in the changed image, and whether that is still within it."""
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    found = np.zeros((height, width), bool)
    for place in product(range(height), range(width)):
        row, column = centre + matrix(degrees).T @ (np.array(place) - centre)
        found[place] = 0 <= row <= height - 1 and 0 <= column <= width - 1
    return found


def near_the_edge(height: int, width: int, degrees: float) -> np.ndarray:
    """Pixels for which rounding decides."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    places = np.tensordot(matrix(degrees).T, np.stack([rows - centre[0], columns - centre[1]]), axes=1)
    return (np.abs(np.abs(places) - centre[:, None, None]) < 1e-9).any(0)


# -- draw --------------------------------------------------------------------------------------------------------------


def test_draws_lie_where_the_settings_say():
    drawn = draw_image_changes(EVERYTHING, generators(*range(400)))
    assert drawn.degrees.shape == drawn.turns.shape == drawn.noise_seeds.shape == (400,)
    assert drawn.degrees.abs().max() <= 30
    assert (drawn.degrees < -28).any()
    assert (drawn.degrees > 28).any()
    assert abs(drawn.degrees.mean()) < 3
    assert drawn.noise_seeds.unique().numel() == 400
    flips = drawn.flips.double()
    assert flips.mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.1)
    assert np.corrcoef(flips.T.numpy())[0, 1] == pytest.approx(0, abs=0.15)
    assert torch.bincount(drawn.turns, minlength=4).tolist() == pytest.approx([100] * 4, abs=35)


def test_images_that_are_not_square_turn_by_half_turns():
    drawn = draw_image_changes(EVERYTHING, generators(*range(200)), square=False)
    assert set(drawn.turns.tolist()) == {0, 2}
    assert (drawn.turns == 2).double().mean().item() == pytest.approx(0.5, abs=0.12)


def test_what_is_off_is_not_drawn_but_takes_its_random_number():
    drawn = draw_image_changes(Augmentation(rotation=0, noise=0.5), generators(1, 2))
    assert drawn.degrees is None
    assert not drawn.flips.any()
    assert not drawn.turns.any()
    every = draw_image_changes(EVERYTHING, generators(1, 2))
    assert torch.equal(drawn.noise_seeds, every.noise_seeds)


def test_one_images_draws_do_not_depend_on_the_others():
    together = draw_image_changes(EVERYTHING, generators(3, 4, 5))
    alone = draw_image_changes(EVERYTHING, generators(4))
    for name in ("flips", "turns", "degrees", "noise_seeds"):
        assert torch.equal(getattr(together, name)[1:2], getattr(alone, name))


def test_a_generator_goes_on():
    generator = Generator().manual_seed(0)
    first, second = (draw_image_changes(EVERYTHING, [generator]) for _ in range(2))
    assert not equal(first, second)
    assert equal(first, draw_image_changes(EVERYTHING, generators(0)))


def test_no_images():
    drawn = draw_image_changes(EVERYTHING, [])
    assert drawn.degrees.shape == drawn.turns.shape == (0,)
    assert drawn.flips.shape == (0, 2)


# -- rotate ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 2**32 - 1))
def test_rotation_is_that_of_scipy(size, seed):
    rng = np.random.default_rng(seed)
    images, degrees = rng.random(size), rng.uniform(-45, 45, size[0])
    ours = change_images(torch.from_numpy(images), changes(size[0], degrees=degrees.tolist()))
    theirs = [[by_scipy(plane, angle) for plane in image] for image, angle in zip(images, degrees, strict=True)]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_rotation_is_that_of_scipys_rotate():
    image = np.random.default_rng(0).random((9, 14))
    ours = change_images(torch.from_numpy(image)[None, None], changes(1, degrees=[17.0]))[0, 0]
    theirs = ndimage.rotate(image, 17.0, reshape=False, order=1, mode="nearest")
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_single_precision_loses_little():
    images = torch.rand(2, 3, 100, 70)
    how = changes(2, degrees=[9.0, -3.3])
    assert torch.allclose(change_images(images, how).double(), change_images(images.double(), how), atol=2e-5)
    half = change_images(images.half(), how)
    assert half.dtype == torch.float16
    assert torch.allclose(half.float(), change_images(images, how), atol=2e-3)


def test_a_rotation_by_ninety_degrees_is_a_quarter_turn():
    images = torch.rand(1, 2, 7, 7, dtype=torch.float64)
    turned = change_images(images, changes(1, turns=[1]))
    assert torch.allclose(change_images(images, changes(1, degrees=[90.0])), turned, atol=1e-12)


def test_distances_are_kept_in_images_that_are_not_square():
    """Two points at right angles to each other stay so: no shear."""
    rows, columns = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(81.0) - 40, indexing="ij")

    def spots(where: list[tuple[int, int]]) -> Tensor:
        return torch.stack([torch.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 8) for r, c in where])[None].double()

    turned = change_images(spots([(10, 0), (0, 10)]), changes(1, degrees=[30.0]))[0]
    weights = turned / turned.sum((1, 2), keepdim=True)
    places = torch.stack([(weights * rows).sum((1, 2)), (weights * columns).sum((1, 2))], dim=1)
    assert places.norm(dim=1).tolist() == pytest.approx([10, 10], abs=1e-3)
    assert float(places[0] @ places[1]) == pytest.approx(0, abs=1e-2)


# -- seen --------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 2**32 - 1))
def test_seen_pixels_are_those_of_the_loops(size, seed):
    degrees = np.random.default_rng(seed).uniform(-45, 45, size[0]).tolist()
    probs = torch.rand(size)
    _, seen = undo_image_changes(probs, changes(size[0], degrees=degrees))
    for mask, angle in zip(seen.numpy(), degrees, strict=True):
        sure = ~near_the_edge(*size[2:], angle)
        assert np.array_equal(mask[sure], seen_by_loops(*size[2:], angle)[sure])


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_seen_pixels_go_back_with_flips_and_turns(flips, turns):
    """Follow each pixel by its number: it is seen where the rotation leaves its new place in sight."""
    how = changes(1, degrees=[25.0], flips=[flips], turns=[turns])
    _, seen = undo_image_changes(torch.zeros(1, 1, 12, 12), how)
    numbers = np.arange(144).reshape(12, 12)
    moved = change_images(torch.from_numpy(numbers)[None, None], changes(1, flips=[flips], turns=[turns]))
    expected = np.zeros(144, bool)
    expected[moved.numpy().ravel()] = seen_by_loops(12, 12, 25.0).ravel()
    assert np.array_equal(seen[0].numpy(), expected.reshape(12, 12))
    assert not np.array_equal(expected.reshape(12, 12), expected.reshape(12, 12)[::-1])


def test_all_is_seen_without_rotation():
    drawn = draw_image_changes(Augmentation(rotation=0, flips=True, quarter_turns=True), generators(*range(16)))
    assert undo_image_changes(torch.rand(16, 2, 5, 5), drawn)[1].all()


# -- flips, turns, noise -----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(sizes, st.booleans(), st.integers(0, 2**32 - 1))
def test_flips_and_turns_come_back_exactly(size, is_volume, seed):
    batch, channels, height, width = size
    shape = (*size, 3) if is_volume else size
    images = torch.rand(shape)
    settings_ = Augmentation(rotation=0, noise=0, flips=True, quarter_turns=True)
    drawn = draw_image_changes(settings_, generators(*range(seed, seed + batch)), square=height == width)
    changed = change_images(images, drawn)
    for image, after, (first, second), turns in zip(
        images.numpy(), changed.numpy(), drawn.flips.tolist(), drawn.turns.tolist(), strict=True
    ):
        expected = image[:, ::-1] if first else image
        expected = expected[:, :, ::-1] if second else expected
        assert np.array_equal(after, np.rot90(expected, turns, axes=(1, 2)))
    back, seen = undo_image_changes(changed, drawn)
    assert torch.equal(back, images)
    assert seen.shape == (batch, *shape[2:])
    assert seen.all()


def test_noise_has_its_standard_deviation_and_its_own_seed():
    images = torch.full((3, 2, 64, 64), 5.0)
    noise = change_images(images, changes(3, noise=0.25)) - images
    assert noise.std().item() == pytest.approx(0.25, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert not torch.equal(noise[0], noise[1])
    alone = changes(1, noise=0.25)
    assert torch.equal(change_images(images[:1], alone)[0], images[0] + noise[0])


def test_images_stay_as_they_are():
    images = torch.rand(4, 1, 6, 6)
    before = images.clone()
    drawn = draw_image_changes(EVERYTHING, generators(*range(4)))
    undo_image_changes(change_images(images, drawn), drawn)
    assert torch.equal(images, before)


@pytest.mark.parametrize("shape", [(5, 5), (4, 9)])
def test_volumes_change_slice_by_slice(shape):
    volumes = torch.rand(3, 2, *shape, 4)
    settings_ = Augmentation(rotation=40, noise=0, flips=True, quarter_turns=True)
    drawn = draw_image_changes(settings_, generators(1, 2, 3), square=shape[0] == shape[1])
    changed, (back, seen) = change_images(volumes, drawn), undo_image_changes(volumes, drawn)
    for i in range(4):
        assert torch.equal(changed[..., i], change_images(volumes[..., i], drawn))
        slice_back, slice_seen = undo_image_changes(volumes[..., i], drawn)
        assert torch.equal(back[..., i], slice_back)
        assert torch.equal(seen[..., i], slice_seen)


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(0, 2**32 - 1))
def test_probabilities_stay_probabilities(size, seed):
    batch, _, height, width = size
    probs = torch.rand(batch, 3, height, width).softmax(1)
    drawn = draw_image_changes(EVERYTHING, generators(*range(seed, seed + batch)), square=height == width)
    back, _ = undo_image_changes(probs, drawn)
    assert torch.allclose(back.sum(1), torch.ones(batch, height, width), atol=1e-5)
    assert back.min() >= 0
