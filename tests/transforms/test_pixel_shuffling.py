# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monai_al.transforms import PixelBlocks, draw_pixel_blocks, shuffled_pixels

pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n_images: int, *shape: int) -> torch.Tensor:
    """Images whose pixels are numbered."""
    return (
        torch.arange(np.prod(shape), dtype=torch.float64).reshape(1, 1, *shape).repeat(n_images, 1, *[1] * len(shape))
    )


def block_by_block(image: np.ndarray, starts: np.ndarray, sizes: np.ndarray, seed: int | None) -> np.ndarray:
    """The published loop; ``seed`` as in ours, where only what is seen in the end is drawn, or None: draw freely."""
    places = [tuple(slice(s, s + n) for s, n in zip(*each, strict=True)) for each in zip(starts, sizes, strict=True)]
    last = np.full(image.shape, -1)
    for number, place in enumerate(places):
        last[place] = number
    seen = sorted(set(last.ravel()) - {-1})
    areas = [int(sizes[number].prod()) for number in seen]
    if seed is None:
        permutations = {number: np.random.permutation(area) for number, area in zip(seen, areas, strict=True)}
    else:
        order = torch.randperm(sum(areas), generator=seeded(seed)).numpy()
        firsts = np.cumsum([0, *areas])
        permutations = {
            number: order[(order >= first) & (order < end)] - first
            for number, first, end in zip(seen, firsts, firsts[1:], strict=False)
        }
    result = image.copy()
    for number, place in enumerate(places):
        window = image[place]
        order = permutations.get(number, np.arange(window.size))
        result[place] = window.ravel()[order].reshape(window.shape)
    return result


SHAPES = [(1,), (7,), (1, 9), (16, 16), (33, 20), (1, 1, 1), (6, 9, 5), (12, 1, 20)]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SHAPES), st.integers(0, 200), st.floats(0, 1), st.integers(0, 2**20))
def test_equal_to_block_by_block(shape, blocks, side, seed):
    images = numbered(2, *shape)
    drawn = draw_pixel_blocks(2, shape, blocks=blocks, side=side, generator=seeded(seed))
    found = shuffled_pixels(images, drawn).numpy()
    for i in range(2):
        starts, sizes = drawn.starts[i].numpy(), drawn.sizes[i].numpy()
        expected = block_by_block(images[i, 0].numpy(), starts, sizes, int(drawn.seeds[i]))
        np.testing.assert_array_equal(found[i, 0], expected)


def test_equal_to_block_by_block_at_full_size():
    drawn = draw_pixel_blocks(1, (256, 200), generator=seeded())
    images = numbered(1, 256, 200)
    expected = block_by_block(
        images[0, 0].numpy(), drawn.starts[0].numpy(), drawn.sizes[0].numpy(), int(drawn.seeds[0])
    )
    np.testing.assert_array_equal(shuffled_pixels(images, drawn)[0, 0], expected)


def test_sides_and_places_are_uniform():
    drawn = draw_pixel_blocks(1, (256, 100), generator=seeded())
    for axis, (side, most) in enumerate([(256, 25), (100, 10)]):
        starts, sizes = drawn.starts[0, :, axis].numpy(), drawn.sizes[0, :, axis].numpy()
        counts = np.bincount(sizes, minlength=most + 1)
        assert counts[0] == 0
        assert len(counts) == most + 1
        assert stats.chisquare(counts[1:]).pvalue > 1e-3
        for size in (1, most):
            of_size = np.bincount(starts[sizes == size] * 10 // (side - size + 1), minlength=10)
            assert stats.chisquare(of_size).pvalue > 1e-3
            assert len(of_size) == 10
    assert drawn.starts.shape == (1, 10_000, 2)


def test_all_permutations_of_a_block_are_equally_likely():
    n = 6000
    starts = torch.stack([torch.zeros(n).long(), 2 * torch.arange(n)], dim=1)
    blocks = PixelBlocks(starts[None], torch.full((1, n, 2), 2), torch.tensor([3]))
    found = shuffled_pixels(numbered(1, 2, 2 * n), blocks)[0, 0].int().reshape(2, n, 2).transpose(0, 1).flatten(1)
    found = found - 2 * torch.arange(n)[:, None]
    counts = Counter(map(tuple, found.tolist()))
    assert set(counts) == set(itertools.permutations([0, 1, 2 * n, 2 * n + 1]))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_what_is_left_of_a_block_shows_any_of_its_pixels_equally_often():
    """Blocks of six of which two pixels stay: every ordered pair of their pixels is as likely."""
    n = 9000
    first = 6 * torch.arange(n)
    starts, sizes = torch.cat([first, first + 2]), torch.tensor([6, 4]).repeat_interleave(n)
    blocks = PixelBlocks(starts[None, :, None], sizes[None, :, None], torch.tensor([3]))
    found = shuffled_pixels(numbered(1, 6 * n), blocks).int().reshape(n, 6) - first[:, None]
    pairs = Counter(map(tuple, found[:, :2].tolist()))
    assert set(pairs) == set(itertools.permutations(range(6), 2))
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3
    later = Counter(map(tuple, found[:, 2:].tolist()))
    assert set(later) == set(itertools.permutations(range(2, 6)))  # of the original, not of what was shuffled before
    assert stats.chisquare(list(later.values())).pvalue > 1e-3


def test_displacements_as_block_by_block():
    """How far pixels move, with freely drawn permutations on the other side."""
    shape, np_state = (64, 48), np.random.get_state()
    np.random.seed(0)
    images, both = numbered(6, *shape), ([], [])
    drawn = draw_pixel_blocks(6, shape, blocks=2000, side=0.2, generator=seeded())
    for i, found in enumerate(shuffled_pixels(images, drawn).numpy()):
        slow = block_by_block(images[i, 0].numpy(), drawn.starts[i].numpy(), drawn.sizes[i].numpy(), None)
        for pixels, moves in zip((found[0], slow), both, strict=True):
            source = np.stack(np.unravel_index(pixels.astype(int), shape))
            moves.append(source - np.indices(shape))
    np.random.set_state(np_state)
    ours, theirs = (np.stack(moves).swapaxes(0, 1).reshape(2, -1) for moves in both)
    assert (np.abs(ours).max(1) == [11, 8]).all()  # the largest block is 12 x 9
    for axis in (0, 1):
        assert stats.ks_2samp(ours[axis], theirs[axis]).statistic < 0.02
        assert ours[axis].std() == pytest.approx(theirs[axis].std(), rel=0.03)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_channels_move_together_and_each_image_by_its_own(dtype):
    images = torch.rand(4, 1, 40, 30, generator=seeded()).to(dtype)
    images = torch.cat([images, 1 - images], dim=1)
    before = images.clone()
    drawn = draw_pixel_blocks(4, (40, 30), generator=seeded(1))
    found = shuffled_pixels(images, drawn)
    assert found.dtype == dtype
    assert torch.equal(images, before)
    assert torch.equal(found[:, 1], 1 - found[:, 0])
    for i in range(4):
        alone = shuffled_pixels(images[i : i + 1], PixelBlocks(*(each[i : i + 1] for each in drawn)))
        assert torch.equal(found[i], alone[0])
    assert len({tuple(image.flatten().tolist()) for image in shuffled_pixels(numbered(4, 40, 30), drawn)}) == 4


def test_refused():
    drawn = draw_pixel_blocks(1, (20, 20), blocks=50)
    with pytest.raises(ValueError, match=r"blocks leave the images of 20 x 9 pixels: draw them for this size"):
        shuffled_pixels(torch.rand(1, 1, 20, 9), drawn)
    with pytest.raises(ValueError, match=r"images have 3 spatial axes but the parameters are for 2"):
        shuffled_pixels(torch.rand(1, 1, 20, 20, 20), drawn)
    for blocks in (-1, 2.5, True):
        with pytest.raises(ValueError, match=rf"blocks must be a whole number of at least 0, got {blocks}"):
            draw_pixel_blocks(1, (20, 20), blocks=blocks)
    with pytest.raises(ValueError, match=r"side must be within 0 and 1"):
        draw_pixel_blocks(1, (20, 20), side=25)
