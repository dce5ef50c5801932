# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of one volume that a person annotates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_al.annotators.editor_grid import EditorGrid, editor_grid
from monai_al.annotators.editor_images import image_files
from monai_al.annotators.file_values import FileValues
from monai_al.annotators.handed_out import ANNOTATION, IMAGE, HandedOut, HandedVolume, plane_of, plane_sha256
from monai_al.annotators.itksnap import workspace
from monai_al.annotators.slicer import slice_markups
from monai_al.annotators.work import Work
from monai_al.data import StoredVolume
from monai_al.data.grids import SAME_GRID
from monai_al.data.label_files import label_map_bytes
from monai_al.data.slice_axis import in_stored_order
from monai_al.records import NOT_ANNOTATED, Item
from monai_al.report.outlines import outlined_png

__all__ = ["MARKUPS", "WORKSPACE", "VolumeWork"]

MARKUPS, WORKSPACE = "slices.mrk.json", "workspace.itksnap"


@dataclass(eq=False)
class VolumeWork:
    """One volume with the items of it that are asked for.

    Args:
        items: the requested items.
        stored: the image.
        grid: as editors show it.
        held: class numbers ``(H, W, D)``, the slice axis last: labels of other slices so far, elsewhere what a file
            begins with, 0 or among strokes 255.
        classes: the same with the prediction on the requested slices; among strokes with the earlier ones instead.
        prediction: what pictures show on the requested slices, ``(H, W, D)``, or None.
        values: what the values of the annotation file mean.

    Example:
        >>> import tempfile
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.sources import SliceSource
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6))
        ...     source = SliceSource(pool, VolumeCache(folder, label_values=pool.label_values, progress=False))
        ...     values = FileValues(pool.classes)
        ...     VolumeWork.read([pool[3]], list(pool), Work(Path(folder), source), values).classes.any()
        np.False_
    """

    items: Sequence[Item]
    stored: StoredVolume
    grid: EditorGrid
    held: np.ndarray
    classes: np.ndarray
    prediction: np.ndarray | None
    values: FileValues

    @classmethod
    def read(cls, items: Sequence[Item], siblings: Sequence[Item], work: Work, values: FileValues) -> VolumeWork:
        """Read a volume, the labels so far and the prediction.

        Args:
            items: the requested items of one volume.
            siblings: all items of the volume.
            work: images, labels and predictions.
            values: what the values of the annotation file mean.
        """
        first = items[0]
        stored = work.image(first)
        held = np.full(stored.image.shape[1:], values.begun_with, np.uint8)
        asked = {item.id for item in items}
        _put_labels(held, (item for item in siblings if item.id not in asked), work, values)
        prediction, classes = work.prediction(first), held.copy()
        if values.scribbles:
            _put_labels(classes, items, work, values)
        elif prediction is not None:
            for item in items:
                classes[_place(item)] = prediction[_place(item)]
        grid = editor_grid(first, held.shape, stored.affine)
        return cls(items, stored, grid, held, classes, prediction, values)

    def write(self, folder: Path, own: HandedVolume, handed: HandedOut) -> None:
        """Write the files of the volume, those that a person has changed left alone.

        Args:
            folder: that of the round.
            own: the record of the volume, which is brought up to date.
            handed: that of all files.
        """
        if self.grid.moved > SAME_GRID:
            axis = self.items[0].slice_axis
            own.affine = in_stored_order(np.empty((1, 1, 1)), self.stored.affine, axis)[1].tolist()
        images = image_files(self.items[0], self.stored, self.grid)
        for name, content in images.items():
            handed.place(folder, f"{own.folder}/{name}", content)
        overlays = [name for name in images if name != IMAGE]
        texts = {WORKSPACE: workspace(IMAGE, ANNOTATION, self.values.shown_names, self.values.colors, overlays)}
        numbers = [item.slice for item in self.items if item.slice is not None]
        if numbers:
            texts[MARKUPS] = slice_markups({f"slice {z}": self.grid.middle(z) for z in numbers})
        for name, text in texts.items():
            handed.place(folder, f"{own.folder}/{name}", text.encode())
        self._annotation(folder, own, handed)

    def _annotation(self, folder: Path, own: HandedVolume, handed: HandedOut) -> None:
        new = [item for item in self.items if item.id not in own.slices_sha256]
        name = f"{own.folder}/{ANNOTATION}"
        path = folder / name
        if path.exists() and not new:
            return
        first, like = self.items[0], folder / own.folder / IMAGE
        content = label_map_bytes(
            self.values.to_values(self.classes), like=like, affine=self.grid.affine, slice_axis=first.slice_axis
        )
        own.items |= {item.id: item.slice for item in self.items}
        if handed.may_place(folder, name, content) or not own.annotation_sha256:
            own.annotation_sha256 = hashlib.sha256(content).hexdigest()
            own.slices_sha256 = {item.id: plane_sha256(plane_of(self.classes, item.slice)) for item in self.items}
        else:  # a person has drawn in it, so that the new slices hold nothing of ours
            own.slices_sha256 |= {item.id: plane_sha256(plane_of(self.held, item.slice)) for item in new}
        if not path.exists():
            handed.write(folder)  # first, so that no file is taken for a person's whose record was not written
        handed.place(folder, name, content)

    def picture(self, item: Item) -> bytes:
        """A picture of a requested item with the outlines of the prediction; of a volume, its fullest slice."""
        z = self.stored.image.shape[3] // 2 if item.slice is None else item.slice
        if item.slice is None and self.prediction is not None and self.prediction.any():
            z = int(np.count_nonzero(self.prediction, axis=(0, 1)).argmax())
        return outlined_png(
            self.stored.image[..., z],
            None if self.prediction is None else self.prediction[..., z],
            spacing=self.stored.spacing[:2],
            affine=None if self.grid.picture else self.stored.affine,
        )


def _put_labels(classes: np.ndarray, items: Iterable[Item], work: Work, values: FileValues) -> None:
    """What the labels of some items say so far; what they leave open is as a file begins."""
    for item in items:
        label = work.label(item)
        if label is not None:
            classes[_place(item)] = np.where(label == NOT_ANNOTATED, values.begun_with, label)


def _place(item: Item) -> tuple:
    return (Ellipsis,) if item.slice is None else (Ellipsis, item.slice)
