# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The grid on which editors show a stored volume: axes at right angles, also where its file has others or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_al.data.folder_volumes import picture_files
from monai_al.data.grids import displacement
from monai_al.data.pictures import PICTURE_SUFFIXES
from monai_al.data.slice_axis import slices_last
from monai_al.records import Item
from monai_al.records.stored_files import stored_channels

__all__ = ["EditorGrid", "editor_grid"]

# rows lead to the back and columns to the left, so that viewers show a picture upright; the third axis leads down,
# because 3D Slicer turns round the slices of left-handed grids
_PICTURE = np.array([[0.0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])


@dataclass(frozen=True, eq=False)
class EditorGrid:
    """A grid whose axes stand at right angles, as every editor shows it.

    Args:
        shape: ``(H, W, D)``, the slice axis last.
        affine: ``(4, 4)``, voxel index in that order -> RAS millimetres.
        picture: the file has no geometry, so the affine is made up: one millimetre for a pixel.
        moved: how far the corners lie from where the file says, as a share of the smallest voxel edge.

    Example:
        >>> EditorGrid((4, 5, 6), np.diag([1.0, 1, 3, 1])).middle(2).tolist()
        [1.5, 2.0, 6.0]
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    picture: bool = False
    moved: float = 0.0

    def middle(self, slice: int) -> np.ndarray:
        """The middle of a slice in RAS millimetres, ``(3,)``."""
        index = np.array([(self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2, slice, 1.0])
        return (self.affine @ index)[:3]


def editor_grid(item: Item, shape: Sequence[int], affine: np.ndarray) -> EditorGrid:
    """The grid of the volume that holds an item, as editors show it.

    Axes that do not stand at right angles are replaced by the nearest that do (those of the polar decomposition), with
    the voxel sizes and the middle of the volume as they are.

    Args:
        item: the item; its image tells whether there is a geometry.
        shape: ``(H, W, D)``, the slice axis last, of :class:`monai_al.data.StoredVolume` or of a stored geometry.
        affine: ``(4, 4)``, voxel index in that order -> RAS millimetres.

    Example:
        >>> sheared = np.array([[1.0, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
        >>> grid = editor_grid(Item("a/0000", "a.nii.gz", "a", "a"), (4, 5, 6), sheared)
        >>> axes = grid.affine[:3, :3]
        >>> bool(np.allclose(axes.T @ axes, np.diag(np.diag(axes.T @ axes)))), round(grid.moved, 2)
        (True, 0.16)
    """
    height, width, depth = (int(n) for n in shape)
    size = (height, width, depth)
    if _is_picture(item.image):
        return EditorGrid(size, slices_last(np.empty((1, 1, 1)), _PICTURE, item.slice_axis)[1], picture=True)
    straight = _at_right_angles(np.asarray(affine, dtype=np.float64), size)
    return EditorGrid(size, straight, moved=displacement(size, affine, straight))


def _at_right_angles(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / sizes)
    straight = affine.copy()
    straight[:3, :3] = left @ right * sizes
    middle = (np.array(shape) - 1) / 2
    straight[:3, 3] += (affine[:3, :3] - straight[:3, :3]) @ middle
    return straight


def _is_picture(image: str) -> bool:
    part = stored_channels(image)[0]
    if part.series:
        return False
    if os.path.isdir(part.path):
        return bool(picture_files(part.path))
    return part.path.lower().endswith(PICTURE_SUFFIXES)
