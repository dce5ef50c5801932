# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Rotation of each image of a batch by an angle of its own, about the centre of the pixel grid and in pixel units."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["is_seen_after_rotation", "rotated"]


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Linear interpolation; beyond the border lies the nearest pixel of the border.

    The pixel at ``c + (r, s)`` shows what lies at ``c + R (r, s)``, ``R = [[cos, sin], [-sin, cos]]``, c the centre: 90
    degrees are ``torch.rot90``.

    Args:
        images: ``(B, C, H, W)`` or ``(B, C, H, W, D)``, rotated in the plane of H and W.
        degrees: ``(B,)`` float64, on the CPU.

    Returns:
        The same shape and type.
    """
    precision = images.dtype if images.dtype in (torch.float32, torch.float64) else torch.float32
    planes = images.movedim(4, 2).flatten(1, 2) if images.ndim == 5 else images
    height, width = planes.shape[-2:]
    (row_by_row, row_by_column), (column_by_row, column_by_column) = _sources(degrees, height, width)
    grid = torch.empty(len(planes), height, width, 2, dtype=precision, device=planes.device)
    _outer_sum((2 * column_by_row + 1) / width - 1, 2 * column_by_column / width, out=grid[..., 0])
    _outer_sum((2 * row_by_row + 1) / height - 1, 2 * row_by_column / height, out=grid[..., 1])
    turned = F.grid_sample(planes.to(precision), grid, padding_mode="border", align_corners=False).to(images.dtype)
    if images.ndim == 4:
        return turned
    return turned.unflatten(1, (images.shape[1], images.shape[4])).movedim(2, 4)


def is_seen_after_rotation(degrees: Tensor, height: int, width: int, device: torch.device) -> Tensor:
    """Which pixels are still within the grid after each rotation: no farther out than its outermost pixels' centres.

    Args:
        degrees: ``(B,)`` float64, on the CPU, as given to :func:`rotated`.
        height: of the grid.
        width: of the grid.
        device: of the result.

    Returns:
        bool ``(B, H, W)``.
    """
    places = torch.empty(2, len(degrees), height, width, dtype=torch.float64, device=device)
    for parts, out in zip(_sources(-degrees, height, width), places, strict=True):
        _outer_sum(*parts, out=out)
    rows, columns = places
    return (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)


def _sources(degrees: Tensor, height: int, width: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Row and column that each pixel takes its value from, both as a part ``(B, H)`` plus a part ``(B, W)``."""
    angle = torch.deg2rad(degrees)[:, None]
    cosine, sine = angle.cos(), angle.sin()
    row_centre, column_centre = (height - 1) / 2, (width - 1) / 2
    rows = torch.arange(height, dtype=torch.float64) - row_centre
    columns = torch.arange(width, dtype=torch.float64) - column_centre
    return (row_centre + cosine * rows, sine * columns), (column_centre - sine * rows, cosine * columns)


def _outer_sum(by_row: Tensor, by_column: Tensor, *, out: Tensor) -> None:
    torch.add(by_row.to(out)[:, :, None], by_column.to(out)[:, None, :], out=out)
