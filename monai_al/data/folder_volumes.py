# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Volumes that are a folder of files: the slices of a DICOM series, or numbered pictures. All are rows by columns."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from monai_al.data.dicom_series import dicom_series, read_dicom
from monai_al.data.itk_images import itk_shape
from monai_al.data.natural_order import natural_key
from monai_al.data.pictures import PICTURE_SUFFIXES
from monai_al.data.stored_formats import format_of, guarded
from monai_al.data.stored_grid import StoredFormat, StoredGrid
from monai_al.records.errors import DataError

__all__ = ["folder_format", "numbered_files", "picture_files", "pictures_format"]


def folder_format(folder: str | os.PathLike, series: str = "") -> StoredFormat:
    """How a folder is read as one volume: as pictures where it holds some, else as a DICOM series.

    The UID of a series says which of several is meant, whatever else lies in the folder.

    Pictures are ordered by the numbers in their names and have no geometry. DICOM slices are ordered by their positions
    along the normal; a label in pictures belongs to them name by name, the k-th picture to the k-th slice, and follows
    their order.

    Raises:
        DataError: the folder is empty, or holds pictures beside DICOM files.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     folder_format(folder)
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: ...: is a folder without files; it may hold numbered pictures or DICOM slices
    """
    if series:
        return _dicom_format(series)
    files = numbered_files(folder)
    if not files:
        raise DataError(f"{folder}: is a folder without files; it may hold numbered pictures or DICOM slices")
    pictures = picture_files(folder)
    if not pictures:
        return _dicom_format()
    slices = [file.name for file in files if file.suffix.lower() == ".dcm"]
    if slices:
        raise DataError(f"{folder}: holds pictures beside DICOM files such as {slices[0]}; keep them in two folders")
    return pictures_format(pictures)


def pictures_format(files: Sequence[Path]) -> StoredFormat:
    """How pictures are read as the slices of one volume, in this order.

    Example:
        >>> pictures_format([Path("gone.png")]).shape("gone")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: gone.png: does not exist; check the path and that the data set is complete
    """
    return StoredFormat(
        lambda _: _pictures_shape(files), lambda _: _pictures_image(files), lambda _: _pictures_label(files)
    )


def _dicom_format(uid: str = "") -> StoredFormat:
    shape, image = functools.partial(_dicom_shape, uid=uid), functools.partial(_dicom_image, uid=uid)
    return StoredFormat(shape, image, image)


def numbered_files(folder: str | os.PathLike, suffixes: tuple[str, ...] = ("",)) -> list[Path]:
    """The files of a folder, by the numbers in their names; hidden ones and sub-folders are left out.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("10.png", "9.png", "._9.png", "notes.txt"):
        ...         Path(folder, name).touch()
        ...     [file.name for file in numbered_files(folder, (".png",))]
        ['9.png', '10.png']
    """
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.lower().endswith(suffixes) and e.name[0] != "." and e.is_file()]
    return [Path(folder, name) for name in sorted(names, key=natural_key)]


def picture_files(folder: str | os.PathLike) -> list[Path]:
    """The pictures of a folder, by the numbers in their names.

    Example:
        >>> picture_files("monai_al")
        []
    """
    return numbered_files(folder, PICTURE_SUFFIXES)


# --- pictures --------------------------------------------------------------------------------------------------------


def _pictures_shape(files: Sequence[Path]) -> tuple[int, ...]:
    return (*guarded(files[0], format_of(files[0]).shape)[:2], len(files))


def _pictures_image(files: Sequence[Path]) -> StoredGrid:
    """All planes as float32; they are decoded one after another into one block."""
    block: np.ndarray | None = None
    for k, grid in enumerate(_planes(files, label=False)):
        plane = grid.values[:, :, 0]
        if block is None:
            block = np.empty((len(files), *plane.shape), np.float32)
        block[k] = plane
    assert block is not None
    return StoredGrid(block.transpose(1, 2, 0, 3), None, True)


def _pictures_label(files: Sequence[Path]) -> StoredGrid:
    grids = list(_planes(files, label=True))
    block = np.stack([grid.values[:, :, 0] for grid in grids], axis=2)
    return StoredGrid(block, None, True, mask=grids[0].mask)


def _planes(files: Sequence[Path], *, label: bool) -> Iterator[StoredGrid]:
    """Each picture, after a comparison with the first one."""
    first: StoredGrid | None = None
    colours: dict[int, tuple[int, ...]] = {}
    for file in files:
        kind = format_of(file)
        grid = guarded(file, kind.label if label else kind.image)
        first = first or grid
        if grid.values.shape[2] != 1:
            raise DataError(f"{file}: holds {grid.values.shape[2]} pages; a plane of a volume is one picture")
        if grid.values.shape != first.values.shape:
            raise DataError(
                f"{file} is {_described(grid)} but {files[0].name} is {_described(first)}: they are no planes of one "
                "volume"
            )
        if label and (grid.mask, grid.values.dtype) != (first.mask, first.values.dtype):
            raise DataError(
                f"{file} is a {_coding(grid)} picture but {files[0].name} a {_coding(first)} one, so that their values "
                "may mean different things; store all planes of a label alike"
            )
        known = colours | (grid.colours or {})
        changed = [index for index, colour in colours.items() if known[index] != colour]
        if changed:
            raise DataError(
                f"{file} shows index {changed[0]} in another colour than the pictures before it, so that it may be "
                "another class; store class numbers as grey values"
            )
        colours = known
        yield grid


def _described(grid: StoredGrid) -> str:
    rows, columns, _, channels = grid.values.shape
    return f"{rows} x {columns} with {channels} channels"


def _coding(grid: StoredGrid) -> str:
    return "1-bit" if grid.values.dtype.kind == "b" else f"{8 * grid.values.dtype.itemsize}-bit {grid.mask}"


# --- DICOM -----------------------------------------------------------------------------------------------------------


def _dicom_shape(folder: str, uid: str = "") -> tuple[int, ...]:
    series = dicom_series(folder, uid)
    columns, rows = itk_shape(series.files[0])[:2]
    return (rows, columns, len(series.files))


def _dicom_image(folder: str, uid: str = "") -> StoredGrid:
    """``(rows, columns, slices, colours)``, as pictures of the slices are stored; the affine follows."""
    series = dicom_series(folder, uid)
    values = np.swapaxes(read_dicom(series), 0, 1).astype(np.float32)
    values = values if values.ndim == 4 else values[..., None]
    by_name = sorted(series.files, key=lambda file: natural_key(os.path.basename(file)))
    order = tuple(by_name.index(file) for file in series.files)
    return StoredGrid(values, series.affine[:, [1, 0, 2, 3]], placeholder=False, placed=True, order=order)
