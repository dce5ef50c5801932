# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""NIfTI by nibabel: files read to their end, and geometry in millimetres."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from monai_al.data.nifti_header import NiftiHeader, is_packed, millimetres, nifti_header
from monai_al.data.stored_grid import StoredGrid
from monai_al.data.voxel_bytes import DEFLATED_AT_MOST, check_no_more, check_room, spare_bytes
from monai_al.records.errors import DataError

__all__ = ["nifti_affines", "nifti_image", "nifti_label", "nifti_shape", "open_nifti", "stored_bytes"]


def nifti_shape(path: str) -> tuple[int, ...]:
    """The sizes of the axes, from the header.

    Raises:
        DataError: the file cannot hold as many voxels.

    Example:
        >>> import nibabel, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), folder + "/a.nii.gz")
        ...     nifti_shape(folder + "/a.nii.gz")
        (4, 5, 6)
    """
    return _header(path).shape


def nifti_affines(path: str) -> list[np.ndarray]:
    """Where a header says that the file lies: by its s-form and its q-form, of those whose code is above 0.

    Returns:
        Affines ``(4, 4)``, voxel index -> RAS millimetres; two where both forms are stated, whether they agree or not.

    Example:
        >>> import nibabel, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4))
        ...     image.set_qform(np.diag([1, 1, 2, 1]), 1)
        ...     nibabel.save(image, folder + "/a.nii.gz")
        ...     [affine[2, 2].item() for affine in nifti_affines(folder + "/a.nii.gz")]
        [1.0, 2.0]
    """
    header = _header(path).fields
    forms = [("sform_code", header.get_sform), ("qform_code", header.get_qform)]
    found = [np.asarray(form(), dtype=np.float64) for code, form in forms if int(header[code]) > 0]
    for affine in found:
        affine[:3] *= millimetres(header)
    return found


def nifti_image(path: str) -> StoredGrid:
    """The voxels as float32, with the scale factor of the header applied.

    Raises:
        DataError: the voxels are no real numbers, or the file does not hold what its header and its checksum say.

    Example:
        >>> nifti_image("notes.txt")
        Traceback (most recent call last):
        ...
        FileNotFoundError: [Errno 2] No such file or directory: 'notes.txt'
    """
    return _grid(path, np.float32)


def nifti_label(path: str) -> StoredGrid:
    """The same, with the values in their own type.

    Example:
        >>> nifti_label("notes.txt")
        Traceback (most recent call last):
        ...
        FileNotFoundError: [Errno 2] No such file or directory: 'notes.txt'
    """
    return _grid(path, None)


def stored_bytes(path: str) -> int:
    """The length of a NIfTI file, unpacked, that its header declares: up to the last voxel.

    Example:
        >>> import nibabel, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), folder + "/a.nii.gz")
        ...     stored_bytes(folder + "/a.nii.gz")
        472
    """
    header = _header(path)
    return header.offset + math.prod(header.shape) * header.voxel_bytes


@contextmanager
def open_nifti(path: str | os.PathLike) -> Iterator[Any]:
    """An image of nibabel whose voxels are read inside the context, and whose end is checked behind it.

    nibabel alone stops reading at the last voxel, in front of gzip's checksum.

    Raises:
        DataError: the file cannot hold the voxels that its header declares, or holds slices that it does not declare.
        OSError, EOFError: the checksum or the length that gzip wrote is another one.

    Example:
        >>> import nibabel, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), folder + "/a.nii.gz")
        ...     with open_nifti(folder + "/a.nii.gz") as stored:
        ...         np.asarray(stored.dataobj).shape
        (4, 5, 6)
    """
    import nibabel

    name = os.fspath(path)
    kind = _header(name).kind
    with gzip.open(name) if is_packed(name) else open(name, "rb") as file:
        stored = kind.from_file_map({"image": nibabel.FileHolder(fileobj=file)}, mmap=False)
        yield stored
        each = stored.get_data_dtype().itemsize
        file.seek(stored.dataobj.offset + math.prod(int(n) for n in stored.shape) * each)
        behind, plane = 0, spare_bytes(stored.shape, each)
        while behind < plane and (block := file.read(plane)):
            behind += len(block)
    check_no_more(path, stored.shape, each, behind)


def _header(path: str) -> NiftiHeader:
    """The header of a file that can hold the voxels which it declares."""
    header, packed = nifti_header(path), is_packed(path)
    found = os.path.getsize(path) - (0 if packed else header.offset)
    check_room(path, header.shape, header.voxel_bytes, found, at_most=DEFLATED_AT_MOST if packed else 1)
    return header


def _grid(path: str, dtype: Any) -> StoredGrid:
    with open_nifti(path) as stored:
        if stored.get_data_dtype().kind not in "buif":
            raise DataError(f"{path}: voxels are {stored.get_data_dtype()}; store real numbers, channels as 4th axis")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
            values = np.asanyarray(stored.dataobj, dtype=dtype)
    if values.ndim == 5 and values.shape[3] == 1:
        values = values[:, :, :, 0]
    if values.ndim not in (2, 3, 4):
        raise DataError(
            f"{path}: has {values.ndim} dimensions, {' x '.join(map(str, values.shape))}, expected 2 or 3, and "
            "channels as the 4th; store each volume in a file of its own"
        )
    values = values.reshape(values.shape + (1,) * (4 - values.ndim), order="A")
    header = nifti_header(path)
    affine = np.asarray(header.fields.get_best_affine(), dtype=np.float64)
    affine[:3] *= millimetres(header.fields)
    return StoredGrid(values, affine, header.placeholder, header.placed)
