# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How large the slices of a stored volume are, and its pixels, from headers alone."""

from __future__ import annotations

import os

import numpy as np

from monai_al.data.dicom_files import series_files
from monai_al.data.dicom_series import dicom_file
from monai_al.data.nifti_header import NIFTI_SUFFIXES, nifti_header
from monai_al.data.reading import stored_shape
from monai_al.data.slice_axis import stored_spacing
from monai_al.records.stored_files import stored_channels

__all__ = ["stored_plane"]


def stored_plane(path: str | os.PathLike, slice_axis: int) -> tuple[tuple[int, int], tuple[float, float] | None]:
    """Rows and columns of a stored volume's slices, and the mm between them.

    Args:
        path: a stored image.
        slice_axis: the stored axis along which the slices lie.

    Returns:
        ``(rows, columns)`` and ``(mm between rows, mm between columns)``; None in place of these for files that tell
        none, such as pictures, and NIfTI with neither a position nor another voxel size than 1.

    Raises:
        DataError: the file is missing or unreadable.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     image = nibabel.Nifti1Image(np.zeros((4, 50, 60), np.uint8), np.diag([4, 0.5, 0.7, 1]))
        ...     nibabel.save(image, folder + "/a.nii")
        ...     stored_plane(folder + "/a.nii", 0)
        ((50, 60), (0.5, 0.7))
    """
    axes = [axis for axis in range(3) if axis != slice_axis]
    shape = (*stored_shape(path), 1)
    size = shape[axes[0]], shape[axes[1]]
    spacing = _of_dicom(path) or stored_spacing(path)
    if spacing is None or _states_none(stored_channels(path)[0].path):
        return size, None
    first, second = (float(f"{spacing[axis]:.6g}") for axis in axes)
    return size, (first, second)


def _of_dicom(path: str | os.PathLike) -> tuple[float, ...] | None:
    """Spacing of a folder of DICOM slices, from the first of them."""
    part = stored_channels(path)[0]
    found = series_files(part.path) if os.path.isdir(part.path) else {}
    if not found:
        return None
    files = found.get(part.series) or next(iter(found.values()))
    column, row, step = np.linalg.norm(dicom_file(files[0]).affine[:3, :3], axis=0)
    return float(row), float(column), float(step)


def _states_none(file: str) -> bool:
    return file.lower().endswith(NIFTI_SUFFIXES) and nifti_header(file).placeholder
