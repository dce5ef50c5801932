# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Non-linear intensities: each image through a cubic Bezier curve of its own."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from monai_al.transforms._draws import chances, check_images, check_range

__all__ = ["bezier_intensity", "draw_bezier_curves"]

NODES = 1001  # of the polygon that stands for a curve


def draw_bezier_curves(n_images: int, *, inverting: float = 0.5, generator: Generator | None = None) -> Tensor:
    """Control points of cubic Bezier curves, the inner two uniform in the unit square.

    Z. Zhou et al., Models Genesis, MICCAI 2019, arXiv:1908.06912.

    Args:
        n_images: how many curves, one for each image.
        inverting: probability that a curve falls from (0, 1) to (1, 0) instead of rising from (0, 0) to (1, 1).
        generator: source of the draws; None: torch's global generator of the CPU.

    Returns:
        float64 ``(B, 4, 2)``, first the old intensity, then the new one.

    Raises:
        ValueError: ``inverting`` is no probability.

    Example:
        >>> draw_bezier_curves(1, inverting=0)[0, [0, 3]].tolist()
        [[0.0, 0.0], [1.0, 1.0]]
    """
    check_range("inverting", (inverting, inverting), 0.0, 1.0)
    drawn = chances(n_images, 5, generator=generator)
    falls = (drawn[:, 0] < inverting).to(drawn)
    points = torch.empty(n_images, 4, 2, dtype=torch.float64)
    points[:, 0, 0], points[:, 3, 0] = 0, 1
    points[:, 0, 1], points[:, 3, 1] = falls, 1 - falls
    points[:, 1:3] = drawn[:, 1:].reshape(-1, 2, 2)
    return points


def bezier_intensity(images: Tensor, points: Tensor) -> Tensor:
    """The new intensity of every pixel, from the curve of its image.

    A curve is taken as a polygon of 1000 pieces, each a thousandth of the curve's parameter. Intensities below 0 and
    above 1 count as 0 and 1.

    Args:
        images: floating point ``(B, C, *spatial)`` with intensities in [0, 1].
        points: control points ``(B, 4, 2)`` whose abscissas run from 0 to 1, those of :func:`draw_bezier_curves`.

    Returns:
        The same shape, type and device, with intensities in [0, 1].

    Raises:
        ValueError: the images are not of floating point, or there are curves for another number of them.

    Example:
        >>> points = torch.tensor([[[0.0, 1.0], [0.25, 0.75], [0.75, 0.25], [1.0, 0.0]]])
        >>> bezier_intensity(torch.tensor([[[0.0, 0.5, 1.0]]]), points)
        tensor([[[1.0000, 0.5000, 0.0000]]])
    """
    check_images(images, len(points))
    old, new = _on_curve(points.to(images.device, torch.float64)).unbind(2)
    old, new = old.contiguous(), new.contiguous()
    values = images.to(torch.float64).flatten(1).clamp(0, 1)
    right = torch.searchsorted(old, values).clamp_(1, NODES - 1)
    right += NODES * torch.arange(len(old), device=old.device)[:, None]
    right, values = right.flatten(), values.flatten()
    start, end = (old.flatten().index_select(0, node) for node in (right - 1, right))
    low, high = (new.flatten().index_select(0, node) for node in (right - 1, right))
    return torch.lerp(low, high, (values - start) / (end - start)).reshape(images.shape).to(images.dtype)


def _on_curve(points: Tensor) -> Tensor:
    """Places on the curves at equal steps of their parameter, within the unit square, ``(B, NODES, 2)``."""
    t = torch.linspace(0, 1, NODES, dtype=points.dtype, device=points.device)
    weights = torch.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], dim=1)
    return (weights @ points).clamp(0, 1)
