# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The path of pixels that goes along the middle of a region."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy import ndimage

__all__ = ["EIGHT", "longest_path", "middle_path"]

EIGHT = np.ones((3, 3), bool)  # pixels that touch at a corner are connected
COMPACT = 3.0  # times the area of the largest disc inside: of regions that are smaller no middle line tells the shape
INNER = 0.3  # of the greatest depth: where the path of a compact region runs


def middle_path(region: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The longest path along the middle of a region, as pixels in order, each the 8-neighbour of the one before.

    It follows the skeleton. That of a compact region, such as a disc, is short or a mere point: there the path goes
    round inside of the region, along a contour of its distance map. A closed path is open at a random place.

    Args:
        region: bool ``(h, w)``, one 8-connected piece that touches no border.
        depth: ``(h, w)``, distance of each of its pixels to the nearest pixel outside.
        rng: where the path is opened.

    Returns:
        int64 ``(n, 2)`` with n >= 1, rows and columns.
    """
    compact = region.sum() < COMPACT * np.pi * depth.max() ** 2
    line = _inner_contour(depth) if compact else _skeleton(region)
    return longest_path(line if line.any() else depth == depth.max(), rng)


def longest_path(line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The longest path in the tree of shortest paths from a random pixel of a line; all of a ring but a step.

    Args:
        line: bool ``(h, w)`` with a pixel at least, none at a border. Of several pieces one is taken.
        rng: which pixel, and so where rings are opened and which piece it is.

    Returns:
        int64 ``(n, 2)``, rows and columns of pixels, each the 8-neighbour of the one before.
    """
    width = line.shape[1]
    pixels = np.flatnonzero(line).tolist()
    on_line = set(pixels)
    steps = (1, width, -1, -width, width - 1, width + 1, 1 - width, -1 - width)
    before = _walk(lambda pixel: [pixel + s for s in steps if pixel + s in on_line], pixels[rng.integers(len(pixels))])
    tree: dict[int, list[int]] = {pixel: [] for pixel in before}
    for pixel, other in before.items():
        tree[pixel].append(other)
        tree[other].append(pixel)
    before = _walk(tree.__getitem__, next(reversed(before)))  # the farthest pixel is reached last
    path = [next(reversed(before))]
    while before[path[-1]] != path[-1]:
        path.append(before[path[-1]])
    return np.stack(np.divmod(path, width), 1)


def _walk(neighbours: Callable[[int], Iterable[int]], start: int) -> dict[int, int]:
    """All that can be reached, nearest first, and what was passed just before; before the start comes the start."""
    before, reached = {start: start}, [start]
    for pixel in reached:
        for neighbour in neighbours(pixel):
            if neighbour not in before:
                before[neighbour] = pixel
                reached.append(neighbour)
    return before


def _inner_contour(depth: np.ndarray) -> np.ndarray:
    """The outer border of the largest piece that lies deep inside."""
    pieces, count = ndimage.label(depth >= INNER * depth.max(), EIGHT)
    deepest = pieces[np.unravel_index(np.argmax(depth), depth.shape)]
    inside = ndimage.binary_fill_holes(pieces == deepest)
    return inside & ~ndimage.binary_erosion(inside)


def _skeleton(region: np.ndarray) -> np.ndarray:
    """The region thinned to lines of one pixel."""
    import SimpleITK

    thinned = SimpleITK.BinaryThinning(SimpleITK.GetImageFromArray(region.astype(np.uint8)))
    return SimpleITK.GetArrayFromImage(thinned).astype(bool)
