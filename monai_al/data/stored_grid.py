# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a stored file holds, and how the files of one kind are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["StoredFormat", "StoredGrid"]


@dataclass(frozen=True, eq=False)
class StoredGrid:
    """What a file holds: ``(H, W, D, C)`` values, and an affine where the format has one.

    Args:
        values: the voxels, in the file's own order of axes.
        affine: float64 ``(4, 4)``, voxel index to RAS millimetres, or None.
        placeholder: the file states no voxel size.
        placed: the file states where its axes point, so that its affine tells how a label lies on an image.
        mask: ``"grey"`` or ``"palette"``: how a 2D label codes its classes.
        order: of a volume in a folder: slice k is the ``order[k]``-th file by name. None: they are in this order.
        colours: of a palette label: value -> its red, green and blue.

    Example:
        >>> StoredGrid(np.zeros((4, 5, 6, 1)), np.eye(4), placeholder=False).values.shape
        (4, 5, 6, 1)
    """

    values: np.ndarray
    affine: np.ndarray | None
    placeholder: bool
    placed: bool = False
    mask: str = ""
    order: tuple[int, ...] | None = None
    colours: Mapping[int, tuple[int, ...]] | None = None


@dataclass(frozen=True)
class StoredFormat:
    """How the files of one kind are read.

    Args:
        shape: path -> the sizes of the axes, from the header.
        image: path -> the values as float32.
        label: path -> the values in their own type.

    Example:
        >>> StoredFormat(shape=len, image=None, label=None).shape("a.png")
        5
    """

    shape: Callable[[str], tuple[int, ...]]
    image: Callable[[str], StoredGrid]
    label: Callable[[str], StoredGrid]
