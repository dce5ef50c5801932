# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How far two stored grids lie apart, and the voxels of one in the order of the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

__all__ = ["SAME_GRID", "aligned", "displacement", "pasted", "reordered", "same_view"]

SAME_GRID = 0.1  # voxel edges: below it lies what files round; half an edge is where voxels begin to change places


def displacement(shape: Sequence[int], affine: np.ndarray, other: np.ndarray) -> float:
    """How far a second affine moves a grid: the largest way of its corners, as a share of the smallest voxel edge.

    Args:
        shape: ``(H, W, D)`` of the grid; its corners are those of its outermost voxels.
        affine: ``(4, 4)``, voxel index -> mm.
        other: the same of the second grid.

    Returns:
        The share; NaN or inf where an affine is none.

    Example:
        >>> moved = np.diag([1.0, 1.0, 3.0, 1.0])
        >>> moved[0, 3] = 0.25
        >>> displacement((4, 5, 6), np.diag([1.0, 1.0, 3.0, 1.0]), moved)
        0.25
    """
    corners = np.array([(*corner, 1.0) for corner in itertools.product(*((-0.5, n - 0.5) for n in shape))])
    ways = np.linalg.norm(corners @ (np.asarray(other) - affine)[:3].T, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(ways.max() / np.linalg.norm(np.asarray(affine)[:3, :3], axis=0).min())


def reordered(
    values: np.ndarray, affine: np.ndarray, shape: Sequence[int], target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Voxels in the order of another grid that covers the same place; as they are where it does not.

    Args:
        values: ``(H, W, D, ...)``.
        affine: ``(4, 4)``, voxel index -> mm.
        shape: ``(H, W, D)`` of the other grid.
        target: its affine.

    Returns:
        A view of the values, their axes exchanged and reversed, and its affine. Both are unchanged where no order of
        the axes brings the grids together, see :func:`displacement` and :data:`SAME_GRID`.

    Example:
        >>> flipped = np.diag([-1.0, 1.0, 1.0, 1.0])
        >>> flipped[0, 3] = 2
        >>> reordered(np.arange(3).reshape(3, 1, 1), np.eye(4), (3, 1, 1), flipped)[0].ravel().tolist()
        [2, 1, 0]
    """
    order = _order(affine, target)
    if order is None:
        return values, affine
    found, moved = _turned(values, affine, *order)
    if found.shape[:3] != tuple(shape) or not displacement(shape, target, moved) <= SAME_GRID:
        return values, affine
    return found, moved


def aligned(
    values: np.ndarray, affine: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, tuple[int, int, int]] | None:
    """Voxels in the order of another grid that they are cropped from, or reach beyond.

    Args:
        values: ``(H, W, D, ...)``.
        affine: ``(4, 4)``, voxel index -> mm.
        target: that of the other grid.

    Returns:
        A view of the values, their axes exchanged and reversed, and the index that its first voxel has in the other
        grid, which may be negative. None where their voxels are not the other grid's, see :data:`SAME_GRID`.

    Example:
        >>> cropped = np.eye(4)
        >>> cropped[0, 3] = 2
        >>> aligned(np.ones((3, 1, 1)), cropped, np.eye(4))[1]
        (2, 0, 0)
    """
    order = _order(affine, target)
    if order is None:
        return None
    found, moved = _turned(values, affine, *order)
    start = np.rint(np.linalg.solve(target, moved[:, 3]))[:3]
    shifted = np.array(target, dtype=np.float64)
    shifted[:3, 3] += shifted[:3, :3] @ start
    if not displacement(found.shape[:3], shifted, moved) <= SAME_GRID:
        return None
    i, j, k = (int(n) for n in start)
    return found, (i, j, k)


def pasted(values: np.ndarray, start: Sequence[int], shape: Sequence[int], fill: int = 0) -> tuple[np.ndarray, tuple]:
    """Voxels of :func:`aligned` on the whole other grid.

    Args:
        values: ``(h, w, d)``.
        start: the index that their first voxel has.
        shape: ``(H, W, D)`` of the other grid.
        fill: the value of what they do not cover.

    Returns:
        ``(H, W, D)``, and the slices of the values that lie in it.

    Example:
        >>> pasted(np.ones((3, 1, 1), int), (2, 0, 0), (4, 1, 1))[0].ravel().tolist()
        [0, 0, 1, 1]
    """
    found = np.full(tuple(shape), fill, values.dtype)
    ends = [min(first + n, size) for first, n, size in zip(start, values.shape, shape, strict=True)]
    there = tuple(slice(max(first, 0), max(end, first, 0)) for first, end in zip(start, ends, strict=True))
    here = tuple(slice(part.start - first, part.stop - first) for part, first in zip(there, start, strict=True))
    found[there] = values[here]
    return found, here


def same_view(affine: np.ndarray, shape: Sequence[int], other: Sequence[int]) -> np.ndarray:
    """The affine of a grid of another size that covers the same place, edge to edge.

    Args:
        affine: ``(4, 4)``, voxel index -> mm.
        shape: ``(H, W, D)`` of its grid.
        other: the same of the other grid.

    Returns:
        ``(4, 4)``; the same affine where the sizes are equal.

    Example:
        >>> same_view(np.eye(4), (4, 6, 1), (2, 3, 1)).tolist()
        [[2.0, 0.0, 0.0, 0.5], [0.0, 2.0, 0.0, 0.5], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    scale = np.asarray(shape, dtype=np.float64) / np.asarray(other, dtype=np.float64)
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = (scale - 1) / 2  # the centre of the first voxel
    return affine @ matrix


def _turned(values: np.ndarray, affine: np.ndarray, axes: list[int], signs: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """A view of the values with axes exchanged and reversed, and its affine."""
    found = values.transpose(*axes, *range(3, values.ndim))
    found = found[tuple(slice(None, None, sign) for sign in signs)]
    moved = np.array(affine[:, [*axes, 3]], dtype=np.float64)
    ends = np.array([n - 1 if sign < 0 else 0 for n, sign in zip(found.shape[:3], signs, strict=True)])
    moved[:, 3] += moved[:, :3] @ ends
    moved[:, :3] *= signs
    return found, moved


def _order(affine: np.ndarray, target: np.ndarray) -> tuple[list[int], list[int]] | None:
    """For each axis of the target grid the axis of the other one that runs along it, and the direction: 1 or -1."""
    try:
        turn = np.linalg.solve(affine[:3, :3], target[:3, :3])
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(turn).all():
        return None
    axes = [int(axis) for axis in np.abs(turn).argmax(axis=0)]
    signs = [1 if turn[axis, k] > 0 else -1 for k, axis in enumerate(axes)]
    return (axes, signs) if sorted(axes) == [0, 1, 2] else None
