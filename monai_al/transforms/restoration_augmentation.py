# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs for self-supervised pretraining by restoration: a deformed image and the image that it was."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from monai_al.transforms._draws import chances, changed_where, check_count, check_images, check_range, rows
from monai_al.transforms.bezier_intensity import bezier_intensity, draw_bezier_curves
from monai_al.transforms.painting import Paintings, draw_in_paintings, draw_out_paintings, painted
from monai_al.transforms.pixel_shuffling import PixelBlocks, draw_pixel_blocks, shuffled_pixels

__all__ = ["RestorationAugmentation", "RestorationParameters", "restoration_pairs"]


class RestorationParameters(NamedTuple):
    """What is done to each of B images, in this order; all on the CPU.

    Args:
        flips: bool ``(B, axes)``, the axes that are reversed, of the target, too.
        shuffle: bool ``(B,)``, whether the pixels of ``blocks`` are permuted.
        blocks: of each image, also of those that are not shuffled.
        curve: bool ``(B,)``, whether intensities go through ``curves``.
        curves: control points ``(B, 4, 2)`` of each image, also of those that keep their intensities.
        paint: bool ``(B,)``, whether there is noise as in ``paintings``.
        paintings: of each image, also of those that are not painted.

    Example:
        >>> RestorationAugmentation().draw(3, (64, 64)).flips.shape
        torch.Size([3, 2])
    """

    flips: Tensor
    shuffle: Tensor
    blocks: PixelBlocks
    curve: Tensor
    curves: Tensor
    paint: Tensor
    paintings: Paintings


class RestorationAugmentation:
    """Flip, shuffle, map and paint, each image of a batch by parameters of its own, beside what is to be restored.

    The deformations of Z. Zhou et al., Models Genesis, MICCAI 2019, arXiv:1908.06912, of images or volumes with
    intensities in [0, 1]. All sizes are shares of the image's sides: of 256 pixels, blocks of 1 to 25, noise of 42 to
    85, windows of 109 to 146. See :func:`restoration_pairs`.

    The parameters are drawn on the CPU, so that a seed gives the same ones on every device.

    Args:
        flip: probability that an axis is reversed, for each axis.
        shuffle: probability of local pixel shuffling.
        blocks: how many blocks are shuffled.
        block_side: largest side of a block.
        curve: probability of a non-linear change of intensities.
        inverting: share of these that turn bright into dark.
        paint: probability of in-painting or out-painting.
        out_paint: share of these that are out-paintings.
        another: probability that the next rectangle or window is drawn.
        rectangles: the most of one in-painting; none is possible.
        rectangle_sides: range of their sides.
        windows: the most of one out-painting; there is at least one.
        window_sides: range of their sides.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> augment, images = RestorationAugmentation(), torch.rand(4, 1, 64, 64)
        >>> pairs = augment(images)
        >>> pairs["image"].shape, pairs["target"].shape
        (torch.Size([4, 1, 64, 64]), torch.Size([4, 1, 64, 64]))
        >>> one, other = (augment(images, torch.Generator().manual_seed(0))["image"] for _ in range(2))
        >>> torch.equal(one, other)
        True
    """

    def __init__(
        self,
        flip: float = 0.4,
        shuffle: float = 0.5,
        blocks: int = 10_000,
        block_side: float = 0.1,
        curve: float = 0.9,
        inverting: float = 0.5,
        paint: float = 0.9,
        out_paint: float = 0.8,
        another: float = 0.95,
        rectangles: int = 5,
        rectangle_sides: tuple[float, float] = (1 / 6, 1 / 3),
        windows: int = 5,
        window_sides: tuple[float, float] = (3 / 7, 4 / 7),
    ) -> None:
        probabilities = {"flip": flip, "shuffle": shuffle, "curve": curve, "inverting": inverting, "paint": paint}
        probabilities |= {"out_paint": out_paint, "another": another, "block_side": block_side}
        for name, value in probabilities.items():
            check_range(name, (value, value), 0.0, 1.0)
        check_range("rectangle_sides", rectangle_sides, 0.0, 1.0)
        check_range("window_sides", window_sides, 0.0, 1.0)
        for name, value, least in (("blocks", blocks, 0), ("rectangles", rectangles, 0), ("windows", windows, 1)):
            check_count(name, value, least)
        self.flip, self.shuffle, self.curve, self.paint = flip, shuffle, curve, paint
        self.blocks, self.block_side = blocks, block_side
        self.inverting, self.out_paint, self.another = inverting, out_paint, another
        self.rectangles, self.rectangle_sides = rectangles, rectangle_sides
        self.windows, self.window_sides = windows, window_sides

    def __call__(self, images: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        """Draw parameters and apply them.

        Args:
            images: floating point ``(B, C, *spatial)`` with intensities in [0, 1], plain tensors on any device.
            generator: source of the draws; None: torch's global generator of the CPU.

        Returns:
            ``image`` and ``target``, of the same shape, type and device.
        """
        check_images(images, len(images))
        image, target = restoration_pairs(images, self.draw(len(images), images.shape[2:], generator))
        return {"image": image, "target": target}

    def draw(
        self, n_images: int, spatial_size: Sequence[int], generator: Generator | None = None
    ) -> RestorationParameters:
        """Parameters for some images.

        Args:
            n_images: how many.
            spatial_size: their sides in pixels.
            generator: source of the draws; None: torch's global generator of the CPU.
        """
        n_axes = len(spatial_size)
        drawn = chances(n_images, 4 + n_axes, generator=generator)
        curves = draw_bezier_curves(n_images, inverting=self.inverting, generator=generator)
        blocks = draw_pixel_blocks(
            n_images, spatial_size, blocks=self.blocks, side=self.block_side, generator=generator
        )
        inside = draw_in_paintings(
            n_images,
            spatial_size,
            rectangles=self.rectangles,
            another=self.another,
            sides=self.rectangle_sides,
            generator=generator,
        )
        outside = draw_out_paintings(
            n_images,
            spatial_size,
            windows=self.windows,
            another=self.another,
            sides=self.window_sides,
            generator=generator,
        )
        return RestorationParameters(
            flips=drawn[:, 4:] < self.flip,
            shuffle=drawn[:, 0] < self.shuffle,
            blocks=blocks,
            curve=drawn[:, 1] < self.curve,
            curves=curves,
            paint=drawn[:, 2] < self.paint,
            paintings=_either(drawn[:, 3] < self.out_paint, outside, inside),
        )


def restoration_pairs(images: Tensor, parameters: RestorationParameters) -> tuple[Tensor, Tensor]:
    """Flip images, then shuffle their pixels, map their intensities, and paint noise over what came of it.

    Args:
        images: floating point ``(B, C, *spatial)`` with intensities in [0, 1], plain tensors on any device.
        parameters: of each image.

    Returns:
        The deformed images, and the targets: the images flipped, else as they were. Both have the same shape, type and
        device as the images, and share no memory with them or with each other.

    Raises:
        ValueError: the images are not of floating point, or there are parameters for another number of images or axes,
            or blocks or rectangles leave the images.

    Example:
        >>> augment, images = RestorationAugmentation(flip=1, shuffle=0, curve=0, paint=0), torch.rand(2, 1, 8, 8)
        >>> image, target = restoration_pairs(images, augment.draw(2, (8, 8)))
        >>> torch.equal(image, images.flip(2, 3)), torch.equal(target, image)
        (True, True)
    """
    check_images(images, len(parameters.flips), parameters.flips.shape[1])
    target = images.clone()
    for axis, flipped in enumerate(parameters.flips.unbind(1), start=2):
        target = changed_where(flipped, target, partial(torch.flip, dims=(axis,)))
    shuffle, curve, paint = parameters.shuffle, parameters.curve, parameters.paint
    image = target.clone()
    image = changed_where(shuffle, image, lambda part: shuffled_pixels(part, rows(parameters.blocks, shuffle)))
    image = changed_where(curve, image, lambda part: bezier_intensity(part, parameters.curves[curve]))
    image = changed_where(paint, image, lambda part: painted(part, rows(parameters.paintings, paint)))
    return image, target


def _either(first: Tensor, ones: Paintings, others: Paintings) -> Paintings:
    """The ones where ``first``, bool ``(B,)``, else the others."""
    most = max(ones.sizes.shape[1], others.sizes.shape[1])
    pairs = zip(_with_room(ones, most), _with_room(others, most), strict=True)
    return Paintings(*(torch.where(first.reshape(-1, *[1] * (one.ndim - 1)), one, other) for one, other in pairs))


def _with_room(paintings: Paintings, most: int) -> Paintings:
    """The same with so many rectangles, of which the last ones are not there."""
    missing = most - paintings.sizes.shape[1]
    starts, sizes = (torch.nn.functional.pad(each, (0, 0, 0, missing)) for each in paintings[:2])
    return paintings._replace(starts=starts, sizes=sizes)
