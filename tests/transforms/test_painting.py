# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monai_al.transforms import Paintings, draw_in_paintings, draw_out_paintings, painted

pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inside_by_hand(paintings: Paintings, i: int, shape: tuple[int, ...]) -> np.ndarray:
    inside = np.zeros(shape, dtype=bool)
    for start, size in zip(paintings.starts[i].tolist(), paintings.sizes[i].tolist(), strict=True):
        inside[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] = True
    return inside


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([draw_in_paintings, draw_out_paintings]),
    st.sampled_from([(1,), (1, 30), (41, 28), (12, 9, 7), (16, 16, 1)]),
    st.sampled_from([torch.float16, torch.float32, torch.float64]),
    st.integers(0, 2**20),
)
def test_noise_is_inside_of_the_rectangles_or_outside_of_the_windows(draw, shape, dtype, seed):
    images = torch.full((3, 2, *shape), 7.0, dtype=dtype)
    paintings = draw(3, shape, generator=seeded(seed))
    found = painted(images, paintings)
    assert found.dtype == dtype
    assert (images == 7).all()
    for i in range(3):
        kept = inside_by_hand(paintings, i, shape) == (draw is draw_out_paintings)
        np.testing.assert_array_equal(found[i, 0] == 7, kept)
        np.testing.assert_array_equal(found[i, 1] == 7, kept)
        noise = found[i][:, torch.from_numpy(~kept)]
        assert ((noise >= 0) & (noise <= 1)).all()
        alone = painted(images[i : i + 1], Paintings(*(each[i : i + 1] for each in paintings)))
        assert torch.equal(found[i], alone[0])


@pytest.mark.parametrize(
    ("draw", "ranges", "first"),
    [(draw_in_paintings, [(42, 85), (16, 33)], 0.95), (draw_out_paintings, [(109, 146), (42, 57)], 1.0)],
)
def test_number_sides_and_places(draw, ranges, first):
    n, shape = 4000, (256, 100)
    paintings = draw(n, shape, generator=seeded())
    there = (paintings.sizes > 0).all(-1).numpy()
    number = np.bincount(there.sum(1), minlength=6) / n
    expected = [1 - first] + [first * 0.95 ** (k - 1) * (0.05 if k < 5 else 1) for k in range(1, 6)]
    np.testing.assert_allclose(number, expected, atol=0.015)
    assert (there[:, :-1] >= there[:, 1:]).all()
    assert paintings.outside.all() == paintings.outside.any() == (draw is draw_out_paintings)
    for axis, (low, high) in enumerate(ranges):
        starts, sizes = paintings.starts[..., axis].numpy()[there], paintings.sizes[..., axis].numpy()[there]
        counts = np.bincount(sizes)
        assert (sizes.min(), sizes.max()) == (low, high)
        assert stats.chisquare(counts[low:]).pvalue > 1e-3
        room = shape[axis] - sizes
        assert (starts <= room).all()
        assert (
            stats.kstest((starts + np.random.default_rng(0).random(len(starts))) / (room + 1), "uniform").pvalue > 1e-3
        )
    assert abs(np.corrcoef(paintings.sizes[there].numpy().T)[0, 1]) < 0.1  # the sides of a rectangle are free


def test_noise_is_uniform_and_differs_between_images_and_channels():
    paintings = Paintings(
        torch.zeros(3, 1, 2).long(), torch.full((3, 1, 2), 40), torch.zeros(3).bool(), torch.arange(3)
    )
    noise = painted(torch.zeros(3, 2, 40, 40), paintings).flatten(0, 1).flatten(1).numpy()
    for one in noise:
        assert stats.kstest(one, "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(noise) - np.eye(6)).max() < 0.1


def test_small_images_get_at_least_a_pixel():
    assert (draw_in_paintings(100, (2, 1), another=1).sizes == 1).all()


def test_refused():
    with pytest.raises(ValueError, match=r"windows must be a whole number of at least 1, got 0"):
        draw_out_paintings(1, (20, 20), windows=0)
    with pytest.raises(ValueError, match=r"rectangles must be a whole number of at least 0, got -1"):
        draw_in_paintings(1, (20, 20), rectangles=-1)
    with pytest.raises(ValueError, match=r"sides must be within 0 and 1, smaller number first, got \(0.5, 0.2\)"):
        draw_in_paintings(1, (20, 20), sides=(0.5, 0.2))
    with pytest.raises(ValueError, match=r"another must be within 0 and 1"):
        draw_out_paintings(1, (20, 20), another=95)
    with pytest.raises(ValueError, match=r"images have 1 spatial axes but the parameters are for 2"):
        painted(torch.rand(1, 1, 20), draw_in_paintings(1, (20, 20)))
