# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What an annotator may look at beside a query."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from monai_al.data import StoredVolume, read_volume
from monai_al.records import Item, Labels
from monai_al.sources import Source
from monai_al.sources.entry_arrays import refuse_arrays

__all__ = ["Work"]


class Work:
    """What an annotator may look at beside a query.

    Args:
        output_dir: the run folder.
        source: the data.
        labels: those of the run so far.
        predict: item -> class numbers ``(H, W, D)`` of its volume on the stored grid with the slice axis last, or None;
            None where no network is trained.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> work = Work(Path("runs/a"), SliceSource(Pool([]), cache=None))
        >>> work.prediction(Item("a", "a.png", "a", "a")) is None, len(work.labels)
        (True, 0)
    """

    def __init__(
        self,
        output_dir: Path,
        source: Source,
        labels: Labels | None = None,
        predict: Callable[[Item], np.ndarray | None] | None = None,
    ) -> None:
        self.output_dir = output_dir
        self.source = source
        self.labels = Labels() if labels is None else labels
        self._predict = predict

    def image(self, item: Item) -> StoredVolume:
        """The image that holds an item, on its stored grid with its affine and voxel size, without a label.

        The slice axis comes last, so that slice k of it is ``image[..., k]``; a label file lies on the file's own grid:
        :func:`monai_al.data.label_files.write_label_map` with the item's ``slice_axis`` writes one.

        Raises:
            DataError: it cannot be read, or is an array of a foreign bundle.
        """
        refuse_arrays([item], "Showing the stored image")
        return read_volume(item.image, slice_axis=item.slice_axis)

    def prediction(self, item: Item) -> np.ndarray | None:
        """What the last network says of the volume that holds an item, on the grid of its image.

        Class numbers ``(H, W, D)``, the slice axis last as in :meth:`image`. None before the first network, and where a
        foreign bundle reads the images.
        """
        return None if self._predict is None else self._predict(item)

    def label(self, item: Item) -> np.ndarray | None:
        """What the label of an item says so far, as class numbers ``(H, W)``, 255 = not annotated.

        A volume that is an item gives ``(H, W, D)``. None where the item has no label yet, and for foreign bundles,
        whose own transforms alone know what a label's values mean.

        Raises:
            DataError: the label cannot be read.
        """
        if item.id not in self.labels or self.source.cache is None:
            return None
        truth = self.source.cache.get(self.labels.of_item(item)).truth
        if truth is None or item.slice is None:
            return None if truth is None else truth.transpose(1, 2, 0)
        return truth[item.slice]
