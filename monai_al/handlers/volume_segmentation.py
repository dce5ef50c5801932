# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes the segmentation of whole volumes on their stored grid while an evaluator predicts their slices."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine

from monai_al.data import VolumeCache
from monai_al.data.label_files import is_untouched, stored_values, write_label_map
from monai_al.handlers.whole_volumes import WholeVolumeHandler, hard_labels
from monai_al.records import Item
from monai_al.records.stored_files import stored_channels

__all__ = ["VolumeSegmentationHandler"]

logger = logging.getLogger(__name__)


class VolumeSegmentationHandler(WholeVolumeHandler):
    """Gathers slice predictions into volumes and writes each as ``<volume>_seg.nii.gz`` on its stored grid.

    See :class:`monai_al.handlers.WholeVolumeHandler` for how to attach it. Each file has the order of axes and
    the geometry of its image, and appears under its name only once it is complete. What an earlier inference wrote is
    replaced; any other file of that name, such as ground truth or a segmentation that was corrected since, is never
    overwritten.

    Args:
        items: the items the evaluator predicts; all slices of every volume. No label is read.
        cache: where their volumes lie.
        output_dir: where the files go; a ``/`` in a volume's name makes a sub-folder.
        label_values: stored label value -> class number, as a pool holds it: the files hold stored values, the smallest
            one of a class.
        activation: softmax, sigmoid or none; of several channels the most probable class is taken, one channel is
            thresholded at 0.5.

    Raises:
        ValueError: no label value stands for a class, the activation is ``"multilabel"``, or files would come to lie
            beside the images or replace what is not of this kind; during the run: a volume lacks slices, or an item is
            predicted twice.

    After the run ``files`` holds the paths in order of completion.

    Example:
        >>> VolumeSegmentationHandler([], cache=None, output_dir="segmentations", label_values={0: 0, 1: 1}).files
        []
    """

    def __init__(
        self,
        items: Sequence[Item],
        cache: VolumeCache,
        output_dir: str | Path,
        label_values: Mapping[int, int],
        activation: str = "softmax",
    ) -> None:
        super().__init__(items, cache, activation)
        self.output_dir = Path(output_dir).expanduser()
        self.files: list[Path] = []
        self._values = stored_values(label_values)
        for item in {item.volume: item for item in items}.values():
            self._check_place(item)

    def _check_place(self, item: Item) -> None:
        path = self._path(item)
        if path.parent.resolve() in {Path(part.path).parent.resolve() for part in stored_channels(item.image)}:
            raise ValueError(f"{path.parent} holds the images, and perhaps labels of theirs: give another output_dir")
        if path.exists() and not is_untouched(path):
            raise ValueError(
                f"{path} is there and no segmentation as an earlier inference wrote it: it may be ground truth, or "
                "corrected by hand; give another output_dir"
            )

    def _path(self, item: Item) -> Path:
        return self.output_dir / f"{item.volume}_seg.nii.gz"

    def _start(self, engine: Engine) -> None:
        self.files = []
        super()._start(engine)

    def take_volume(self, item: Item, probs: torch.Tensor) -> None:
        """Write one segmentation."""
        classes = hard_labels(probs).cpu().numpy()
        path = self._path(item)
        affine = self.cache.get(item).geometry.stored_affine
        labels = np.moveaxis(self._values[classes], 0, -1)
        write_label_map(path, labels, like=item.image, affine=affine, slice_axis=item.slice_axis)
        self.files.append(path)

    def _finish(self, engine: Engine) -> None:
        super()._finish(engine)
        logger.info("%d segmentations written to %s", len(self.files), self.output_dir)
