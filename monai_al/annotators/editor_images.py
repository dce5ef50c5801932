# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images as NIfTI files that every editor places alike."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.annotators.editor_grid import EditorGrid
from monai_al.data import StoredVolume
from monai_al.data.colours import brightness
from monai_al.data.grids import SAME_GRID, displacement
from monai_al.data.nifti_header import NIFTI_SUFFIXES, millimetres
from monai_al.data.slice_axis import in_stored_order
from monai_al.records import Item
from monai_al.records.stored_files import stored_channels

__all__ = ["COLOURS", "header_conflict", "image_files"]

COLOURS = "image_colour.nii.gz"
_SAME = 1e-3  # voxel edges: what headers round
_SCANNER = 1  # NIfTI's code for coordinates of the scanner
_QUICK = 1  # of gzip
_INT16 = np.iinfo(np.int16)


def image_files(item: Item, volume: StoredVolume, grid: EditorGrid) -> dict[str, bytes]:
    """The image of a volume as editors open it: file name -> content, the main image first.

    Every file has one affine, written as s-form and as q-form. A compressed NIfTI file of one channel whose forms
    agree on the grid is taken as it is. Of several channels ``image.nii.gz`` is the first one and
    ``image_0001.nii.gz`` and so on the others; of a picture in colours it is the brightness, because some tools of
    editors work on one channel alone, and ``image_colour.nii.gz`` holds the colours.

    Args:
        item: an item of the volume.
        volume: the stored image.
        grid: of :func:`monai_al.annotators.editor_grid.editor_grid`.

    Example:
        >>> import nibabel, tempfile
        >>> volume = StoredVolume(np.ones((1, 4, 5, 6), np.float32), None, np.eye(4), (1.0, 1.0, 1.0), False)
        >>> files = image_files(Item("a", "a.mha", "a", "a"), volume, EditorGrid((4, 5, 6), np.eye(4)))
        >>> image = nibabel.Nifti1Image.from_bytes(gzip.decompress(files["image.nii.gz"]))
        >>> image.shape, int(image.header["sform_code"]), int(image.header["qform_code"])
        ((4, 5, 6), 1, 1)
    """
    channels = volume.image
    if grid.picture and len(channels) == 3:
        (grey,) = brightness(channels)
        return {"image.nii.gz": _nifti(_compact(np.rint(grey)), item, grid), COLOURS: _colours(channels, item, grid)}
    if len(channels) == 1 and _as_it_is(item, grid):
        return {"image.nii.gz": Path(item.image).read_bytes()}
    names = ["image.nii.gz", *(f"image_{number:04d}.nii.gz" for number in range(1, len(channels)))]
    return {name: _nifti(_compact(one), item, grid) for name, one in zip(names, channels, strict=True)}


def header_conflict(image: str) -> bool:
    """Whether the s-form and the q-form of a NIfTI file place its voxels differently, so that editors disagree.

    Example:
        >>> header_conflict("a.mha")
        False
    """
    header = _header(image)
    forms = [] if header is None else _forms(header)
    return len(forms) == 2 and not displacement(_shape(header), *forms) <= SAME_GRID


def _as_it_is(item: Item, grid: EditorGrid) -> bool:
    """Whether every editor finds the grid in the stored file itself."""
    header = _header(item.image)
    if header is None or str(stored_channels(item.image)[0]) != item.image or not item.image.lower().endswith(".gz"):
        return False
    _, affine = in_stored_order(np.empty((1, 1, 1)), grid.affine, item.slice_axis)
    forms, shape = _forms(header), _shape(header)
    placed = bool(forms) and all(displacement(shape, affine, own) <= _SAME for own in forms)
    return placed and len(header.get_data_shape()) == 3 and millimetres(header) == 1


def _header(image: str) -> Any:
    """The header of a NIfTI file, None for another one."""
    import nibabel

    part = stored_channels(image)[0]
    is_nifti = part.path.lower().endswith(NIFTI_SUFFIXES) and os.path.isfile(part.path)
    return nibabel.load(part.path).header if is_nifti else None


def _shape(header: Any) -> tuple[int, ...]:
    return (*header.get_data_shape(), 1, 1)[:3]


def _forms(header: Any) -> list[np.ndarray]:
    """The affine of each form that a header states; NaN where it is none."""
    found = []
    for form in (header.get_sform, header.get_qform):
        try:
            affine, code = form(coded=True)
        except ValueError:  # no rotation
            affine, code = np.full((4, 4), np.nan), 1
        found += [affine] if code else []
    return found


def _compact(values: np.ndarray) -> np.ndarray:
    """Whole numbers of 16 bits as such, which is what editors work with; else as they are."""
    if values.min() < _INT16.min or values.max() > _INT16.max:
        return values
    whole = values.astype(np.int16)
    return whole if np.array_equal(whole, values) else values


def _colours(channels: np.ndarray, item: Item, grid: EditorGrid) -> bytes:
    top = float(channels.max())
    scaled = channels if top <= 255 else channels * (255 / top)
    planes = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    values = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    return _nifti(values, item, grid)


def _nifti(values: np.ndarray, item: Item, grid: EditorGrid) -> bytes:
    """A compressed NIfTI file in the stored order of axes; equal voxels give equal bytes."""
    import nibabel

    stored, affine = in_stored_order(values, grid.affine, item.slice_axis)
    image = nibabel.Nifti1Image(stored, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, _SCANNER)
    image.set_qform(affine, _SCANNER)
    return gzip.compress(image.to_bytes(), compresslevel=_QUICK, mtime=0)
