# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Random changes of the images of a batch: drawn first, then applied, then undone on the predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from monai_al.inferers._rotation import is_seen_after_rotation, rotated
from monai_al.uncertainty import Augmentation

__all__ = ["ImageChanges", "change_images", "draw_image_changes", "undo_image_changes"]

PLANE = (2, 3)


@dataclass(frozen=True, slots=True)
class ImageChanges:
    """What is done to each image of a batch, in this order.

    Args:
        flips: bool ``(B, 2)``: mirror along the first and the second in-plane axis.
        turns: int64 ``(B,)``: quarter turns, 0 to 3, from the first in-plane axis to the second.
        degrees: float64 ``(B,)``: a rotation in the same direction; None rotates none.
        noise_seeds: int64 ``(B,)``: seeds of the noise.
        noise: standard deviation of the Gaussian noise that is added, in the images' units.

    Example:
        >>> draw_image_changes(Augmentation(rotation=0), [torch.default_generator], square=True).degrees is None
        True
    """

    flips: Tensor
    turns: Tensor
    degrees: Tensor | None
    noise_seeds: Tensor
    noise: float


def draw_image_changes(
    augmentation: Augmentation, generators: Sequence[Generator], *, square: bool = True
) -> ImageChanges:
    """Draw one image's changes from each generator, always the same number of random numbers.

    Args:
        augmentation: what may change and how much.
        generators: B generators on the CPU; one may stand for several images.
        square: whether an image is as high as wide; if not, it is turned by half turns only.

    Returns:
        The changes of B images.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> changes = draw_image_changes(Augmentation(rotation=10), [generator] * 3)
        >>> bool((changes.degrees.abs() <= 10).all())
        True
    """
    draws = [torch.rand(5, generator=generator, dtype=torch.float64) for generator in generators]
    angle, *flips, turn, noise = torch.stack(draws).unbind(1) if draws else torch.zeros(5, 0, dtype=torch.float64)
    quarters = (4 * turn).long() if square else 2 * (2 * turn).long()
    return ImageChanges(
        flips=(torch.stack(flips, dim=1) < 0.5) & augmentation.flips,
        turns=quarters * augmentation.quarter_turns,
        degrees=augmentation.rotation * (2 * angle - 1) if augmentation.rotation else None,
        noise_seeds=(noise * 2**53).long(),
        noise=augmentation.noise,
    )


def change_images(images: Tensor, changes: ImageChanges) -> Tensor:
    """Apply the changes.

    Flips and turns move pixels; the rotation interpolates linearly, about the centre of the pixel grid, and repeats the
    border beyond it.

    Args:
        images: ``(B, C, H, W)`` or ``(B, C, H, W, D)``, changed in the plane of H and W, the noise everywhere.
        changes: of B images.

    Returns:
        Other images of the same shape and type.

    Example:
        >>> flip = torch.tensor([[False, True]])
        >>> changes = ImageChanges(flip, torch.tensor([0]), None, torch.tensor([0]), noise=0.0)
        >>> change_images(torch.tensor([[[[1.0, 2.0]]]]), changes)
        tensor([[[[2., 1.]]]])
    """
    for axis, flipped in zip(PLANE, changes.flips.unbind(1), strict=True):
        images = _where(flipped, images, lambda part, axis=axis: part.flip(axis))
    for turns in (1, 2, 3):
        images = _where(changes.turns == turns, images, lambda part, turns=turns: part.rot90(turns, PLANE))
    if changes.degrees is not None:
        images = rotated(images, changes.degrees)
    return images.add(_noise_like(images, changes.noise_seeds), alpha=changes.noise) if changes.noise else images


def undo_image_changes(probs: Tensor, changes: ImageChanges) -> tuple[Tensor, Tensor]:
    """Bring predictions of changed images back to the images.

    Args:
        probs: ``(B, C, H, W)`` or ``(B, C, H, W, D)``; interpolated probabilities still sum to 1.
        changes: of B images, those of :func:`change_images`.

    Returns:
        The predictions in the same shape, and which pixels were in sight in the changed image, bool ``(B, *spatial)``.

    Example:
        >>> changes = draw_image_changes(Augmentation(rotation=30, noise=0), [torch.Generator()])
        >>> probs, seen = undo_image_changes(torch.full((1, 2, 8, 8), 0.5), changes)
        >>> bool((probs == 0.5).all()), bool(seen.all())
        (True, False)
    """
    seen = torch.ones_like(probs[:, :1], dtype=torch.bool)
    if changes.degrees is not None:
        inside = is_seen_after_rotation(changes.degrees, *probs.shape[2:4], device=probs.device)
        seen &= inside.reshape(len(probs), 1, *probs.shape[2:4], *[1] * (probs.ndim - 4))
        probs = rotated(probs, -changes.degrees)
    for turns in (1, 2, 3):
        chosen = changes.turns == turns
        probs, seen = (
            _where(chosen, each, lambda part, turns=turns: part.rot90(-turns, PLANE)) for each in (probs, seen)
        )
    for axis, flipped in zip(PLANE, changes.flips.unbind(1), strict=True):
        probs, seen = (_where(flipped, each, lambda part, axis=axis: part.flip(axis)) for each in (probs, seen))
    return probs, seen[:, 0]


def _where(chosen: Tensor, images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The images with the chosen ones, bool ``(B,)``, changed."""
    if not chosen.any():
        return images
    chosen = chosen.to(images.device)
    changed = images.clone()
    changed[chosen] = change(images[chosen])
    return changed


def _noise_like(images: Tensor, seeds: Tensor) -> Tensor:
    """Standard normal noise; that of an image depends on its seed alone."""
    generator = Generator(images.device)
    noise = torch.empty_like(images)
    for image, seed in zip(noise, seeds.tolist(), strict=True):
        image.normal_(generator=generator.manual_seed(seed))
    return noise
