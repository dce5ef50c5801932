# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Read one stored volume or image with its label, and check everything that can be wrong with the files.

No axis of an image is permuted, unless the slices are said to lie along another one than the third: NIfTI, MetaImage
and NRRD keep the order of their headers, images are rows by columns, and so are the slices of a volume that is a folder
of DICOM files or numbered images. A label that covers the same place in another order of its voxels is put into the
image's order.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from monai_al.data.composed_images import stored_format
from monai_al.data.grids import SAME_GRID, displacement, reordered
from monai_al.data.pictures import PICTURE_SUFFIXES, has_palette
from monai_al.data.slice_axis import slices_last
from monai_al.data.stored_formats import READABLE_SUFFIXES, guarded, name_without_suffix
from monai_al.data.stored_grid import StoredGrid
from monai_al.records.errors import DataError
from monai_al.records.item import SLICE_AXIS
from monai_al.records.label_values import NOT_ANNOTATED

__all__ = [
    "READABLE_SUFFIXES",
    "StoredVolume",
    "label_colours",
    "name_without_suffix",
    "read_volume",
    "stored_label_values",
    "stored_shape",
    "whole_numbers",
]

INTEGER_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class StoredVolume:
    """A volume or image on its stored grid, with the slice axis last.

    Args:
        image: float32 ``(C, H, W, D)``; a 2D image has D = 1.
        label: uint8 ``(H, W, D)`` of class numbers, 255 = not annotated; None where no label was asked for. Where other
            sizes were tolerated it may have other rows and columns than the image, of the same view.
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


def stored_shape(path: str | os.PathLike) -> tuple[int, ...]:
    """The shape of a stored image, read from its header alone.

    Args:
        path: a NIfTI, MetaImage, NRRD, PNG, JPEG, TIFF or BMP file, or a folder of DICOM slices or numbered images.

    Returns:
        The header's dimensions in stored order, channels of a 4D file last. An image file gives (rows, columns), a
        TIFF of several pages (rows, columns, pages), a folder (rows, columns, files). Colours and other components of
        a voxel are not counted.

    Raises:
        DataError: the file is missing, of an unknown kind or unreadable, holds no voxels, or declares more of them than
            it can hold.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), folder + "/a.nii.gz")
        ...     stored_shape(folder + "/a.nii.gz")
        (4, 5, 6)
    """
    return guarded(path, stored_format(path).shape)


def read_volume(
    image: str | os.PathLike,
    label: str | os.PathLike | None = None,
    *,
    label_values: Mapping[int, int] | None = None,
    channel: int | None = None,
    affine_tolerated: bool = False,
    sizes_tolerated: bool = False,
    slice_axis: int = SLICE_AXIS,
) -> StoredVolume:
    """Read an image and its label and check that they can be used together.

    Both are on one grid where the corners of their grids lie at most a tenth of the smallest voxel edge apart; the
    image's geometry then holds for both. A label whose axes are exchanged or reversed against the image's is put into
    the image's order by its affine, where both files state where their axes point.

    A picture is turned as its EXIF says. A label stored as float, or with a scale factor, is rounded where every value
    lies within 1e-3 of an integer. A two-class mask in an image file may also hold 0 and 255 alone (foreground = 255),
    1 bit, or palette indices (foreground = above 0).

    Args:
        image: path of the image, a file or a folder of DICOM slices or numbered images.
        label: path of the label, or None.
        label_values: stored label value -> class number, or 255 for "not annotated"; needed with a label.
        channel: keep this channel only. Default: all of them.
        affine_tolerated: where image and label disagree about their position, warn and use the image's geometry.
        sizes_tolerated: a picture and its label, of which one was resized, may differ in rows and columns: both show
            the whole view.
        slice_axis: the stored axis along which the slices lie, 0, 1 or 2; it comes last, in the geometry, too, and the
            other two keep their order.

    Returns:
        Image, label, and the image's geometry; a label of another size stays as it is stored. A NIfTI affine is the
        s-form if its code is above 0, else the q-form if its code is above 0, else it is made from the header's voxel
        sizes; metres and microns become millimetres.

    Raises:
        DataError: a file is missing, unreadable, truncated or damaged, or declares more voxels than it can hold; a
            voxel is NaN or infinite; shapes or affines of image and label differ; the label holds fractions or values
            that are not declared; the channel does not exist; a picture is transparent in part, an animation, or a mask
            whose palette or transparency can be understood in two ways.

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
    grid = guarded(image, stored_format(image).image)
    values = _channels(grid.values, channel, image)
    if values.size == 0:
        raise DataError(f"{image}: holds no voxels (shape {grid.values.shape[:3]}); remove it or copy it again")
    guarded(image, lambda path: _check_finite(values, path))
    affine = np.eye(4) if grid.affine is None else grid.affine
    _spacing(affine, image)  # an image without usable geometry is refused before its label is compared with it
    classes = None
    if label is not None:
        classes = guarded(
            label, lambda path: _read_label(path, image, grid, label_values, affine_tolerated, sizes_tolerated)
        )
    values, of_slices = slices_last(values, affine, slice_axis)
    classes = None if classes is None else slices_last(classes, affine, slice_axis)[0]
    return StoredVolume(values, classes, of_slices, _spacing(of_slices, image), grid.placeholder)


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
    values = whole_numbers(guarded(path, stored_format(path).label).values, path)
    found: set[int] = set()
    for z in range(values.shape[2]):
        found.update(int(v) for v in np.unique(values[:, :, z]))
    return tuple(sorted(found))


def label_colours(path: str | os.PathLike) -> dict[int, tuple[int, ...]]:
    """The colours that the palette of a label gives its values, of those in use; empty where it has no palette.

    Raises:
        DataError: the file is missing or unreadable, or its palette contradicts its values.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     picture = Image.new("P", (5, 4), 1)
        ...     picture.putpalette([0, 0, 0, 200, 0, 0])
        ...     picture.save(folder + "/a.png")
        ...     label_colours(folder + "/a.png")
        {1: (200, 0, 0)}
    """
    if os.fspath(path).lower().endswith(PICTURE_SUFFIXES) and guarded(path, has_palette):
        return dict(guarded(path, stored_format(path).label).colours or {})
    return {}


# --- labels ----------------------------------------------------------------------------------------------------------


def _read_label(
    label, image, grid: StoredGrid, label_values, affine_tolerated: bool, sizes_tolerated: bool
) -> np.ndarray:
    if label_values is None:
        raise DataError(f"{label}: give label_values (stored value -> class number, or 255), as a pool does")
    stored = _in_order_of(grid, guarded(label, stored_format(label).label))
    differ = stored.values.shape[:3] != grid.values.shape[:3]
    if differ and not (sizes_tolerated and _may_be_resized(grid, stored)):
        raise DataError(
            f"image {image} has shape {grid.values.shape[:3]} but its label {label} has {stored.values.shape[:3]}: "
            "they do not belong together, or one was resampled; store both on one grid"
        )
    if stored.values.shape[3] != 1:
        raise DataError(f"{label}: a label has one channel, this file holds {stored.values.shape[3]}")
    _check_affines(image, grid, label, stored, affine_tolerated)
    values = stored.values[..., 0]
    if grid.order is not None and stored.order is None and os.path.isdir(label):
        values = values[:, :, list(grid.order)]  # the k-th picture belongs to the k-th slice by name
    return _classes(whole_numbers(values, label), stored.mask, label_values, label)


def _may_be_resized(image: StoredGrid, label: StoredGrid) -> bool:
    """Whether a picture and its label, one plane each that says nothing of where it lies, may be of one view."""
    one_plane = all(grid.affine is None and grid.values.shape[2] == 1 for grid in (image, label))
    turned = image.values.shape[:2] == label.values.shape[1::-1]
    return one_plane and not turned


def _in_order_of(grid: StoredGrid, label: StoredGrid) -> StoredGrid:
    if grid.affine is None or label.affine is None or not (grid.placed and label.placed):
        return label
    values, affine = reordered(label.values, label.affine, grid.values.shape[:3], grid.affine)
    return replace(label, values=values, affine=affine)


def whole_numbers(values: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """The values of a label as whole numbers, in any dtype: rounded, never truncated.

    Args:
        values: as they are stored.
        path: the file, for the message.

    Raises:
        DataError: a value is not within 1e-3 of an integer.

    Example:
        >>> whole_numbers(np.float32([0.9999, 2]), "a.nii.gz").tolist()
        [1.0, 2.0]
    """
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
        elif two_classes and np.isin(values, (0, 255)).all():
            classes, known = _mapped((values > 127).astype(np.uint8), label_values)
    if not known.all():
        found = [int(v) for v in np.unique(values[~known])]
        shown = ", ".join(map(str, found[:10])) + (f", ... ({len(found)} values)" if len(found) > 10 else "")
        hint = "; masks in image files hold 0 and 255 only, so threshold it first" if mask and len(found) > 2 else ""
        if NOT_ANNOTATED in found and not hint:
            hint = "; declare with label_values whether 255 is a class, as 255: 1, or not annotated, as 255: 255"
        raise DataError(f"{path}: unexpected label values {shown}; expected {sorted(label_values)}{hint}")
    return classes


def _mapped(values: np.ndarray, label_values: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    if all(label_values.get(number) == number for number in range(256)):
        known = (values >= 0) & (values <= NOT_ANNOTATED)
        return np.where(known, values, 0).astype(np.uint8), known
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


def _check_affines(image, of_image: StoredGrid, label, of_label: StoredGrid, tolerated: bool) -> None:
    if of_image.affine is None or of_label.affine is None:
        return
    share = displacement(of_image.values.shape[:3], of_image.affine, of_label.affine)
    if share <= SAME_GRID:
        return
    message = f"image {image} and label {label} have one shape but affines that differ by up to {share:.3g} voxel edges"
    if not tolerated:
        raise DataError(
            f"{message}, more than {SAME_GRID:g}: they may not belong together; correct the header that is wrong, or, "
            "where the voxels fit, use the image's geometry for both by --datalist#affine_tolerated True (of the data "
            "sets folder and decathlon; in Python and in the command datalist affine_tolerated)"
        )
    warnings.warn(f"{message}; the image's geometry is used for both", stacklevel=6)


def _spacing(affine: np.ndarray, path) -> tuple[float, float, float]:
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if not (np.isfinite(affine).all() and (spacing > 0).all()):
        raise DataError(f"{path}: the header gives no usable geometry (voxel size {spacing.tolist()}); correct it")
    return tuple(float(f"{s:.7g}") for s in spacing)  # type: ignore[return-value]  # microns, too, without noise
