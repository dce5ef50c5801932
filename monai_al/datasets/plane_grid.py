# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The size and the spacing of the images that a network gets: as they are asked for, or as the files tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_al.data.stored_plane import stored_plane
from monai_al.records import Pool

__all__ = ["FIT", "PlaneGrid", "plane_grid"]

FIT = "fit"  # in place of a spacing: as the files tell
MULTIPLE = 16  # of the sizes: what a U-Net of five levels divides them by
_ANY = 65536  # no limit to a side


@dataclass(frozen=True)
class PlaneGrid:
    """What :class:`~monai_al.transforms.PlaneGridd` takes.

    Args:
        size: rows and columns.
        spacing: mm between pixels; None where the whole view is to be resized.
        stored: the grid at the files' own spacing, where this one is coarser because of ``longest_side``.

    Example:
        >>> print(PlaneGrid((96, 96), 1.8))
        96 x 96 pixels of 1.8 mm
    """

    size: tuple[int, int]
    spacing: float | None
    stored: PlaneGrid | None = None

    def __str__(self) -> str:
        pixels = " x ".join(map(str, self.size))
        return f"{pixels} pixels of {self.spacing:g} mm" if self.spacing else f"the whole view in {pixels} pixels"


def plane_grid(
    pool: Pool, size: Sequence[int] | None = None, spacing: float | str | None = FIT, longest_side: int = 128
) -> PlaneGrid:
    """The pixels that a network gets of a pool's slices, with what is not given derived from the headers of its files.

    No label is read. Of what is derived:

    * ``spacing="fit"``: the median spacing, or as much more as the median field of view takes to fit into the size.
      Where files tell no spacing, as pictures, or some do and some do not, the whole view is resized.
    * ``size=None``: the median field of view at that spacing, rounded up to multiples of 16; its longer side is at most
      ``longest_side``, for which ``"fit"`` makes the spacing larger, and another spacing cuts the view. Without a
      spacing it is the median size of the files, made smaller until it fits.

    Args:
        pool: the pool.
        size: rows and columns; None derives them.
        spacing: mm between pixels; ``"fit"`` derives it; None resizes the whole view.
        longest_side: the most rows or columns that are derived, at least 16.

    Raises:
        DataError: a file is missing or unreadable.
        ValueError: ``size`` is no two numbers, ``longest_side`` is below 16, or ``spacing`` is another word.

    Example:
        >>> import tempfile
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=2, shape=(40, 40, 6))
        ...     print(plane_grid(pool))
        ...     print(plane_grid(pool, size=(20, 32)))
        48 x 48 pixels of 8.11 mm
        20 x 32 pixels of 17.7 mm
    """
    if longest_side < MULTIPLE:
        raise ValueError(f"longest_side must be at least {MULTIPLE}, got {longest_side}")
    if isinstance(spacing, str) and spacing != FIT:
        raise ValueError(f"spacing must be a number of mm, {FIT!r} or None, got {spacing!r}")
    if size is not None and len(size) != 2:
        raise ValueError(f"image_size must be rows and columns, two numbers, got {list(size)}: slices have no more")
    if size is not None and spacing != FIT:
        return PlaneGrid((size[0], size[1]), spacing)
    planes = [stored_plane(*key) for key in dict.fromkeys((one.image, one.slice_axis) for one in pool.items.wholes)]
    spacings = [found for _, found in planes if found is not None]
    if spacing is None or len(spacings) < len(planes) or pool.placeholder_spacing:
        view = _median([pixels for pixels, _ in planes])
        return PlaneGrid(_fixed(size) or _size(view, max(1.0, max(view) / longest_side), longest_side), None)
    view = _median([np.multiply(pixels, found) for pixels, found in planes if found is not None])
    stored = None
    if spacing == FIT:
        within = (longest_side, longest_side) if size is None else size
        largest = max(side / pixels for side, pixels in zip(view, within, strict=True))
        own = float(f"{np.median(spacings):.3g}")
        spacing = float(f"{max(float(np.median(spacings)), largest):.3g}")
        stored = PlaneGrid(_size(view, own, _ANY), own) if spacing > own else None
    return PlaneGrid(_fixed(size) or _size(view, float(spacing), longest_side), float(spacing), stored)


def _fixed(size: Sequence[int] | None) -> tuple[int, int] | None:
    return None if size is None else (size[0], size[1])


def _median(rows: Sequence[Sequence[float] | np.ndarray]) -> list[float]:
    return np.median(np.asarray(rows, dtype=float), axis=0).tolist()


def _size(view: Sequence[float], pixel: float, longest_side: int) -> tuple[int, int]:
    """A field of view in pixels, at least as many as it takes, but no side above the longest one allowed."""
    most = longest_side // MULTIPLE * MULTIPLE
    rows, columns = (MULTIPLE * max(1, math.ceil(side / pixel / MULTIPLE - 1e-2)) for side in view)
    return min(most, rows), min(most, columns)
