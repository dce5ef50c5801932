# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Local pixel shuffling: the pixels of many small blocks, each permuted within its block."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from monai_al.transforms._draws import (
    chances,
    check_count,
    check_images,
    check_range,
    check_within,
    seeds_of,
    shares_of,
    uniform_integers,
)

__all__ = ["PixelBlocks", "draw_pixel_blocks", "shuffled_pixels"]


class PixelBlocks(NamedTuple):
    """Where the blocks of each of B images lie, all int64 on the CPU.

    Args:
        starts: ``(B, N, axes)``, the first pixel of each block along each axis; the blocks follow each other.
        sizes: ``(B, N, axes)``, the sides in pixels, at least 1.
        seeds: ``(B,)``, those of the permutations.

    Example:
        >>> draw_pixel_blocks(2, (64, 48), blocks=7).starts.shape
        torch.Size([2, 7, 2])
    """

    starts: Tensor
    sizes: Tensor
    seeds: Tensor


def draw_pixel_blocks(
    n_images: int,
    spatial_size: Sequence[int],
    *,
    blocks: int = 10_000,
    side: float = 0.1,
    generator: Generator | None = None,
) -> PixelBlocks:
    """Blocks whose sides are uniform from 1 pixel on and whose places are uniform within the image.

    Since sides are shares of the image's, as many blocks cover each pixel of a small image as of a large one: about 26
    in 2D with these defaults, those of Models Genesis, MICCAI 2019, arXiv:1908.06912.

    Args:
        n_images: how many images.
        spatial_size: their sides in pixels.
        blocks: in each image.
        side: the largest side of a block, as a share of the image's along that axis, rounded down to whole pixels, at
            least 1: 25 pixels of 256.
        generator: source of the draws; None: torch's global generator of the CPU.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> drawn = draw_pixel_blocks(1, (256, 64))
        >>> drawn.sizes.amin((0, 1)).tolist(), drawn.sizes.amax((0, 1)).tolist()
        ([1, 1], [25, 6])
    """
    check_count("blocks", blocks, 0)
    check_range("side", (side, side), 0.0, 1.0)
    drawn = chances(n_images, blocks, 2, len(spatial_size), generator=generator)
    sizes = uniform_integers(drawn[:, :, 0], 1, shares_of(spatial_size, side))
    starts = uniform_integers(drawn[:, :, 1], 0, torch.tensor(spatial_size) - sizes)
    return PixelBlocks(starts, sizes, seeds_of(chances(n_images, generator=generator)))


def shuffled_pixels(images: Tensor, blocks: PixelBlocks) -> Tensor:
    """Permute the pixels of each block, as if the blocks were done one after the other.

    Each block takes its pixels from the original image and is written over what the blocks before it left there. So a
    pixel comes from the last block that covers it, never from further away than that block is wide, and only
    those permutations are drawn of which something is seen. The channels of an image move together.

    Args:
        images: floating point ``(B, C, *spatial)``.
        blocks: of each image, within it.

    Returns:
        The same shape, type and device; on each device the same pixels.

    Raises:
        ValueError: the images are not of floating point, or the blocks are for another number of images or axes, or
            leave them.

    Example:
        >>> images = torch.arange(4.0).reshape(1, 1, 1, 4)
        >>> blocks = PixelBlocks(torch.tensor([[[0, 1]]]), torch.tensor([[[1, 3]]]), torch.tensor([5]))
        >>> shuffled = shuffled_pixels(images, blocks)
        >>> shuffled[..., 0].item(), sorted(shuffled[..., 1:].flatten().tolist())
        (0.0, [1.0, 2.0, 3.0])
    """
    check_images(images, len(blocks.seeds), blocks.starts.shape[-1])
    shape = images.shape[2:]
    check_within("blocks", blocks.starts, blocks.sizes, shape)
    pixels = images.flatten(2)
    shuffled = torch.empty_like(pixels)
    starts, sizes = blocks.starts.to(images.device), blocks.sizes.to(images.device)
    for i, seed in enumerate(blocks.seeds.tolist()):
        shuffled[i] = pixels[i].index_select(1, _sources(starts[i], sizes[i], seed, shape))
    return shuffled.reshape(images.shape)


def _sources(starts: Tensor, sizes: Tensor, seed: int, shape: Sequence[int]) -> Tensor:
    """Where each pixel is taken from, both counted along the flattened image, int64 ``(pixels,)``."""
    cover = _last_blocks(starts, sizes, shape).flatten()
    pixels = torch.arange(len(cover), device=cover.device)
    covered = cover >= 0
    seen = torch.zeros(len(starts), dtype=torch.bool, device=cover.device)
    seen[cover[covered].long()] = True
    if not seen.any():
        return pixels
    block = (seen.cumsum(0) - 1).clamp(min=0).index_select(0, cover.clamp(min=0))  # any where none covers the pixel
    starts, sizes = starts[seen], sizes[seen]
    inner, outer = _strides(sizes), _strides(torch.tensor([shape], device=cover.device))[0]
    areas = sizes.prod(1)
    firsts = areas.cumsum(0) - areas
    strides = [stride.index_select(0, block) for stride in inner.T.contiguous()]

    # the place of the pixel in its block, counted through all blocks; then that of its source, within the block
    place = (firsts - (starts * inner).sum(1)).index_select(0, block)
    for axis, stride in enumerate(strides):
        coordinate = torch.arange(shape[axis], device=cover.device).reshape(-1, *[1] * (len(shape) - 1 - axis))
        place += (stride.reshape(shape) * coordinate).flatten()
    place = torch.where(covered, place, 0)
    place = _permutations(areas, seed).index_select(0, place) - firsts.index_select(0, block)

    sources = (starts * outer).sum(1).index_select(0, block)
    for stride, step in zip(strides, outer, strict=True):
        along = ((place.double() + 0.5) / stride).long()  # exact, and faster than the division of integers
        sources += along * step
        place -= along * stride
    return torch.where(covered, sources, pixels)


def _strides(sizes: Tensor) -> Tensor:
    """How far apart neighbours along each axis are in flattened blocks of these sizes, ``(N, axes)``."""
    behind = sizes.flip(1).cumprod(1).flip(1)
    return torch.cat([behind[:, 1:], torch.ones_like(sizes[:, :1])], dim=1)


def _permutations(areas: Tensor, seed: int) -> Tensor:
    """A random order of the places 0, 1, ... of each block, block after block, counted through: int64 ``(places,)``.

    All places in one random order, then brought together by block.
    """
    order = torch.randperm(int(areas.sum()), generator=Generator().manual_seed(seed)).to(areas.device)
    numbers = torch.int16 if len(areas) < 2**15 else torch.int32  # the fewer bits, the faster
    block = torch.arange(len(areas), dtype=numbers, device=areas.device).repeat_interleave(areas)
    return order.index_select(0, block.index_select(0, order).argsort(stable=True))


def _last_blocks(starts: Tensor, sizes: Tensor, shape: Sequence[int]) -> Tensor:
    """The number of the last block that covers each pixel, int32 ``shape``; -1 where there is none.

    Along an axis a block is two runs of the largest power of two that it holds, which may overlap; a run of 2^(k + 1)
    is two runs of 2^k. So the blocks are marked by the starts of their runs alone, and the marks handed down from the
    longest runs to single pixels, an axis after the other.
    """
    levels = torch.frexp(sizes.double()).exponent.long() - 1
    ends = starts + sizes - (1 << levels)
    numbers = torch.arange(len(starts), dtype=torch.int32, device=starts.device)
    n_levels = (levels.amax(0) + 1).tolist() if len(starts) else [1] * len(shape)
    strides = _strides(torch.tensor([[*n_levels[1:], *shape]], device=starts.device))[0]
    corners = torch.stack([(c * strides[-len(shape) :]).sum(1) for c in _corners(starts, ends)])
    corners += (levels[:, 1:] * strides[: len(shape) - 1]).sum(1)
    longer = torch.full(tuple(shape), -1, dtype=torch.int32, device=starts.device)
    for level in range(n_levels[0] - 1, -1, -1):
        chosen = levels[:, 0] == level
        marks = torch.full((*n_levels[1:], *shape), -1, dtype=torch.int32, device=starts.device)
        of_level = corners[:, chosen]
        marks.view(-1).scatter_reduce_(0, of_level.flatten(), numbers[chosen].repeat(len(of_level)), "amax")
        for axis in range(1, len(shape)):
            for other in range(len(marks) - 1, 0, -1):
                _hand_down(marks[other], marks[other - 1], 2 ** (other - 1), axis - len(shape))
            marks = marks[0]
        _hand_down(longer, marks, 2**level, -len(shape))
        longer = marks
    return longer


def _corners(starts: Tensor, ends: Tensor) -> list[Tensor]:
    """All that have either the start or the end along each axis, ``(N, axes)`` each."""
    axes = zip(starts.unbind(1), ends.unbind(1), strict=True)
    return [torch.stack(corner, dim=1) for corner in itertools.product(*axes)]


def _hand_down(longer: Tensor, marks: Tensor, run: int, axis: int) -> None:
    """Mark runs of a length, by their starts, wherever a run of twice the length is marked."""
    rest = longer.shape[axis] - run
    torch.maximum(marks, longer, out=marks)
    later = marks.narrow(axis, run, rest)
    torch.maximum(later, longer.narrow(axis, 0, rest), out=later)
