# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One file that a person returned, on the grid of its image and in class numbers, whatever program saved it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monai_al.annotators.file_values import FileValues
from monai_al.data.grids import aligned, pasted
from monai_al.data.label_names import NamedValue, is_segmentation, named_values
from monai_al.data.nifti import nifti_affines, nifti_shape
from monai_al.data.nifti_header import NIFTI_SUFFIXES
from monai_al.data.reading import whole_numbers
from monai_al.data.stored_formats import format_of, guarded
from monai_al.records import NOT_ANNOTATED, DataError
from monai_al.records.item import SLICE_AXIS

__all__ = ["Returned", "read_returned"]

_OVERLAP, _UNKNOWN = 256, 257  # codes beside the class numbers; those from the second on count unknown values
_SHOWN = 5
_VALUES_AT_MOST = 1 << 16  # between the smallest and the largest one


@dataclass(frozen=True, eq=False)
class Returned:
    """What a returned file says.

    Args:
        classes: uint8, the shape of its image in stored order: class numbers, also of strokes, and 255 where the file
            says nothing.
        wrong: slice, counted from 0 along the slice axis -> why it cannot be used, in words for people.
        outside: how many labeled voxels lie on slices that the image does not have.

    Example:
        >>> Returned(np.zeros((4, 5, 6), np.uint8)).wrong
        {}
    """

    classes: np.ndarray
    wrong: Mapping[int, str] = field(default_factory=dict)
    outside: int = 0


def read_returned(
    path: str | os.PathLike,
    image: str | os.PathLike,
    classes: Sequence[str],
    *,
    slice_axis: int = SLICE_AXIS,
    scribbles: bool = False,
) -> Returned:
    """Read a returned label map, and put it where it lies on its image.

    Its voxels may come in another order, be cropped, or reach beyond the image: the affines of both files tell, up to a
    tenth of a voxel edge, and no voxel is resampled. Segments of 3D Slicer, and values with a table of names beside the
    file, are known by their names; other values are class numbers, stored as whole numbers of any type. What a file is
    cropped from is background in the slices that it reaches, and in all slices for segments. Among strokes it is not
    annotated, and values mean what :class:`monai_al.annotators.file_values.FileValues` says.

    Args:
        path: NIfTI, NRRD, MetaImage, or a picture of the image's size.
        image: the NIfTI file that was handed out, whose geometry counts.
        classes: names of the classes, by their numbers.
        slice_axis: the stored axis along which the slices lie.
        scribbles: the file holds strokes.

    Raises:
        DataError: the file cannot be read, holds fractions, has more than one channel, or lies on another grid; the
            message names it.

    Example:
        >>> import tempfile, nibabel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, voxels in (("image", np.zeros((4, 5, 3))), ("back", np.ones((4, 5, 3)))):
        ...         nibabel.save(nibabel.Nifti1Image(voxels.astype(np.uint8), np.eye(4)), f"{folder}/{name}.nii.gz")
        ...     read_returned(f"{folder}/back.nii.gz", f"{folder}/image.nii.gz", ["background", "organ"]).classes.max()
        np.uint8(1)
    """
    name, shape, values = os.fspath(path), _shape_of(image), FileValues(classes, scribbles)
    stored = guarded(name, format_of(name).label)
    segments = is_segmentation(name)
    if segments and stored.values.shape[:3] == (1, 1, 1) != shape:
        empty = np.zeros(shape, np.uint8)  # how 3D Slicer stores that all segments are empty
        return Returned(values.to_classes(empty))
    if stored.values.shape[3] != 1 and not segments:
        raise DataError(f"{name}: a label has one channel, this file holds {stored.values.shape[3]}")
    numbers = whole_numbers(stored.values, name)
    try:
        codes, unknown = _codes(numbers, named_values(name), values)
    except OverflowError:
        raise DataError(f"{name}: holds values that are no class numbers; was the image saved?") from None
    if stored.affine is None:
        if codes.shape != shape:
            raise DataError(f"{name}: has {_by(codes.shape)} pixels, its image {_by(shape)}; save it in that size")
        found, start = codes, (0, 0, 0)
    else:
        found, start = _placed(name, codes, stored.affine, stored.placed, image, shape)
    whole, inside = pasted(found, start, shape)
    if not segments:
        _clear_unreached(whole, found, start, slice_axis)
    wrong = _wrong(whole, slice_axis, unknown, values) if (whole >= _OVERLAP).any() else {}
    beside, outside = _outside(found, inside, start[slice_axis], slice_axis, shape[slice_axis])
    known = np.where(whole < _OVERLAP, whole, NOT_ANNOTATED).astype(np.uint8)
    return Returned(values.to_classes(known), beside | wrong, outside)


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


# -- what the values mean ----------------------------------------------------------------------------------------------


def _codes(
    stored: np.ndarray, names: tuple[NamedValue, ...] | None, values: FileValues
) -> tuple[np.ndarray, list[str]]:
    """Values as they were handed out, ``(H, W, D)``, codes for what is none, and what the unknown ones are called."""
    unknown: list[str] = []
    codes = np.zeros((), np.int32)
    for layer in range(stored.shape[3]):
        of_layer = None if names is None else {one.value: one.name for one in names if one.layer == layer}
        these = _codes_of_layer(stored[..., layer], of_layer, values, unknown)
        if layer == 0:
            codes = these
            continue
        both = (codes != 0) & (these != 0) & (codes != these)
        codes = np.where(codes == 0, these, codes)
        codes[both] = _OVERLAP
    return codes, unknown


def _codes_of_layer(
    stored: np.ndarray, names: Mapping[int, str] | None, values: FileValues, unknown: list[str]
) -> np.ndarray:
    low, high = int(stored.min()), int(stored.max())
    if high - low > _VALUES_AT_MOST:
        raise OverflowError(high)
    places = stored.astype(np.int32) - low
    is_there = np.zeros(high - low + 1, bool)
    is_there[places] = True
    meant = np.zeros(high - low + 1, np.int32)
    for value in (int(one) + low for one in np.flatnonzero(is_there)):
        number, text = _meaning(value, names, values)
        if number is None and text not in unknown:
            unknown.append(text)
        meant[value - low] = _UNKNOWN + unknown.index(text) if number is None else number
    return meant[places]


def _meaning(value: int, names: Mapping[int, str] | None, values: FileValues) -> tuple[int | None, str]:
    """A value as it was handed out, or None and what it is called."""
    if value == 0:
        return 0, ""
    if names is None:
        known = 0 < value < len(values.names) or value == NOT_ANNOTATED
        return (value if known else None), str(value)
    if value not in names:
        return None, f"{value}, for which it has no name"
    return values.value_of(names[value]), repr(names[value])


# -- where it lies -----------------------------------------------------------------------------------------------------


def _shape_of(image: str | os.PathLike) -> tuple[int, int, int]:
    i, j, k = (*guarded(image, nifti_shape), 1, 1)[:3]
    return i, j, k


def _placed(
    name: str, codes: np.ndarray, affine: np.ndarray, placed: bool, image: str | os.PathLike, shape: Sequence[int]
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The voxels in the order of the image, and the index of the first one in it."""
    if not placed:
        raise DataError(
            f"{name}: its header does not say where its axes point; save it as NIfTI or NRRD with the geometry of "
            f"{Path(image).name}"
        )
    target = guarded(image, nifti_affines)[0]
    forms = guarded(name, nifti_affines) if name.lower().endswith(NIFTI_SUFFIXES) else [affine]
    found = [place for form in forms if (place := aligned(codes, form, target)) is not None]
    if not found:
        raise DataError(
            f"{name}: lies on another grid than its image: {_by(codes.shape)} voxels with the affine "
            f"{_told(forms[0])}, the image {_by(shape)} with {_told(target)}; save it on the grid of "
            f"{Path(image).name}"
        )
    first, *others = found
    if any(other[1] != first[1] or not np.array_equal(other[0], first[0]) for other in others):
        raise DataError(
            f"{name}: its two positions, q-form {_told(forms[1])} and s-form {_told(forms[0])}, contradict each other "
            "and both lie on the image's grid; save it again with one of them"
        )
    return first


def _told(affine: np.ndarray) -> str:
    return str([[float(f"{value:.6g}") for value in row] for row in affine[:3]])


def _clear_unreached(whole: np.ndarray, found: np.ndarray, start: Sequence[int], axis: int) -> None:
    """A label map says nothing of the slices that it does not reach."""
    reached = range(start[axis], start[axis] + found.shape[axis])
    for z in range(whole.shape[axis]):
        if z not in reached:
            whole[_plane(z, axis)] = NOT_ANNOTATED


def _plane(z: int, axis: int) -> tuple:
    return (slice(None),) * axis + (z,)


def _wrong(whole: np.ndarray, axis: int, unknown: Sequence[str], values: FileValues) -> dict[int, str]:
    """Slice -> what is wrong with its values."""
    known = ", ".join(f"{number} {name}" for number, name in enumerate(values.names))
    what = f"means nothing; the values are {known}" if values.scribbles else f"is no class; the classes are {known}"
    wrong: dict[int, str] = {}
    for z in range(whole.shape[axis]):
        plane = whole[_plane(z, axis)]
        strange = [unknown[int(code) - _UNKNOWN] for code in np.unique(plane[plane >= _UNKNOWN])]
        if strange:
            shown = ", ".join(strange[:_SHOWN]) + ", ..." * (len(strange) > _SHOWN)
            wrong[z] = f"holds {shown}, which {what}"
        elif (plane == _OVERLAP).any():
            wrong[z] = f"has segments that overlap, in {int((plane == _OVERLAP).sum())} voxels; leave one of them there"
    return wrong


def _outside(found: np.ndarray, inside: tuple, first: int, axis: int, n_slices: int) -> tuple[dict[int, str], int]:
    """Slice -> that labels lie beside it; and how many lie on slices that the image does not have."""
    if found[inside].shape == found.shape:
        return {}, 0
    left_out = (found != 0) & (found != NOT_ANNOTATED)
    left_out[inside] = False
    counts = left_out.sum(axis=tuple(other for other in range(3) if other != axis))
    there = {first + z: int(n) for z, n in enumerate(counts) if n}
    beside = {z: f"labels {n} voxels outside its image; erase them" for z, n in there.items() if 0 <= z < n_slices}
    return beside, sum(there.values()) - sum(there[z] for z in beside)
