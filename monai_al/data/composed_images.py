# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How an image is read, whatever it is put together from: a file, a folder, some files of a folder, or its channels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.data.folder_volumes import folder_format, pictures_format
from monai_al.data.grids import SAME_GRID, displacement
from monai_al.data.natural_order import natural_key
from monai_al.data.stored_formats import format_of, guarded
from monai_al.data.stored_grid import StoredFormat, StoredGrid
from monai_al.records.errors import DataError
from monai_al.records.stored_files import StoredPart, stored_channels

__all__ = ["stored_format"]


def stored_format(path: str | os.PathLike) -> StoredFormat:
    """How an image or a label is read: see :mod:`monai_al.records.stored_files` for what it may be.

    Files that are channels of one image must have one shape and, where they have one at all, one affine.

    Raises:
        DataError: a file is none that can be read, or a folder is empty or holds pictures beside DICOM files.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("t1.png", "t2.png"):
        ...         Image.new("L", (4, 3)).save(f"{folder}/{name}")
        ...     both = f"{folder}/t1.png|{folder}/t2.png"
        ...     stored_format(both).image(both).values.shape
        (3, 4, 1, 2)
    """
    parts = stored_channels(path)
    if len(parts) == 1 and str(parts[0]) == parts[0].path and not parts[0].is_folder:
        return format_of(path)
    formats = [_format_of_part(part) for part in parts]
    if len(parts) == 1:
        (only,), (kind,) = parts, formats
        return StoredFormat(
            lambda _: kind.shape(only.path), lambda _: kind.image(only.path), lambda _: kind.label(only.path)
        )
    return StoredFormat(
        lambda _: _shape(parts, formats), lambda _: _stacked(parts, formats), lambda _: _refuse_label(parts)
    )


def _format_of_part(part: StoredPart) -> StoredFormat:
    if part.is_pattern:
        kind = pictures_format([Path(file) for file in sorted(part.files(), key=_by_number)])
    elif part.is_folder:
        kind = folder_format(part.path, part.series)
    else:
        kind = format_of(part.path)
    return kind if part.channel is None else replace(kind, image=lambda path: _one_channel(kind.image(path), part))


def _by_number(file: str) -> tuple:
    return natural_key(os.path.basename(file))


def _one_channel(grid: StoredGrid, part: StoredPart) -> StoredGrid:
    n = grid.values.shape[3]
    assert part.channel is not None
    if part.channel >= n:
        raise DataError(f"{part}: the image has {n} channels, counted from 0")
    return replace(grid, values=grid.values[..., part.channel : part.channel + 1])


def _shape(parts: Sequence[StoredPart], formats: Sequence[StoredFormat]) -> tuple[int, ...]:
    shapes = _of_each(parts, [kind.shape for kind in formats])
    for part, shape in zip(parts[1:], shapes[1:], strict=True):
        if shape[:3] != shapes[0][:3]:
            raise _differs(parts[0], part, f"shapes, {shapes[0]} and {shape}")
    return shapes[0]


def _stacked(parts: Sequence[StoredPart], formats: Sequence[StoredFormat]) -> StoredGrid:
    """The channels of all parts on the grid of the first."""
    grids = _of_each(parts, [kind.image for kind in formats])
    first = grids[0]
    for part, grid in zip(parts[1:], grids[1:], strict=True):
        if grid.values.shape[:3] != first.values.shape[:3]:
            raise _differs(parts[0], part, f"shapes, {first.values.shape[:3]} and {grid.values.shape[:3]}")
        if first.affine is not None and grid.affine is not None:
            apart = displacement(first.values.shape[:3], first.affine, grid.affine)
            if not apart <= SAME_GRID:
                raise _differs(parts[0], part, f"positions, {apart:.3g} voxel edges apart")
    return replace(first, values=np.concatenate([grid.values for grid in grids], axis=3))


def _of_each(parts: Sequence[StoredPart], read: Sequence[Callable[[str], Any]]) -> list[Any]:
    return [guarded(part.path, one) for part, one in zip(parts, read, strict=True)]


def _differs(first: StoredPart, other: StoredPart, what: str) -> DataError:
    return DataError(
        f"{other} and {first} are channels of one image but have different {what}; store all channels on one grid"
    )


def _refuse_label(parts: Sequence[StoredPart]) -> StoredGrid:
    raise DataError(f"{' and '.join(map(str, parts))}: a label is one file; store the class numbers in one")
