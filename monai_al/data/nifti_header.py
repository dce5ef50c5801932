# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Headers of NIfTI files, each read once while its file stays as it is."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_al.records.errors import DataError

__all__ = ["NIFTI_SUFFIXES", "NiftiHeader", "is_packed", "millimetres", "nifti_header"]

NIFTI_SUFFIXES = (".nii.gz", ".nii")
SPATIAL_UNIT = 0b111  # the bits of xyzt_units
MILLIMETRES = {1: 1000.0, 3: 0.001}  # metres, microns; 2 are millimetres, and what states no unit is taken for them
REMEMBERED = 1 << 14  # headers, of about 1.4 KB each


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """The header of a NIfTI file; shared, so not to be changed.

    Args:
        kind: the class of nibabel that reads the file.
        shape: the sizes of the axes.
        fields: the header as nibabel holds it.
        offset: where the voxels begin, in bytes of the unpacked file.

    Example:
        >>> import nibabel
        >>> NiftiHeader(nibabel.Nifti1Image, (4, 5), nibabel.Nifti1Header(), 352).spacing
        array([1., 1.])
    """

    kind: Any
    shape: tuple[int, ...]
    fields: Any
    offset: int

    @property
    def voxel_bytes(self) -> int:
        """The bytes of one voxel."""
        return self.fields.get_data_dtype().itemsize

    @property
    def placed(self) -> bool:
        """Whether the header states where the file lies."""
        return int(self.fields["qform_code"]) > 0 or int(self.fields["sform_code"]) > 0

    @property
    def placeholder(self) -> bool:
        """Whether it states neither a position nor another voxel size than 1, so none at all."""
        return not self.placed and all(abs(size - 1) < 1e-6 for size in self.fields.get_zooms()[:3])

    @property
    def spacing(self) -> np.ndarray:
        """The voxel size along each of the first three axes that there are, in mm, by the affine."""
        affine = self.fields.get_best_affine()
        return millimetres(self.fields) * np.sqrt((affine[:3, :3] ** 2).sum(axis=0))[: len(self.shape)]


def nifti_header(path: str) -> NiftiHeader:
    """The header of a file, whether the file can hold the voxels that it declares or not.

    Raises:
        DataError: the file is packed by gzip other than its name says.
        OSError: there is no such file.

    Example:
        >>> import nibabel, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), folder + "/a.nii.gz")
        ...     header = nifti_header(folder + "/a.nii.gz")
        ...     header.shape, header is nifti_header(folder + "/a.nii.gz")
        ((4, 5, 6), True)
    """
    found = os.stat(path)
    return _read(path, (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev))


@functools.lru_cache(REMEMBERED)
def _read(path: str, identity: tuple[int, ...]) -> NiftiHeader:
    import nibabel

    try:
        stored: Any = nibabel.load(path, mmap=False)
    except nibabel.filebasedimages.ImageFileError:
        with open(path, "rb") as file:
            if (file.read(2) == b"\x1f\x8b") == is_packed(path):
                raise
        what, ending = ("not compressed", ".nii") if is_packed(path) else ("compressed", ".nii.gz")
        raise DataError(
            f"{path}: cannot be read: it is {what} by gzip, other than its name says; if it is a NIfTI file, let its "
            f"name end in {ending}, else copy it again"
        ) from None
    return NiftiHeader(type(stored), tuple(int(n) for n in stored.shape), stored.header, int(stored.dataobj.offset))


def is_packed(name: str) -> bool:
    """Whether a file's name says that gzip packed it.

    Example:
        >>> is_packed("a.NII.GZ"), is_packed("a.nii")
        (True, False)
    """
    return name.lower().endswith(".gz")


def millimetres(header: Any) -> float:
    """How many millimetres the spatial unit of a NIfTI header is; 1 where it states none.

    Example:
        >>> import nibabel
        >>> header = nibabel.Nifti1Header()
        >>> header.set_xyzt_units("micron")
        >>> millimetres(header)
        0.001
    """
    return MILLIMETRES.get(int(header["xyzt_units"]) & SPATIAL_UNIT, 1.0)
