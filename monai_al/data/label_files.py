# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Label maps as NIfTI files on the grid of a stored image."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.data.folder_volumes import picture_files
from monai_al.data.itk_images import ITK_SUFFIXES, itk_shape
from monai_al.data.slice_axis import in_stored_order
from monai_al.records import NOT_ANNOTATED
from monai_al.records.errors import DataError
from monai_al.records.files import write_file
from monai_al.records.item import SLICE_AXIS
from monai_al.records.stored_files import StoredPart, stored_channels

__all__ = ["is_of_this_package", "is_untouched", "label_map_bytes", "stored_values", "write_label_map"]

_GEOMETRY = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
             "srow_x", "srow_y", "srow_z", "xyzt_units")  # fmt: skip
_SCANNER = 1  # NIfTI's code for coordinates of the scanner
_WRITTEN = b"monai_al label map"


def stored_values(label_values: Mapping[int, int]) -> np.ndarray:
    """The stored label value of each class: the smallest one where several stand for a class.

    Args:
        label_values: stored label value -> class number, or 255 for "not annotated".

    Returns:
        ``(C,)`` in the smallest integer type that holds the values, at least uint8.

    Raises:
        ValueError: no value stands for a class.

    Example:
        >>> stored_values({0: 0, 4: 1, 2: 1, 300: 2, 9: 255})
        array([  0,   2, 300], dtype=uint16)
    """
    of_class: dict[int, int] = {}
    for value, number in sorted(label_values.items(), reverse=True):
        of_class[int(number)] = int(value)
    of_class.pop(NOT_ANNOTATED, None)
    missing = sorted(set(range(max(of_class, default=0) + 1)) - set(of_class))
    if missing:
        raise ValueError(f"no stored label value stands for class {missing[0]}: {dict(label_values)}")
    values = [of_class[number] for number in range(len(of_class))]
    return np.asarray(values, dtype=np.result_type(np.uint8, *map(np.min_scalar_type, values)))


def write_label_map(
    path: str | os.PathLike,
    labels: np.ndarray,
    *,
    like: str | os.PathLike,
    affine: np.ndarray,
    slice_axis: int = SLICE_AXIS,
) -> None:
    """Write a label map as compressed NIfTI on the grid of the image that it belongs to.

    The header of a NIfTI image gives its geometry to the label map as it is, with the codes of both forms; nothing else
    of it is kept, such as texts. The geometry of MetaImage, NRRD and DICOM goes into both forms. A picture has no
    geometry: the first axis counts its rows, the second its columns, a third one the pictures of a folder. The
    description in the header is a mark by which :func:`is_untouched` knows the file again.

    Args:
        path: the file, which is complete or absent.
        labels: integers ``(H, W, D)`` on the stored grid, as :func:`monai_al.data.read_volume` gives them; a 2D image
            has D = 1 and gives a 2D file.
        like: the stored image; of several files, the first.
        affine: ``(4, 4)``, index of the labels -> RAS millimetres.
        slice_axis: the stored axis along which the slices lie; the file has the order of axes of its image.

    Raises:
        DataError: the image has another shape.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     labels, affine = np.ones((4, 5, 6), np.uint8), np.diag([1, 1, 3, 1])
        ...     nibabel.save(nibabel.Nifti1Image(labels, affine), folder + "/a.nii")
        ...     write_label_map(folder + "/seg.nii.gz", labels, like=folder + "/a.nii", affine=affine)
        ...     nibabel.load(folder + "/seg.nii.gz").header.get_zooms()
        (np.float32(1.0), np.float32(1.0), np.float32(3.0))
    """
    content = label_map_bytes(labels, like=like, affine=affine, slice_axis=slice_axis)
    write_file(Path(path), lambda file: file.write(content))


def label_map_bytes(
    labels: np.ndarray, *, like: str | os.PathLike, affine: np.ndarray, slice_axis: int = SLICE_AXIS
) -> bytes:
    """The content of the file that :func:`write_label_map` writes; equal label maps give equal bytes.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     labels = np.ones((4, 5, 6), np.uint8)
        ...     nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), folder + "/a.nii")
        ...     label_map_bytes(labels, like=folder + "/a.nii", affine=np.eye(4))[:2].hex()
        '1f8b'
    """
    labels, affine = in_stored_order(labels, affine, slice_axis)
    first = stored_channels(like)[0]
    name = first.path.lower()
    if name.endswith((".nii", ".nii.gz")):
        image = _like_nifti(labels, first)
    else:
        placed = not picture_files(first.path) if os.path.isdir(first.path) else name.endswith(ITK_SUFFIXES)
        placed = placed or bool(first.series)  # pictures may lie beside it
        image = _new_nifti(labels, first, affine if placed else None)
    image.header["descrip"] = _mark(labels)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def is_of_this_package(path: str | os.PathLike) -> bool:
    """Whether a file bears the mark of :func:`write_label_map`, changed since or not.

    Example:
        >>> is_of_this_package("gone.nii.gz")
        False
    """
    import nibabel

    try:
        return nibabel.load(path).header["descrip"].item().startswith(_WRITTEN)  # type: ignore[attr-defined]
    except Exception:  # whatever a file of another kind raises
        return False


def is_untouched(path: str | os.PathLike) -> bool:
    """Whether a file is a label map that :func:`write_label_map` wrote, and none of its voxels was changed since.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     labels, truth = np.ones((4, 5, 6), np.uint8), folder + "/a.nii"
        ...     nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), truth)
        ...     write_label_map(folder + "/seg.nii.gz", labels, like=truth, affine=np.eye(4))
        ...     is_untouched(folder + "/seg.nii.gz"), is_untouched(truth)
        (True, False)
    """
    import nibabel

    try:
        image: Any = nibabel.load(path)
        mark = image.header["descrip"].item()
        return mark.startswith(_WRITTEN) and mark == _mark(np.asarray(image.dataobj))
    except Exception:  # whatever a file of another kind raises
        return False


def _mark(labels: np.ndarray) -> bytes:
    return b"%s %08x" % (_WRITTEN, zlib.crc32(labels.tobytes(order="F")))


def _like_nifti(labels: np.ndarray, like: StoredPart) -> Any:
    import nibabel

    stored: Any = nibabel.load(like.path)
    shape = stored.shape[:3]
    header = type(stored.header)()
    header.set_data_shape(shape)
    header.set_data_dtype(labels.dtype)
    for field in _GEOMETRY:
        header[field] = stored.header[field]
    header["pixdim"][:4] = stored.header["pixdim"][:4]
    return type(stored)(_of_shape(labels, shape, like), header.get_best_affine(), header)


def _new_nifti(labels: np.ndarray, like: StoredPart, affine: np.ndarray | None) -> Any:
    import nibabel

    shape = labels.shape if labels.shape[2] > 1 or _is_3d(like) else labels.shape[:2]
    image = nibabel.Nifti1Image(_of_shape(labels, shape, like), affine)
    image.header.set_xyzt_units("mm")
    if affine is not None:
        image.set_qform(affine, _SCANNER)
        image.set_sform(affine, _SCANNER)
    return image


def _is_3d(like: StoredPart) -> bool:
    return like.is_folder or (like.path.lower().endswith(ITK_SUFFIXES) and len(itk_shape(like.path)) > 2)


def _of_shape(labels: np.ndarray, shape: tuple[int, ...], like: StoredPart) -> np.ndarray:
    if labels.shape != (*shape, 1, 1)[:3]:
        raise DataError(f"{like}: has the shape {shape}, its label map {labels.shape}; has the file changed meanwhile?")
    return labels.reshape(shape)
