# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The stored axis along which the slices of a volume lie: last in memory, back in its place in a file."""

from __future__ import annotations

import os

import numpy as np

from monai_al.data.itk_images import ITK_SUFFIXES
from monai_al.data.nifti_header import NIFTI_SUFFIXES, nifti_header
from monai_al.data.stored_formats import guarded
from monai_al.records.stored_files import stored_channels

__all__ = ["coarsest_axis", "in_stored_order", "slices_last", "stored_spacing"]

CLEARLY_COARSER = 1.5  # times the spacing of either other axis


def slices_last(array: np.ndarray, affine: np.ndarray, slice_axis: int) -> tuple[np.ndarray, np.ndarray]:
    """A stored volume with its slice axis last, and the affine that leaves every voxel where it was.

    Args:
        array: ``(..., H, W, D)`` in stored order.
        affine: ``(4, 4)``, stored voxel index -> millimetres.
        slice_axis: 0, 1 or 2 of ``H, W, D``.

    Returns:
        A view of the array, and a new affine. The other two axes keep their order.

    Example:
        >>> array, affine = slices_last(np.zeros((12, 64, 48)), np.diag([4, 0.5, 0.6, 1]), 0)
        >>> array.shape, np.abs(affine[:3, :3]).max(axis=0).tolist()
        ((64, 48, 12), [0.5, 0.6, 4.0])
    """
    order = [axis for axis in range(3) if axis != slice_axis] + [slice_axis]
    return np.moveaxis(array, slice_axis - 3, -1), affine[:, [*order, 3]]


def in_stored_order(array: np.ndarray, affine: np.ndarray, slice_axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The way back from :func:`slices_last`.

    Args:
        array: ``(..., h, w, slices)``.
        affine: ``(4, 4)``, index of the array -> millimetres.
        slice_axis: where the slices lie in the file, 0, 1 or 2.

    Example:
        >>> array, affine = in_stored_order(np.zeros((64, 48, 12)), np.diag([0.5, 0.6, 4, 1]), 0)
        >>> array.shape, np.abs(affine[:3, :3]).max(axis=0).tolist()
        ((12, 64, 48), [4.0, 0.5, 0.6])
    """
    order = [0, 1]
    order.insert(slice_axis, 2)
    return np.moveaxis(array, -1, slice_axis - 3), affine[:, [*order, 3]]


def stored_spacing(path: str | os.PathLike) -> tuple[float, ...] | None:
    """The voxel size along each of the three stored axes, in mm, read from its header alone.

    Returns:
        None where there are fewer than three axes, for pictures, which state none, and for a folder of DICOM slices,
        whose slices are its files.

    Raises:
        DataError: the file is missing or unreadable.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.diag([4, 1, 1, 1]))
        ...     nibabel.save(image, folder + "/a.nii")
        ...     stored_spacing(folder + "/a.nii")
        (4.0, 1.0, 1.0)
    """
    file = stored_channels(path)[0].path  # channels lie on one grid
    if file.lower().endswith(NIFTI_SUFFIXES):
        spacing = guarded(file, lambda path: nifti_header(path).spacing)
    elif file.lower().endswith(ITK_SUFFIXES):
        spacing = guarded(file, _itk_spacing)
    else:
        return None
    return tuple(float(size) for size in spacing[:3]) if len(spacing) > 2 else None


def coarsest_axis(spacing: tuple[float, ...] | None) -> int | None:
    """The axis whose spacing is at least 1.5 times that of either other one; None where there is none.

    Example:
        >>> coarsest_axis((4.0, 0.5, 0.5)), coarsest_axis((1.2, 1.0, 1.0)), coarsest_axis((3.0, 3.0, 1.0))
        (0, None, None)
    """
    if spacing is None or not (np.isfinite(spacing).all() and min(spacing) > 0):
        return None
    finer, coarsest = sorted(range(3), key=lambda axis: spacing[axis])[1:]
    return coarsest if spacing[coarsest] >= CLEARLY_COARSER * spacing[finer] else None


def _itk_spacing(path: str) -> tuple[float, ...]:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(path)
    reader.ReadImageInformation()
    return reader.GetSpacing()
