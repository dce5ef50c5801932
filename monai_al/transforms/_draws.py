# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the random changes of a batch share: checks of settings and images, uniform draws, change of some images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Generator, Tensor

__all__ = [
    "changed_where",
    "chances",
    "check_count",
    "check_images",
    "check_range",
    "check_within",
    "rows",
    "seeds_of",
    "shares_of",
    "uniform_integers",
]

Rows = TypeVar("Rows", bound=tuple)


def check_range(name: str, bounds: tuple[float, float], least: float, most: float) -> None:
    """Raise a ``ValueError`` where a setting, or a range of one, is not within its limits."""
    low, high = bounds
    if not least <= low <= high <= most:
        got = low if low == high else (low, high)
        raise ValueError(f"{name} must be within {least:g} and {most:g}, smaller number first, got {got}")


def check_count(name: str, value: int, least: int) -> None:
    """Raise a ``ValueError`` where a setting is no whole number, or too small."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def check_images(images: Tensor, n_images: int, n_axes: int | None = None) -> None:
    """Raise a ``ValueError`` unless images are floating point ``(B, C, *spatial)`` and fit to their parameters."""
    if images.ndim < 3 or not images.is_floating_point():
        raise ValueError(f"images must be floating point (B, C, *spatial), got {images.dtype} {tuple(images.shape)}")
    if len(images) != n_images:
        raise ValueError(f"there are {len(images)} images but parameters for {n_images}")
    if n_axes is not None and images.ndim - 2 != n_axes:
        raise ValueError(f"images have {images.ndim - 2} spatial axes but the parameters are for {n_axes}")


def check_within(name: str, starts: Tensor, sizes: Tensor, shape: Sequence[int]) -> None:
    """Raise a ``ValueError`` where boxes, ``(..., axes)``, reach beyond images of this shape."""
    if ((starts < 0) | (starts + sizes > torch.tensor(shape))).any():
        raise ValueError(f"{name} leave the images of {' x '.join(map(str, shape))} pixels: draw them for this size")


def chances(*shape: int, generator: Generator | None = None) -> Tensor:
    """Uniform numbers in [0, 1), float64 on the CPU, wherever the generator draws them."""
    device = None if generator is None else generator.device
    return torch.rand(*shape, generator=generator, dtype=torch.float64, device=device).cpu()


def seeds_of(chance: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) as int64 seeds."""
    return (chance * 2**53).long()


def uniform_integers(chance: Tensor, low: Tensor | int, high: Tensor | int) -> Tensor:
    """Uniform numbers in [0, 1) as int64 from low to high, both included."""
    return low + (chance * (high - low + 1)).long()


def shares_of(spatial_size: Sequence[int], share: float) -> Tensor:
    """A share of each side in whole pixels, rounded down, at least 1, int64 ``(axes,)``."""
    sides = torch.tensor(spatial_size, dtype=torch.float64)
    return (sides * share + 1e-6).long().clamp(min=1)


def rows(parameters: Rows, chosen: Tensor) -> Rows:
    """A tuple of tensors with a row for each image: the rows of some images."""
    return type(parameters)(*(each[chosen] for each in parameters))


def changed_where(chosen: Tensor, images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The images with the chosen ones, bool ``(B,)``, changed; other memory if there are any."""
    if not chosen.any():
        return images
    chosen = chosen.to(images.device)
    changed = images.clone()
    changed[chosen] = change(images[chosen])
    return changed
