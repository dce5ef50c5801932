# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of one volume that a person annotates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_al.annotators.editor_grid import EditorGrid, editor_grid
from monai_al.annotators.editor_images import image_files
from monai_al.annotators.handed_out import ANNOTATION, IMAGE, HandedOut, HandedVolume, plane_of, plane_sha256
from monai_al.annotators.itksnap import workspace
from monai_al.annotators.slicer import slice_markups
from monai_al.annotators.work import Work
from monai_al.data import StoredVolume
from monai_al.data.grids import SAME_GRID
from monai_al.data.label_files import label_map_bytes
from monai_al.data.slice_axis import in_stored_order
from monai_al.records import NOT_ANNOTATED, Item
from monai_al.report.outlines import class_rgb, outlined_png

__all__ = ["MARKUPS", "WORKSPACE", "VolumeWork"]

MARKUPS, WORKSPACE = "slices.mrk.json", "workspace.itksnap"


@dataclass(eq=False)
class VolumeWork:
    """One volume with the items of it that are asked for.

    Args:
        items: the requested items.
        stored: the image.
        grid: as editors show it.
        held: class numbers ``(H, W, D)``, the slice axis last: labels of other slices so far, 0 elsewhere.
        classes: the same with the prediction on the requested slices.
        predicted: whether there is a prediction.

    Example:
        >>> import tempfile
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.sources import SliceSource
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6))
        ...     source = SliceSource(pool, VolumeCache(folder, label_values=pool.label_values, progress=False))
        ...     VolumeWork.read([pool[3]], list(pool), Work(Path(folder), source)).classes.any()
        np.False_
    """

    items: Sequence[Item]
    stored: StoredVolume
    grid: EditorGrid
    held: np.ndarray
    classes: np.ndarray
    predicted: bool

    @classmethod
    def read(cls, items: Sequence[Item], siblings: Sequence[Item], work: Work) -> VolumeWork:
        """Read a volume, the labels of its other slices and the prediction.

        Args:
            items: the requested items of one volume.
            siblings: all items of the volume.
            work: images, labels and predictions.
        """
        first = items[0]
        stored = work.image(first)
        held = np.zeros(stored.image.shape[1:], np.uint8)
        asked = {item.id for item in items}
        for item in siblings:
            label = None if item.id in asked else work.label(item)
            if label is not None:
                held[_place(item)] = np.where(label == NOT_ANNOTATED, 0, label)
        prediction = work.prediction(first)
        classes = held.copy()
        if prediction is not None:
            for item in items:
                classes[_place(item)] = prediction[_place(item)]
        grid = editor_grid(first, held.shape, stored.affine)
        return cls(items, stored, grid, held, classes, prediction is not None)

    def write(self, folder: Path, own: HandedVolume, handed: HandedOut, names: Sequence[str]) -> None:
        """Write the files of the volume, those that a person has changed left alone.

        Args:
            folder: that of the round.
            own: the record of the volume, which is brought up to date.
            handed: that of all files.
            names: of the classes, as editors show them.
        """
        if self.grid.moved > SAME_GRID:
            axis = self.items[0].slice_axis
            own.affine = in_stored_order(np.empty((1, 1, 1)), self.stored.affine, axis)[1].tolist()
        images = image_files(self.items[0], self.stored, self.grid)
        for name, content in images.items():
            handed.place(folder, f"{own.folder}/{name}", content)
        colors = [class_rgb(number) for number in range(len(names))]
        overlays = [name for name in images if name != IMAGE]
        texts = {WORKSPACE: workspace(IMAGE, ANNOTATION, names, colors, overlays)}
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
        content = label_map_bytes(self.classes, like=like, affine=self.grid.affine, slice_axis=first.slice_axis)
        own.items |= {item.id: item.slice for item in self.items}
        if handed.may_place(folder, name, content) or not own.annotation_sha256:
            own.annotation_sha256 = hashlib.sha256(content).hexdigest()
            own.slices_sha256 = {item.id: plane_sha256(plane_of(self.classes, item.slice)) for item in self.items}
        else:  # a person has drawn in it, so the new slices hold no prediction
            own.slices_sha256 |= {item.id: plane_sha256(plane_of(self.held, item.slice)) for item in new}
        if not path.exists():
            handed.write(folder)  # first, so that no file is taken for a person's whose record was not written
        handed.place(folder, name, content)

    def picture(self, item: Item) -> bytes:
        """A picture of a requested item with the outlines of the prediction; of a volume, its fullest slice."""
        z = self.stored.image.shape[3] // 2 if item.slice is None else item.slice
        if item.slice is None and self.classes.any():
            z = int(np.count_nonzero(self.classes, axis=(0, 1)).argmax())
        return outlined_png(
            self.stored.image[..., z],
            self.classes[..., z] if self.predicted else None,
            spacing=self.stored.spacing[:2],
            affine=None if self.grid.picture else self.stored.affine,
        )


def _place(item: Item) -> tuple:
    return (Ellipsis,) if item.slice is None else (Ellipsis, item.slice)
