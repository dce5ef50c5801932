# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Strokes as people draw them: part of a path, with a trembling hand and a pen of some width."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_al.transforms._middle_paths import EIGHT

__all__ = ["drawn", "part_of", "pixels_along", "pixels_of_pen", "waves"]

SOFTENED = 2  # pixels: steps of a path are averaged over so many before and behind
KEPT_AWAY = 1.5  # pixels: a trembling hand stays as far from the border of its region


def part_of(path: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A random part of a path: a share of its points, at least one.

    Args:
        path: ``(n, 2)``.
        share: of its length.
        rng: where the part begins.
    """
    count = max(1, round(share * len(path)))
    start = int(rng.integers(len(path) - count + 1))
    return path[start : start + count]


def drawn(path: np.ndarray, depth: np.ndarray, wobble: float, rng: np.random.Generator) -> np.ndarray:
    """A path of pixels drawn by hand: softened, and moved to and fro within its region.

    Args:
        path: int ``(n, 2)``, pixels of the region in order.
        depth: ``(h, w)``, distance to the nearest pixel outside of the region, 0 there.
        wobble: how far it is moved at most, as a share of the room beside it.
        rng: how it is moved.

    Returns:
        Pixels of the region, int64 ``(m, 2)``, in order; the path itself where the region has no room for another.
    """
    room = np.maximum(depth[tuple(path.T)] - KEPT_AWAY, 0)[:, None]
    along = np.linspace(0, 1, len(path))
    moves = np.stack([waves(along, rng), waves(along, rng)], 1) / 2**0.5
    pixels = pixels_along(_softened(path) + wobble * room * moves)
    within = ((pixels >= 0) & (pixels < depth.shape)).all()
    return pixels if within and depth[tuple(pixels.T)].all() else path


def _softened(path: np.ndarray) -> np.ndarray:
    """Averages of neighbouring pixels of a path, whose ends stay in their places."""
    longer = np.pad(path.astype(float), ((SOFTENED, SOFTENED), (0, 0)), mode="reflect", reflect_type="odd")
    return np.lib.stride_tricks.sliding_window_view(longer, 2 * SOFTENED + 1, axis=0).mean(-1)


def waves(along: np.ndarray, rng: np.random.Generator, most: int = 4) -> np.ndarray:
    """A smooth random course within [-1, 1]: a few sine waves, of which slow ones are higher.

    Args:
        along: places within [0, 1].
        rng: their heights and phases.
        most: waves between 0 and 1 of the fastest.
    """
    speeds = np.arange(1, most + 1)
    sizes, phases = rng.random(most) / speeds, rng.random(most)
    return np.sin(2 * np.pi * (np.multiply.outer(along, speeds) + phases)) @ (sizes / sizes.sum())


def pixels_along(points: np.ndarray) -> np.ndarray:
    """Pixels on the straight lines from point to point, in order, each the 8-neighbour of the one before or the same.

    Args:
        points: float ``(n, 2)``, in pixels, which have their centres at whole numbers.
    """
    places = np.concatenate([[0.0], np.abs(np.diff(points, axis=0)).max(1, initial=0).cumsum()])
    dense = np.linspace(0, places[-1], int(np.ceil(places[-1])) + 1)
    return np.stack([np.floor(np.interp(dense, places, axis) + 0.5) for axis in points.T], 1).astype(np.int64)


def pixels_of_pen(line: np.ndarray, region: np.ndarray, width: int) -> np.ndarray:
    """What a round pen paints of a region along a connected line inside of it; it does not leap over what is outside.

    Args:
        line: bool ``(h, w)``.
        region: bool ``(h, w)``, True wherever the line is.
        width: diameter of the pen in pixels.
    """
    if width == 1:
        return line
    centred = np.arange(width) - (width - 1) / 2
    pen = np.hypot(*np.meshgrid(centred, centred)) <= width / 2
    painted = region & ndimage.binary_dilation(line, pen)
    return ndimage.binary_propagation(line, EIGHT, painted | line)
