# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a slice is found: its number in the array, in ITK-SNAP, and its offset in 3D Slicer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monai_al.annotators.editor_grid import EditorGrid, editor_grid
from monai_al.records import Item, Query
from monai_al.sources import Source

__all__ = ["OBLIQUE", "PICTURE", "PLANES", "Place", "place_of", "with_places"]

PLANES = {"L": "sagittal", "A": "coronal", "S": "axial"}  # letter of 3D Slicer's view -> the view
OBLIQUE, PICTURE = "oblique", "picture"
_TOWARDS = {"L": (-1.0, 0.0, 0.0), "A": (0.0, 1.0, 0.0), "S": (0.0, 0.0, 1.0)}  # where the normal of a view leads, RAS


@dataclass(frozen=True, slots=True)
class Place:
    """Where editors show an item.

    Args:
        plane: ``"axial"``, ``"coronal"``, ``"sagittal"``; ``"oblique"`` where a view of 3D Slicer that is parallel to
            the axes of the body leaves the slice, so that it needs "Rotate to volume plane"; ``"picture"`` where the
            files tell no position.
        slice: number of the slice, counted from 0 along the stored slice axis; None for a whole volume.
        slice_axis: the stored axis along which the slices lie.
        itksnap: number of the slice as ITK-SNAP shows it, counted from 1; None for a whole volume.
        slicer_mm: the offset in millimetres as 3D Slicer shows it; None for a whole volume and for a single picture.
        view: the letter that 3D Slicer shows beside the offset: ``"S"`` axial, ``"A"`` coronal, ``"L"`` sagittal; of
            an oblique slice the nearest. The view of ITK-SNAP that scrolls through the slices has the same name.

    Example:
        >>> place = Place("oblique", 7, 2, 8, -31.5, "S")
        >>> place.nearest, str(place)
        ('axial', 'oblique (near axial), ITK-SNAP 8, Slicer S -31.5 mm')
    """

    plane: str
    slice: int | None = None
    slice_axis: int = 2
    itksnap: int | None = None
    slicer_mm: float | None = None
    view: str | None = None

    @property
    def nearest(self) -> str:
        """The view of an editor that shows the slices."""
        return PLANES.get(self.view or "", self.plane)

    def __str__(self) -> str:
        """In words, for people."""
        plane = f"{self.plane} (near {self.nearest})" if self.plane == OBLIQUE else self.plane
        snap = "" if self.itksnap is None else f", ITK-SNAP {self.itksnap}"
        return f"{plane}{snap}" + ("" if self.slicer_mm is None else f", Slicer {self.view} {self.slicer_mm:g} mm")

    def to_json(self) -> dict[str, Any]:
        """The place as it stands in ``query.json``."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, content: Any) -> Place:
        """The place that :meth:`to_json` wrote; keys of later versions are left out."""
        return cls(**{name: content[name] for name in cls.__dataclass_fields__ if name in content})


def place_of(item: Item, grid: EditorGrid) -> Place:
    """Where editors show an item.

    Args:
        item: a slice, a whole image or a whole volume.
        grid: that of its volume.

    Example:
        >>> coronal = np.array([[1.0, 0, 0, -20], [0, 0, 2, 10], [0, 1, 0, 5], [0, 0, 0, 1]])
        >>> place_of(Item("a/0007", "a.nii.gz", "a", "a", slice=7), EditorGrid((41, 9, 12), coronal))
        Place(plane='coronal', slice=7, slice_axis=2, itksnap=8, slicer_mm=24.0, view='A')
    """
    letter, is_oblique = _view(grid)
    plane = PICTURE if grid.picture else OBLIQUE if is_oblique else PLANES[letter]
    number = 0 if item.slice is None and grid.shape[2] == 1 else item.slice
    if number is None:
        return Place(plane, slice_axis=item.slice_axis, view=letter)
    single = grid.picture and grid.shape[2] == 1
    normal = _normal(grid, letter) if is_oblique else np.array(_TOWARDS[letter])
    offset = round(float(normal @ grid.middle(number)), 3) + 0.0  # no -0.0
    return Place(
        plane,
        number,
        item.slice_axis,
        number + 1,
        None if single else offset,
        None if single else letter,
    )


def with_places(query: Query, source: Source) -> Query:
    """A query whose items tell where they are found; of a source that keeps no geometry, the query as it is.

    Args:
        query: the chosen items.
        source: the data; its volumes are prepared.

    Example:
        >>> import tempfile
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.records import QueryItem
        >>> from monai_al.sources import SliceSource
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6))
        ...     source = SliceSource(pool, VolumeCache(folder, label_values=pool.label_values, progress=False))
        ...     query = with_places(Query(0, "random", 0, (QueryItem(pool[3].id),)), source)
        >>> query.items[0].place["plane"], query.items[0].place["itksnap"]
        ('axial', 4)
    """
    if source.cache is None:
        return query
    found = []
    for one in query.items:
        item = replace(source.data[source.data.index(one.id)], label=None)
        geometry = source.cache.get(item).geometry
        grid = editor_grid(item, geometry.stored_shape, geometry.stored_affine)
        found.append(replace(one, place=place_of(item, grid).to_json()))
    return replace(query, items=tuple(found))


def _view(grid: EditorGrid) -> tuple[str, bool]:
    """Letter of the view that scrolls through the slices, and whether a view along the body's axes leaves a slice."""
    axis = int(np.abs(grid.affine[:3, 2]).argmax())
    half = (np.array(grid.shape[:2]) - 1) / 2
    tilt = float(np.abs(grid.affine[axis, :2]) @ half)  # how far the corners lie before or behind the middle
    return "LAS"[axis], tilt > abs(grid.affine[axis, 2]) / 2


def _normal(grid: EditorGrid, letter: str) -> np.ndarray:
    """The unit vector across the slices, to the side to which the normal of the view leads."""
    across = grid.affine[:3, 2] / np.linalg.norm(grid.affine[:3, 2])
    return across if across @ np.array(_TOWARDS[letter]) > 0 else -across
