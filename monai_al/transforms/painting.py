# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""In-painting and out-painting: noise inside of some rectangles, or everywhere but in some windows."""

from __future__ import annotations

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

__all__ = ["Paintings", "draw_in_paintings", "draw_out_paintings", "painted"]


class Paintings(NamedTuple):
    """Where each of B images becomes noise, all on the CPU.

    Args:
        starts: int64 ``(B, N, axes)``, the first pixel of each rectangle along each axis.
        sizes: int64 ``(B, N, axes)``, the sides in pixels; 0 for a rectangle that is not there.
        outside: bool ``(B,)``, whether there is noise outside of all rectangles instead of inside.
        seeds: int64 ``(B,)``, those of the noise.

    Example:
        >>> draw_out_paintings(2, (64, 48)).outside.tolist()
        [True, True]
    """

    starts: Tensor
    sizes: Tensor
    outside: Tensor
    seeds: Tensor


def draw_in_paintings(
    n_images: int,
    spatial_size: Sequence[int],
    *,
    rectangles: int = 5,
    another: float = 0.95,
    sides: tuple[float, float] = (1 / 6, 1 / 3),
    generator: Generator | None = None,
) -> Paintings:
    """Rectangles of noise, anywhere within the image.

    The defaults are those of Models Genesis, MICCAI 2019, arXiv:1908.06912. Where the first rectangle is not drawn, the
    image stays as it is.

    Args:
        n_images: how many images.
        spatial_size: their sides in pixels.
        rectangles: the most that one image has.
        another: probability that the next one is drawn, the first, too; without it there are no more.
        sides: range of the rectangles' sides, as shares of the image's, rounded down to whole pixels, at least 1.
        generator: source of the draws; None: torch's global generator of the CPU.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> drawn = draw_in_paintings(1, (256, 64), another=1)
        >>> drawn.sizes.shape, drawn.outside.tolist()
        (torch.Size([1, 5, 2]), [False])
    """
    check_count("rectangles", rectangles, 0)
    return _drawn(n_images, spatial_size, rectangles, 0, another, sides, generator)


def draw_out_paintings(
    n_images: int,
    spatial_size: Sequence[int],
    *,
    windows: int = 5,
    another: float = 0.95,
    sides: tuple[float, float] = (3 / 7, 4 / 7),
    generator: Generator | None = None,
) -> Paintings:
    """Windows that are left of an image, anywhere within it; the rest is noise.

    The defaults are those of Models Genesis, MICCAI 2019, arXiv:1908.06912. The first window is always there.

    Args:
        n_images: how many images.
        spatial_size: their sides in pixels.
        windows: the most that one image has, at least 1.
        another: probability that the next one is drawn; without it there are no more.
        sides: range of the windows' sides, as shares of the image's, rounded down to whole pixels, at least 1.
        generator: source of the draws; None: torch's global generator of the CPU.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> draw_out_paintings(1, (70, 7), another=0, sides=(3 / 7, 3 / 7)).sizes[0, 0].tolist()
        [30, 3]
    """
    check_count("windows", windows, 1)
    return _drawn(n_images, spatial_size, windows, 1, another, sides, generator)


def painted(images: Tensor, paintings: Paintings) -> Tensor:
    """Put noise, uniform in [0, 1), into rectangles of images or around them.

    Args:
        images: floating point ``(B, C, *spatial)`` with intensities in [0, 1].
        paintings: of each image. The channels have the same rectangles, each its own noise.

    Returns:
        Other images of the same shape, type and device; on each device the same noise.

    Raises:
        ValueError: the images are not of floating point, or the paintings are for another number of images or axes, or
            leave them.

    Example:
        >>> paintings = Paintings(*torch.tensor([[[[2]]], [[[1]]]]), torch.tensor([True]), torch.tensor([0]))
        >>> (painted(torch.full((1, 1, 4), 7.0), paintings) == 7).tolist()
        [[[False, False, True, False]]]
    """
    check_images(images, len(paintings.seeds), paintings.starts.shape[-1])
    check_within("paintings", paintings.starts, paintings.sizes, images.shape[2:])
    result = images.clone()
    noisy = _inside(paintings, images.shape[2:]) ^ paintings.outside.reshape(-1, *[1] * (images.ndim - 2))
    for image, where, seed in zip(result, noisy, paintings.seeds.tolist(), strict=True):
        if where.any():
            noise = torch.rand(image.shape, generator=Generator().manual_seed(seed))
            image.copy_(torch.where(where.to(image.device), noise.to(image), image))
    return result


def _drawn(
    n_images: int,
    spatial_size: Sequence[int],
    most: int,
    always: int,
    another: float,
    sides: tuple[float, float],
    generator: Generator | None,
) -> Paintings:
    """Rectangles of which the first ones are always there; outside of them is noise if there are such."""
    check_range("another", (another, another), 0.0, 1.0)
    check_range("sides", sides, 0.0, 1.0)
    drawn = chances(n_images, most, 2, len(spatial_size), generator=generator)
    low, high = (shares_of(spatial_size, share) for share in sides)
    sizes = uniform_integers(drawn[:, :, 0], low, high)
    starts = uniform_integers(drawn[:, :, 1], 0, torch.tensor(spatial_size) - sizes)
    there = chances(n_images, most, generator=generator) < another
    there[:, :always] = True
    sizes = sizes * there.cumprod(1)[..., None]
    outside = torch.full((n_images,), always > 0)
    return Paintings(starts, sizes, outside, seeds_of(chances(n_images, generator=generator)))


def _inside(paintings: Paintings, shape: Sequence[int]) -> Tensor:
    """Which pixels lie in a rectangle, bool ``(B, *shape)``."""
    inside = torch.ones(paintings.sizes.shape[:2] + (1,) * len(shape), dtype=torch.bool)
    for axis, side in enumerate(shape):
        place = torch.arange(side)
        start, size = paintings.starts[..., axis, None], paintings.sizes[..., axis, None]
        along = (place >= start) & (place < start + size)
        before, behind = [1] * axis, [1] * (len(shape) - 1 - axis)
        inside = inside & along.reshape(*along.shape[:2], *before, side, *behind)
    return inside.any(1)
