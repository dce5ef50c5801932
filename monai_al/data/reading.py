# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Read one stored volume or image with its label, and check everything that can be wrong with the files.

No axis is ever permuted: NIfTI, MetaImage and NRRD keep the order of their headers, images are rows by columns.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.data.errors import DataError

__all__ = [
    "NOT_ANNOTATED",
    "READABLE_SUFFIXES",
    "StoredVolume",
    "name_without_suffix",
    "read_volume",
    "stored_label_values",
    "stored_shape",
    "whole_label_values",
]

READABLE_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

NOT_ANNOTATED = 255
INTEGER_TOLERANCE = 1e-3
AFFINE_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class StoredVolume:
    """A volume or image on its stored grid.

    Args:
        image: float32 ``(C, H, W, D)``; a 2D image has D = 1.
        label: uint8 ``(H, W, D)`` of class numbers, 255 = not annotated; None where no label was asked for.
        affine: float64 ``(4, 4)``, voxel index to RAS millimetres.
        spacing: voxel size in mm along H, W, D.
        placeholder_spacing: True where the file states no voxel size, so that distances mean nothing.

    Example:
        >>> volume = StoredVolume(np.zeros((1, 4, 4, 2), np.float32), None, np.eye(4), (1.0, 1.0, 1.0), True)
        >>> volume.image.shape
        (1, 4, 4, 2)
    """

    image: np.ndarray
    label: np.ndarray | None
    affine: np.ndarray
    spacing: tuple[float, float, float]
    placeholder_spacing: bool


@dataclass(frozen=True, eq=False)
class _Grid:
    """What a file holds: ``(H, W, D, C)`` values, and an affine where the format has one."""

    values: np.ndarray
    affine: np.ndarray | None
    placeholder: bool
    mask: str = ""  # "grey" or "palette": how a 2D label codes its classes


def stored_shape(path: str | os.PathLike) -> tuple[int, ...]:
    """The shape of a stored image, read from its header alone.

    Args:
        path: a NIfTI, MetaImage, NRRD, PNG, JPEG, TIFF or BMP file.

    Returns:
        The header's dimensions in stored order, channels of a 4D NIfTI last. An image file gives (rows, columns), a
        TIFF of several pages (rows, columns, pages); its colours are not counted.

    Raises:
        DataError: the file is missing, of an unknown kind or unreadable.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), folder + "/a.nii.gz")
        ...     stored_shape(folder + "/a.nii.gz")
        (4, 5, 6)
    """
    return _guarded(path, _kind(path).shape)


def read_volume(
    image: str | os.PathLike,
    label: str | os.PathLike | None = None,
    *,
    label_values: Mapping[int, int] | None = None,
    channel: int | None = None,
    affine_tolerated: bool = False,
) -> StoredVolume:
    """Read an image and its label and check that they can be used together.

    A label stored as float, or with a scale factor, is rounded where every value lies within 1e-3 of an integer. A
    two-class mask in an image file may also hold 0 and 255 (foreground = above 127), 1 bit, or palette indices
    (foreground = above 0).

    Args:
        image: path of the image.
        label: path of the label, or None.
        label_values: stored label value -> class number, or 255 for "not annotated"; needed with a label.
        channel: keep this channel only. Default: all of them.
        affine_tolerated: where image and label disagree about their position, warn and use the image's geometry.

    Returns:
        Image, label, and the image's geometry. A NIfTI affine is the s-form if its code is above 0, else the q-form
        if its code is above 0, else it is made from the header's voxel sizes.

    Raises:
        DataError: a file is missing, unreadable or truncated; a voxel is NaN or infinite; shapes or affines of image
            and label differ; the label holds fractions or values that are not declared; the channel does not exist.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("image", "label"):
        ...         array = np.ones((4, 5, 6), np.uint8)
        ...         nibabel.save(nibabel.Nifti1Image(array, np.diag([1, 1, 3, 1])), f"{folder}/{name}.nii.gz")
        ...     volume = read_volume(folder + "/image.nii.gz", folder + "/label.nii.gz", label_values={0: 0, 1: 2})
        >>> volume.image.shape, volume.spacing, volume.label.max()
        ((1, 4, 5, 6), (1.0, 1.0, 3.0), np.uint8(2))
    """
    grid = _guarded(image, _kind(image).image)
    values = _channels(grid.values, channel, image)
    if values.size == 0:
        raise DataError(f"{image}: holds no voxels (shape {grid.values.shape[:3]}); remove it or copy it again")
    _check_finite(values, image)
    affine = np.eye(4) if grid.affine is None else grid.affine
    classes = None
    if label is not None:
        classes = _read_label(label, image, grid, label_values, affine_tolerated)
    return StoredVolume(values, classes, affine, _spacing(affine, image), grid.placeholder)


def stored_label_values(path: str | os.PathLike) -> tuple[int, ...]:
    """The distinct values a label file holds, ascending; a 1-bit mask holds 0 and 1.

    Raises:
        DataError: the file is missing or unreadable, or a value is not within 1e-3 of an integer.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nibabel.save(nibabel.Nifti1Image(np.float32([[[0, 2, 0.9999]]]), np.eye(4)), folder + "/a.nii")
        ...     stored_label_values(folder + "/a.nii")
        (0, 1, 2)
    """
    values = _whole_numbers(_guarded(path, _kind(path).label).values, path)
    found: set[int] = set()
    for z in range(values.shape[2]):
        found.update(int(v) for v in np.unique(values[:, :, z]))
    return tuple(sorted(found))


def whole_label_values(label_values: Mapping[Any, Any]) -> dict[int, int]:
    """Stored label values and class numbers as whole numbers; JSON, and so a run's record, has them as text.

    Raises:
        ValueError: one is no whole number.

    Example:
        >>> whole_label_values({"0": 0, "7": 1, 9: 255})
        {0: 0, 7: 1, 9: 255}
    """
    try:
        found = {int(value): int(number) for value, number in label_values.items()}
        if all(float(v) == int(v) and float(n) == int(n) for v, n in label_values.items()):
            return found
    except (TypeError, ValueError):
        pass
    raise ValueError(f"label_values {dict(label_values)}: give whole numbers, stored value -> class number or 255")


# --- labels ----------------------------------------------------------------------------------------------------------


def _read_label(label, image, grid: _Grid, label_values, affine_tolerated: bool) -> np.ndarray:
    if label_values is None:
        raise DataError(f"{label}: give label_values (stored value -> class number, or 255), as a pool does")
    stored = _guarded(label, _kind(label).label)
    if stored.values.shape[:3] != grid.values.shape[:3]:
        raise DataError(
            f"image {image} has shape {grid.values.shape[:3]} but its label {label} has {stored.values.shape[:3]}: "
            "they do not belong together, or one was resampled; store both on one grid"
        )
    if stored.values.shape[3] != 1:
        raise DataError(f"{label}: a label has one channel, this file holds {stored.values.shape[3]}")
    _check_affines(image, grid.affine, label, stored.affine, affine_tolerated)
    return _classes(_whole_numbers(stored.values[..., 0], label), stored.mask, label_values, label)


def _whole_numbers(values: np.ndarray, path) -> np.ndarray:
    """The values as whole numbers, in any dtype: rounded, never truncated."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind in "ui":
        return values
    rounded = np.rint(values)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(values - rounded) <= INTEGER_TOLERANCE)  # NaN and inf are wrong, too
    if wrong.any():
        raise DataError(
            f"{path}: label value {values[wrong][0]:.6g} is not a whole number ({int(wrong.sum())} such voxels); was "
            "the label resampled with interpolation? Use nearest neighbour"
        )
    return rounded


def _classes(values: np.ndarray, mask: str, label_values: Mapping[int, int], path) -> np.ndarray:
    """Class numbers of stored values; binary masks of image files may be coded 0/255 or by palette index."""
    if any(not 0 <= number <= NOT_ANNOTATED for number in label_values.values()):
        raise DataError(f"label_values {dict(label_values)}: class numbers lie in 0..254, 255 is not annotated")
    classes, known = _mapped(values, label_values)
    if not known.all() and mask and {label_values.get(0), label_values.get(1)} == {0, 1}:
        two_classes = set(label_values.values()) <= {0, 1, NOT_ANNOTATED}
        if two_classes and mask == "palette":
            classes, known = _mapped((values > 0).astype(np.uint8), label_values)
        elif two_classes and np.isin(values[~known], (0, 255)).all():
            classes, known = _mapped((values > 127).astype(np.uint8), label_values)
    if not known.all():
        found = [int(v) for v in np.unique(values[~known])]
        shown = ", ".join(map(str, found[:10])) + (f", ... ({len(found)} values)" if len(found) > 10 else "")
        hint = "; masks in image files hold 0 and 255 only, so threshold it first" if mask and len(found) > 2 else ""
        raise DataError(f"{path}: unexpected label values {shown}; expected {sorted(label_values)}{hint}")
    return classes


def _mapped(values: np.ndarray, label_values: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    classes = np.zeros(values.shape, np.uint8)
    known = np.zeros(values.shape, bool)
    for value, number in label_values.items():
        here = values == value
        known |= here
        if number:
            classes[here] = number
    return classes, known


# --- checks ----------------------------------------------------------------------------------------------------------


def _channels(values: np.ndarray, channel: int | None, path) -> np.ndarray:
    count = values.shape[3]
    if channel is None:
        return np.moveaxis(values, -1, 0)
    if not 0 <= channel < count:
        raise DataError(f"{path}: channel {channel} was asked for, but it has {count} (counted from 0)")
    return values[None, ..., channel]


def _check_finite(values: np.ndarray, path) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0][1:])
        raise DataError(
            f"{path}: {int((~finite).sum())} voxels are NaN or infinite, the first at {first}; repair or remove it"
        )


def _check_affines(image, of_image, label, of_label, tolerated: bool) -> None:
    if of_image is None or of_label is None:
        return
    largest = float(np.abs(of_image - of_label).max())
    if largest <= AFFINE_TOLERANCE:
        return
    message = f"image {image} and label {label} have one shape but affines that differ by up to {largest:.6g}"
    if not tolerated:
        raise DataError(f"{message}: they may not belong together; correct the header that is wrong")
    warnings.warn(f"{message}; the image's geometry is used for both", stacklevel=4)


def _spacing(affine: np.ndarray, path) -> tuple[float, float, float]:
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if not (np.isfinite(affine).all() and (spacing > 0).all()):
        raise DataError(f"{path}: the header gives no usable geometry (voxel size {spacing.tolist()}); correct it")
    return tuple(round(float(s), 6) for s in spacing)  # type: ignore[return-value]


# --- file formats ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Format:
    shape: Callable[[str], tuple[int, ...]]
    image: Callable[[str], _Grid]
    label: Callable[[str], _Grid]


def _kind(path: str | os.PathLike) -> _Format:
    name = os.fspath(path).lower()
    if name.endswith((".nii", ".nii.gz")):
        return _Format(_nifti_shape, _nifti_image, _nifti_label)
    if name.endswith((".mha", ".mhd", ".nrrd")):
        return _Format(_itk_shape, lambda p: _itk(p, np.float32), lambda p: _itk(p, None))
    if name.endswith(READABLE_SUFFIXES):
        return _Format(_picture_shape, _picture_image, _picture_label)
    raise DataError(f"{path}: unknown kind of file; readable are {', '.join(READABLE_SUFFIXES)}")


def _guarded(path: str | os.PathLike, read: Callable[[str], Any]) -> Any:
    if not os.path.isfile(path):
        found = "is a folder, not a file" if os.path.isdir(path) else "does not exist"
        raise DataError(f"{path}: {found}; check the path and that the data set is complete")
    try:
        return read(os.fspath(path))
    except (DataError, MemoryError, ImportError):
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[-300:]
        raise DataError(
            f"{path}: cannot be read ({type(error).__name__}: {cause}); it may be truncated or damaged, copy it again"
        ) from error


def _nifti_shape(path: str) -> tuple[int, ...]:
    import nibabel

    return tuple(int(n) for n in nibabel.load(path).shape)  # type: ignore[attr-defined]


def _nifti_image(path: str) -> _Grid:
    stored = _open_nifti(path)
    values = np.asanyarray(stored.dataobj, dtype=np.float32)
    return _nifti_grid(stored, values)


def _nifti_label(path: str) -> _Grid:
    stored = _open_nifti(path)
    return _nifti_grid(stored, np.asanyarray(stored.dataobj))


def _open_nifti(path: str) -> Any:
    import nibabel

    stored: Any = nibabel.load(path, mmap=False)
    if stored.get_data_dtype().kind not in "buif":
        raise DataError(f"{path}: voxels are {stored.get_data_dtype()}; store real numbers, channels as 4th axis")
    return stored


def _nifti_grid(stored: Any, values: np.ndarray) -> _Grid:
    if values.ndim == 5 and values.shape[3] == 1:
        values = values[:, :, :, 0]
    if values.ndim not in (2, 3, 4):
        raise ValueError(f"{values.ndim} dimensions of shape {values.shape}, expected 2 to 4")
    values = values.reshape(values.shape + (1,) * (4 - values.ndim), order="A")
    header = stored.header
    unset = int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0
    placeholder = unset and all(abs(size - 1) < 1e-6 for size in header.get_zooms()[:3])
    return _Grid(values, np.asarray(header.get_best_affine(), dtype=np.float64), placeholder)


def _itk_shape(path: str) -> tuple[int, ...]:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(path)
    reader.ReadImageInformation()
    components = reader.GetNumberOfComponents()
    return tuple(int(n) for n in reader.GetSize()) + ((int(components),) if components > 1 else ())


def _itk(path: str, dtype: Any) -> _Grid:
    import SimpleITK

    stored = SimpleITK.ReadImage(path)
    dimension, components = stored.GetDimension(), stored.GetNumberOfComponentsPerPixel()
    if dimension not in (2, 3, 4) or (dimension == 4 and components > 1):
        raise ValueError(f"{dimension} dimensions with {components} components, expected 2 to 4 dimensions")
    values = SimpleITK.GetArrayViewFromImage(stored)
    order = tuple(reversed(range(dimension)))
    values = values.transpose(order + ((dimension,) if components > 1 else ()))
    if dimension == 2:
        values = np.expand_dims(values, 2)
    if values.ndim == 3:
        values = values[..., None]
    return _Grid(np.array(values, dtype=dtype), _ras_affine(stored, min(dimension, 3)), False)


def _ras_affine(stored: Any, dimension: int) -> np.ndarray:
    """Index-to-RAS affine of a SimpleITK image, which keeps its geometry in LPS."""
    full = stored.GetDimension()
    direction = np.asarray(stored.GetDirection(), dtype=np.float64).reshape(full, full)[:dimension, :dimension]
    affine = np.eye(4)
    affine[:dimension, :dimension] = direction * np.asarray(stored.GetSpacing()[:dimension])
    affine[:dimension, 3] = stored.GetOrigin()[:dimension]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _picture_shape(path: str) -> tuple[int, ...]:
    from PIL import Image

    with Image.open(path) as picture:
        pages = getattr(picture, "n_frames", 1)
        return (picture.height, picture.width) + ((pages,) if pages > 1 else ())


def _picture_image(path: str) -> _Grid:
    return _picture(path, {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "CMYK": "RGB", "LA": "L"}, np.float32)


def _picture_label(path: str) -> _Grid:
    from PIL import Image

    grid = _picture(path, {"PA": "P", "RGBA": "RGB", "LA": "L"}, None)
    with Image.open(path) as picture:
        mask = "palette" if picture.mode.startswith("P") else "grey"
    values = grid.values
    if values.shape[3] > 1:
        if (values != values[..., :1]).any():
            raise DataError(f"{path}: a label in colours; store class numbers, or 0 and 255, in one channel")
        values = values[..., :1]
    return _Grid(values, None, True, mask)


def _picture(path: str, convert: Mapping[str, str], dtype: Any) -> _Grid:
    from PIL import Image, ImageSequence

    with Image.open(path) as picture:
        mode = convert.get(picture.mode)
        if getattr(picture, "n_frames", 1) == 1:
            pages = [np.array(picture.convert(mode) if mode else picture, dtype=dtype)]
        else:
            frames = ImageSequence.Iterator(picture)
            pages = [np.array(frame.convert(mode) if mode else frame, dtype=dtype) for frame in frames]
    values = np.stack(pages, axis=2)
    return _Grid(values if values.ndim == 4 else values[..., None], None, True)


def name_without_suffix(path: str | os.PathLike) -> str:
    """The file's name without its folder and without a readable suffix.

    Example:
        >>> name_without_suffix("images/case_1.v2.nii.gz")
        'case_1.v2'
    """
    name = Path(path).name
    suffix = next((s for s in READABLE_SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)] if suffix else name
