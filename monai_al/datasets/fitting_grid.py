# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The size and the spacing of a network's images that fit a pool, from the headers of its files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from monai_al.data.stored_plane import stored_plane
from monai_al.records import Pool

__all__ = ["PlaneGrid", "fitting_grid"]

MULTIPLE = 16  # of the sizes: what a U-Net of five levels divides them by


@dataclass(frozen=True)
class PlaneGrid:
    """What :class:`~monai_al.transforms.PlaneGridd` takes.

    Args:
        size: rows and columns.
        spacing: mm between pixels; None where the whole view is to be resized.

    Example:
        >>> print(PlaneGrid((96, 96), 1.8))
        96 x 96 pixels of 1.8 mm
    """

    size: tuple[int, int]
    spacing: float | None

    def __str__(self) -> str:
        pixels = " x ".join(map(str, self.size))
        return f"{pixels} pixels of {self.spacing:g} mm" if self.spacing else f"the whole view in {pixels} pixels"


def fitting_grid(pool: Pool, longest_side: int = 192) -> PlaneGrid:
    """The median spacing of a pool's slices, and the size that holds the median field of view at it.

    Only headers are read, and no label. Where that size is above ``longest_side``, the spacing grows until it is not.
    Where files tell no spacing, as pictures, or some do and some do not, the size is the median one, made smaller until
    its longer side is ``longest_side``, and the whole view is resized. Sizes are rounded up to a multiple of 16.

    Args:
        pool: the pool.
        longest_side: the most rows or columns, at least 16.

    Raises:
        DataError: a file is missing or unreadable.
        ValueError: ``longest_side`` is below 16.

    Example:
        >>> import tempfile
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(fitting_grid(phantom(folder, patients=2, shape=(40, 40, 6))))
        48 x 48 pixels of 1 mm
    """
    if longest_side < MULTIPLE:
        raise ValueError(f"longest_side must be at least {MULTIPLE}, got {longest_side}")
    planes = [stored_plane(*key) for key in dict.fromkeys((item.image, item.slice_axis) for item in pool)]
    spacings = [spacing for _, spacing in planes if spacing is not None]
    if len(spacings) < len(planes) or pool.placeholder_spacing:
        view = _median(size for size, _ in planes)
        return PlaneGrid(_rounded(view, max(1.0, max(view) / longest_side), longest_side), None)
    view = _median(np.multiply(size, spacing) for size, spacing in planes if spacing is not None)
    usual = float(np.median(spacings))
    spacing = float(f"{max(usual, max(view) / longest_side):.3g}")
    return PlaneGrid(_rounded(view, spacing, longest_side), spacing)


def _median(rows: Iterable[Sequence[float]]) -> list[float]:
    return np.median(np.asarray(list(rows), dtype=float), axis=0).tolist()


def _rounded(view: Sequence[float], pixel: float, longest_side: int) -> tuple[int, int]:
    """A field of view in pixels, at least as many as it takes, but no side above the longest one allowed."""
    most = longest_side // MULTIPLE * MULTIPLE
    rows, columns = (min(most, MULTIPLE * math.ceil(side / pixel / MULTIPLE - 1e-2)) for side in view)
    return max(rows, MULTIPLE), max(columns, MULTIPLE)
