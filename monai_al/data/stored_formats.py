# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What each kind of file holds: NIfTI by nibabel, MetaImage and NRRD by SimpleITK, images by Pillow."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.data.itk_images import ITK_SUFFIXES, itk_shape, itk_values, ras_affine, read_itk
from monai_al.records.errors import DataError

__all__ = ["READABLE_SUFFIXES", "StoredFormat", "StoredGrid", "format_of", "guarded", "name_without_suffix"]

READABLE_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, eq=False)
class StoredGrid:
    """What a file holds: ``(H, W, D, C)`` values, and an affine where the format has one.

    Args:
        values: the voxels, in the file's own order of axes.
        affine: float64 ``(4, 4)``, voxel index to RAS millimetres, or None.
        placeholder: the file states no voxel size.
        mask: ``"grey"`` or ``"palette"``: how a 2D label codes its classes.
        order: of a volume in a folder: slice k is the ``order[k]``-th file by name. None: they are in this order.

    Example:
        >>> StoredGrid(np.zeros((4, 5, 6, 1)), np.eye(4), placeholder=False).values.shape
        (4, 5, 6, 1)
    """

    values: np.ndarray
    affine: np.ndarray | None
    placeholder: bool
    mask: str = ""
    order: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StoredFormat:
    """How the files of one kind are read.

    Args:
        shape: path -> the sizes of the axes, from the header.
        image: path -> the values as float32.
        label: path -> the values in their own type.

    Example:
        >>> format_of("a.nii.gz").shape is format_of("b.NII").shape
        True
    """

    shape: Callable[[str], tuple[int, ...]]
    image: Callable[[str], StoredGrid]
    label: Callable[[str], StoredGrid]


def format_of(path: str | os.PathLike) -> StoredFormat:
    """The kind of a file, by its name.

    Raises:
        DataError: it is none that can be read.

    Example:
        >>> format_of("notes.txt")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: notes.txt: unknown kind of file; readable are .nii.gz, .nii, .mha, .mhd, ...
    """
    name = os.fspath(path).lower()
    if name.endswith((".nii", ".nii.gz")):
        return StoredFormat(_nifti_shape, _nifti_image, _nifti_label)
    if name.endswith(ITK_SUFFIXES):
        return StoredFormat(itk_shape, lambda p: _itk(p, np.float32), lambda p: _itk(p, None))
    if name.endswith(READABLE_SUFFIXES):
        return StoredFormat(_picture_shape, _picture_image, _picture_label)
    raise DataError(f"{path}: unknown kind of file; readable are {', '.join(READABLE_SUFFIXES)}")


def guarded(path: str | os.PathLike, read: Callable[[str], Any]) -> Any:
    """Read a file, or the files of a folder; whatever goes wrong becomes an error that names it.

    Raises:
        DataError: there is no such file, or it cannot be read.

    Example:
        >>> guarded("gone.nii", len)
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: gone.nii: does not exist; check the path and that the data set is complete
    """
    if not os.path.exists(path):
        raise DataError(f"{path}: does not exist; check the path and that the data set is complete")
    try:
        return read(os.fspath(path))
    except (DataError, MemoryError, ImportError):
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[-300:]
        raise DataError(
            f"{path}: cannot be read ({type(error).__name__}: {cause}); it may be truncated or damaged, copy it again"
        ) from error


def name_without_suffix(path: str | os.PathLike) -> str:
    """The file's name without its folder and without a readable suffix.

    Example:
        >>> name_without_suffix("images/case_1.v2.nii.gz")
        'case_1.v2'
    """
    name = Path(path).name
    suffix = next((s for s in READABLE_SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)] if suffix else name


# --- NIfTI -----------------------------------------------------------------------------------------------------------


def _nifti_shape(path: str) -> tuple[int, ...]:
    import nibabel

    return tuple(int(n) for n in nibabel.load(path).shape)  # type: ignore[attr-defined]


def _nifti_image(path: str) -> StoredGrid:
    stored = _open_nifti(path)
    values = np.asanyarray(stored.dataobj, dtype=np.float32)
    return _nifti_grid(stored, values)


def _nifti_label(path: str) -> StoredGrid:
    stored = _open_nifti(path)
    return _nifti_grid(stored, np.asanyarray(stored.dataobj))


def _open_nifti(path: str) -> Any:
    import nibabel

    stored: Any = nibabel.load(path, mmap=False)
    if stored.get_data_dtype().kind not in "buif":
        raise DataError(f"{path}: voxels are {stored.get_data_dtype()}; store real numbers, channels as 4th axis")
    return stored


def _nifti_grid(stored: Any, values: np.ndarray) -> StoredGrid:
    if values.ndim == 5 and values.shape[3] == 1:
        values = values[:, :, :, 0]
    if values.ndim not in (2, 3, 4):
        raise ValueError(f"{values.ndim} dimensions of shape {values.shape}, expected 2 to 4")
    values = values.reshape(values.shape + (1,) * (4 - values.ndim), order="A")
    header = stored.header
    unset = int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0
    placeholder = unset and all(abs(size - 1) < 1e-6 for size in header.get_zooms()[:3])
    return StoredGrid(values, np.asarray(header.get_best_affine(), dtype=np.float64), placeholder)


# --- MetaImage and NRRD ----------------------------------------------------------------------------------------------


def _itk(path: str, dtype: Any) -> StoredGrid:
    stored = read_itk(path)
    values = itk_values(stored, dtype)
    if stored.GetDimension() == 2:
        values = np.expand_dims(values, 2)
    return StoredGrid(values if values.ndim == 4 else values[..., None], ras_affine(stored), False)


# --- image files -----------------------------------------------------------------------------------------------------


def _picture_shape(path: str) -> tuple[int, ...]:
    from PIL import Image

    with Image.open(path) as picture:
        pages = getattr(picture, "n_frames", 1)
        return (picture.height, picture.width) + ((pages,) if pages > 1 else ())


def _picture_image(path: str) -> StoredGrid:
    return _picture(path, {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "CMYK": "RGB", "LA": "L"}, np.float32)


def _picture_label(path: str) -> StoredGrid:
    from PIL import Image

    grid = _picture(path, {"PA": "P", "RGBA": "RGB", "LA": "L"}, None)
    with Image.open(path) as picture:
        mask = "palette" if picture.mode.startswith("P") else "grey"
    values = grid.values
    if values.shape[3] > 1:
        if (values != values[..., :1]).any():
            raise DataError(f"{path}: a label in colours; store class numbers, or 0 and 255, in one channel")
        values = values[..., :1]
    return StoredGrid(values, None, True, mask)


def _picture(path: str, convert: Mapping[str, str], dtype: Any) -> StoredGrid:
    from PIL import Image, ImageSequence

    with Image.open(path) as picture:
        mode = convert.get(picture.mode)
        if getattr(picture, "n_frames", 1) == 1:
            pages = [np.array(picture.convert(mode) if mode else picture, dtype=dtype)]
        else:
            frames = ImageSequence.Iterator(picture)
            pages = [np.array(frame.convert(mode) if mode else frame, dtype=dtype) for frame in frames]
    values = np.stack(pages, axis=2)
    return StoredGrid(values if values.ndim == 4 else values[..., None], None, True)
