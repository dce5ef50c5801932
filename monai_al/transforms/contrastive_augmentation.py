# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Random changes of whole batches of images, which an embedding should not depend on."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from monai_al.transforms._draws import check_range

__all__ = ["AugmentationParameters", "ContrastiveAugmentation", "augmented"]

CROP_RATIO = (3 / 4, 4 / 3)
ERASE_RATIO = (0.3, 3.3)


class AugmentationParameters(NamedTuple):
    """What is done to each of B images; all float64 on the CPU but ``flip``.

    Args:
        crop: ``(B, 4)``, top, left, height and width of the part that is shown, as shares of the image's sides.
        flip: bool ``(B,)``, whether columns are reversed.
        rotate: ``(B,)``, degrees, clockwise where rows are counted downwards.
        translate: ``(B, 2)``, down and to the right, as shares of the image's sides.
        scale: ``(B,)``, larger than 1 enlarges.
        shear: ``(B,)``, degrees; rows move along themselves, those below the centre to the right.
        blur: ``(B,)``, standard deviation in pixels; 0 leaves the image as it is.
        erase: ``(B, 4)``, top, left, height and width of the part that is set to 0, as shares; nothing where 0.

    Example:
        >>> ContrastiveAugmentation().draw(3).crop.shape
        torch.Size([3, 4])
    """

    crop: Tensor
    flip: Tensor
    rotate: Tensor
    translate: Tensor
    scale: Tensor
    shear: Tensor
    blur: Tensor
    erase: Tensor


class ContrastiveAugmentation:
    """Crop, flip, move, blur and erase, each image of a batch by parameters of its own.

    The defaults are those of A. Vepa et al., NeurIPS 2024, arXiv:2411.15763, in their code. Crop, flip and affine map
    are one interpolation; then the image is blurred, then a part of it erased. See :func:`augmented`.

    The parameters are drawn on the CPU, so that a seed gives the same ones on every device.

    Args:
        crop: range of the area that is enlarged to the whole image, as a share of it. Height and width have a ratio of
            3/4 to 4/3, times that of the image, as far as the area allows it.
        flip: probability that the columns are reversed.
        rotate: largest angle, in degrees, to either side.
        translate: largest shift, to either side, as a share of the image's sides.
        scale: range of the factor of enlargement.
        shear: largest angle, in degrees, to either side.
        blur: range of the Gaussian's standard deviation in pixels; (0, 0): no blur.
        blur_size: side of the Gaussian's kernel in pixels, odd.
        erase: probability that a part is erased.
        erase_area: range of its area, as a share of the image's; its sides have a ratio of 0.3 to 3.3, as above.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> augment, images = ContrastiveAugmentation(), torch.rand(4, 1, 64, 64)
        >>> augment(images).shape
        torch.Size([4, 1, 64, 64])
        >>> one, other = (augment(images, torch.Generator().manual_seed(0)) for _ in range(2))
        >>> torch.equal(one, other)
        True
    """

    def __init__(
        self,
        crop: tuple[float, float] = (0.8, 1.0),
        flip: float = 0.5,
        rotate: float = 15.0,
        translate: float = 0.2,
        scale: tuple[float, float] = (0.8, 1.2),
        shear: float = 10.0,
        blur: tuple[float, float] = (0.1, 2.0),
        blur_size: int = 5,
        erase: float = 0.2,
        erase_area: tuple[float, float] = (0.02, 0.33),
    ) -> None:
        for name, bounds, least, most in (
            ("crop", crop, 1e-6, 1.0),
            ("flip", (flip, flip), 0.0, 1.0),
            ("rotate", (rotate, rotate), 0.0, 180.0),
            ("translate", (translate, translate), 0.0, 1.0),
            ("scale", scale, 1e-6, math.inf),
            ("shear", (shear, shear), 0.0, 89.0),
            ("blur", blur, 0.0, math.inf),
            ("erase", (erase, erase), 0.0, 1.0),
            ("erase_area", erase_area, 0.0, 1.0),
        ):
            check_range(name, bounds, least, most)
        if blur_size < 1 or blur_size % 2 == 0:
            raise ValueError(f"blur_size must be odd, got {blur_size}")
        self.crop, self.flip = crop, flip
        self.rotate, self.translate, self.scale, self.shear = rotate, translate, scale, shear
        self.blur, self.blur_size = blur, blur_size
        self.erase, self.erase_area = erase, erase_area

    def __call__(self, images: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw parameters and apply them.

        Args:
            images: floating point ``(B, C, H, W)``, plain tensors on any device.
            generator: source of the draws; None: torch's global generator of the CPU.

        Returns:
            The same shape, type and device.
        """
        return augmented(images, self.draw(len(images), generator), blur_size=self.blur_size)

    def draw(self, n_images: int, generator: Generator | None = None) -> AugmentationParameters:
        """Parameters for some images.

        Args:
            n_images: how many.
            generator: source of the draws; None: torch's global generator of the CPU.
        """
        device = None if generator is None else generator.device
        chances = torch.rand(16, n_images, generator=generator, dtype=torch.float64, device=device).cpu()
        flip, rotate, down, right, scale, shear, blur, erase = chances[8:]
        box = _boxes(chances[4:8], self.erase_area, ERASE_RATIO)
        return AugmentationParameters(
            crop=_boxes(chances[:4], self.crop, CROP_RATIO),
            flip=flip < self.flip,
            rotate=_uniform(rotate, -self.rotate, self.rotate),
            translate=_uniform(torch.stack([down, right], dim=1), -self.translate, self.translate),
            scale=_uniform(scale, *self.scale),
            shear=_uniform(shear, -self.shear, self.shear),
            blur=_uniform(blur, *self.blur),
            erase=box * (erase < self.erase)[:, None],
        )


def augmented(images: Tensor, parameters: AugmentationParameters, *, blur_size: int = 5) -> Tensor:
    """Crop, flip and move images in one linear interpolation, then blur them, then set a part of each to 0.

    What lies beyond the image is shown as its nearest pixel: mostly background, whatever its value is. Where the crop
    is moved out of the frame its surroundings come in, as far as the image goes. The blur reflects the image at its
    border.

    Args:
        images: floating point ``(B, C, H, W)``, plain tensors on any device.
        parameters: of each image.
        blur_size: side of the Gaussian's kernel in pixels, odd.

    Returns:
        The same shape, type and device.

    Raises:
        ValueError: the images are not 2D or not of floating point, or there are parameters for another number of them.

    Example:
        >>> parameters = ContrastiveAugmentation(flip=1, blur=(0, 0), erase=0).draw(1)
        >>> still = {name: torch.zeros_like(getattr(parameters, name)) for name in ("rotate", "translate", "shear")}
        >>> still |= {"scale": torch.ones(1), "crop": torch.tensor([[0, 0, 1.0, 1]])}
        >>> augmented(torch.arange(4.0).reshape(1, 1, 1, 4), parameters._replace(**still), blur_size=1)
        tensor([[[[3., 2., 1., 0.]]]])
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(f"images must be floating point (B, C, H, W), got {images.dtype} {tuple(images.shape)}")
    if len(images) != len(parameters.flip):
        raise ValueError(f"there are {len(images)} images but parameters for {len(parameters.flip)}")
    precise = images if images.dtype in (torch.float32, torch.float64) else images.float()
    height, width = images.shape[2:]
    grid = _source_grid(_source_maps(parameters, height, width).to(precise), height, width)
    moved = F.grid_sample(precise, grid, mode="bilinear", padding_mode="border", align_corners=False)
    kernels = _gaussians(parameters.blur, blur_size).to(precise)
    blurred = _blurred(moved, kernels)
    box = parameters.erase.to(precise)
    return blurred.masked_fill(_inside(box, height, width)[:, None], 0).to(images.dtype)


def _source_maps(parameters: AugmentationParameters, height: int, width: int) -> Tensor:
    """The place in the image that each place of the result shows; both sides are -1 to 1, x first, ``(B, 2, 3)``."""
    angle, skew = torch.deg2rad(parameters.rotate), torch.deg2rad(parameters.shear).tan()
    cosine, sine = angle.cos() / parameters.scale, angle.sin() / parameters.scale
    maps = torch.empty(len(angle), 2, 3, dtype=torch.float64)
    maps[:, 0, 0] = cosine + skew * sine
    maps[:, 0, 1] = (sine - skew * cosine) * (height / width)
    maps[:, 1, 0] = -sine * (width / height)
    maps[:, 1, 1] = cosine
    maps[:, :, 2] = -2 * (maps[:, :, :2] @ parameters.translate.flip(1)[:, :, None])[..., 0]
    maps[parameters.flip, 0] *= -1
    start, size = parameters.crop[:, :2].flip(1), parameters.crop[:, 2:].flip(1)
    maps *= size[:, :, None]
    maps[:, :, 2] += 2 * start + size - 1
    return maps


def _source_grid(maps: Tensor, height: int, width: int) -> Tensor:
    """The place in the image that each pixel of the result shows, ``(B, H, W, 2)``; faster than ``affine_grid``."""
    rows, columns = ((2 * torch.arange(side).to(maps) + 1) / side - 1 for side in (height, width))
    by_column, by_row = maps[:, :, :1] * columns, maps[:, :, 1:2] * rows + maps[:, :, 2:]
    grid = maps.new_empty(len(maps), height, width, 2)
    for axis in (0, 1):
        torch.add(by_row[:, axis, :, None], by_column[:, axis, None, :], out=grid[..., axis])
    return grid


def _gaussians(deviations: Tensor, size: int) -> Tensor:
    """Weights of each image's kernel along one axis, ``(B, size)``."""
    distance = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-0.5 * (distance / deviations.clamp(min=1e-3)[:, None]) ** 2)
    return weights / weights.sum(1, keepdim=True)


def _blurred(images: Tensor, kernels: Tensor) -> Tensor:
    """Each image convolved with its own kernel along rows and columns."""
    n_images, channels = images.shape[:2]
    weights = (kernels[:, :, None] * kernels[:, None, :]).repeat_interleave(channels, dim=0)[:, None]
    planes = F.pad(images, [kernels.shape[1] // 2] * 4, mode="reflect").flatten(0, 1)[None]
    return F.conv2d(planes, weights, groups=len(weights))[0].unflatten(0, (n_images, channels))


def _inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Which pixels have their centre in the box, bool ``(B, H, W)``."""
    top, left, tall, wide = boxes[:, :, None].unbind(1)
    rows = (torch.arange(height, device=boxes.device) + 0.5) / height
    columns = (torch.arange(width, device=boxes.device) + 0.5) / width
    in_rows, in_columns = (rows >= top) & (rows < top + tall), (columns >= left) & (columns < left + wide)
    return in_rows[:, :, None] & in_columns[:, None, :]


def _boxes(chances: Tensor, areas: tuple[float, float], ratios: tuple[float, float]) -> Tensor:
    """Boxes within the image, as shares of its sides: area uniform, ratio of sides log-uniform, place uniform."""
    area = _uniform(chances[0], *areas)
    limit = area.log().abs()
    low, high = torch.maximum(-limit, torch.tensor(math.log(ratios[0]))), limit.clamp(max=math.log(ratios[1]))
    ratio = torch.exp(low + chances[1] * (high - low))
    height, width = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    return torch.stack([chances[2] * (1 - height), chances[3] * (1 - width), height, width], dim=1)


def _uniform(chances: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * chances
