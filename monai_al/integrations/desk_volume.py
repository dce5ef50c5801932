# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A volume that was handed out, as a viewer shows it: slices first, upright, its label map to be drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.annotators.editor_images import COLOURS
from monai_al.annotators.file_values import FileValues
from monai_al.annotators.handed_out import ANNOTATION, IMAGE, HandedVolume, plane_of
from monai_al.annotators.returned import Returned, read_returned
from monai_al.data.nifti import nifti_affines
from monai_al.data.slice_axis import slices_last
from monai_al.data.stored_formats import guarded
from monai_al.records import NOT_ANNOTATED, DataError
from monai_al.report.pictures import upright

__all__ = ["DeskVolume", "read_desk_volume", "read_in"]

_RGB = 3


@dataclass(frozen=True, eq=False)
class DeskVolume:
    """The images of a volume and its label map.

    Args:
        handed: what was handed out.
        images: name -> ``(slices, rows, columns)``, or ``(slices, rows, columns, 3)`` in colours, upright.
        classes: uint8, in stored order: the values of the annotation file, 0 where it says nothing.
        labels: a view of ``classes`` in the order of the images, so that what is drawn there stands in both.
        spacing: millimetres between slices, rows and columns.
        slice_axis: the stored axis along which the slices lie.

    Example:
        >>> classes = np.zeros((4, 5, 6), np.uint8)
        >>> volume = DeskVolume(HandedVolume("a", "a", {}), {}, classes, np.moveaxis(classes, -1, 0), (3, 1, 1), 2)
        >>> volume.labels[2] = 1
        >>> int(volume.plane(2).min()), int(volume.plane(3).max())
        (1, 0)
    """

    handed: HandedVolume
    images: dict[str, np.ndarray]
    classes: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    slice_axis: int

    def plane(self, slice: int | None) -> np.ndarray:
        """The values of a slice in stored order, a view; of the whole volume where the slice is None."""
        return plane_of(self.classes, slice, self.slice_axis)


def read_desk_volume(place: Path, handed: HandedVolume, values: FileValues, slice_axis: int) -> DeskVolume:
    """Read a volume from the work of a round.

    Axial slices are shown with the front up and the patient's right on the left, others with the head up; slices keep
    their order, so that a viewer counts them as the array does.

    Args:
        place: the folder of the round.
        handed: what was handed out.
        values: what the values of the annotation file mean.
        slice_axis: the stored axis along which the slices lie.

    Raises:
        DataError: a file is missing or cannot be read, or the annotation file lies on another grid; the message names
            it and says what to do.

    Example:
        >>> read_desk_volume(Path("round_00"), HandedVolume("a", "a", {}), FileValues(["background", "organ"]), 2)
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: round_00/a/image.nii.gz is missing: the command that began the run ...
    """
    folder = place / handed.folder
    for name in (IMAGE, ANNOTATION):
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is missing: the command that began the run makes it anew")
    affine = slices_last(np.empty((1, 1, 1)), guarded(folder / IMAGE, nifti_affines)[0], slice_axis)[1]
    stored = values.to_values(read_in(folder, values, slice_axis).classes)
    drawn = np.where(stored == NOT_ANNOTATED, 0, stored).astype(np.uint8)
    labels = upright(np.moveaxis(drawn, slice_axis, 0), affine)
    colours = folder / COLOURS
    files = (
        [colours] if colours.is_file() else [folder / IMAGE, *sorted(folder.glob("image_[0-9][0-9][0-9][0-9].nii.gz"))]
    )
    images = {file.name.removesuffix(".nii.gz"): _upright_image(file, affine, slice_axis) for file in files}
    turned = upright(np.empty((1, 2)), affine).shape == (2, 1)
    rows, columns, between = (float(np.linalg.norm(affine[:3, axis])) for axis in range(3))
    spacing = (between, columns, rows) if turned else (between, rows, columns)
    return DeskVolume(handed, images, drawn, labels, spacing, slice_axis)


def read_in(folder: Path, values: FileValues, slice_axis: int) -> Returned:
    """What the annotation file in a volume's folder says, in class numbers.

    Args:
        folder: that of the volume.
        values: what the values of the file mean.
        slice_axis: the stored axis along which the slices lie.

    Raises:
        DataError: the file cannot be read, or lies on another grid.

    Example:
        >>> read_in(Path("no/such/folder"), FileValues(["background", "organ"]), 2)
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: ...
    """
    options = {"slice_axis": slice_axis, "scribbles": values.scribbles}
    return read_returned(folder / ANNOTATION, folder / IMAGE, values.classes, **options)


def _upright_image(path: Path, affine: np.ndarray, slice_axis: int) -> np.ndarray:
    voxels = guarded(path, _voxels)
    if voxels.ndim > _RGB:
        return np.stack([upright(np.moveaxis(voxels[..., c], slice_axis, 0), affine) for c in range(_RGB)], axis=-1)
    return upright(np.moveaxis(voxels, slice_axis, 0), affine)


def _voxels(path: str) -> np.ndarray:
    """``(H, W, D)`` as stored, or ``(H, W, D, 3)`` of an image in colours; one bit depth for all that is scaled."""
    import nibabel

    image: Any = nibabel.load(path)
    values = np.asarray(image.dataobj)
    if values.dtype.names:
        values = np.stack([values[name] for name in values.dtype.names[:_RGB]], axis=-1)
        return values.reshape(*(*values.shape[:-1], 1, 1)[:3], _RGB)
    values = values.astype(np.float32) if values.dtype == np.float64 else values
    return values.reshape((*values.shape, 1, 1)[:3])
