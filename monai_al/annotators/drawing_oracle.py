# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An oracle that draws scribbles on the ground truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_al.annotators.weak_oracle import WeakOracle
from monai_al.data import stored_shape
from monai_al.records import NOT_ANNOTATED, DataError, Item
from monai_al.sources import Source
from monai_al.transforms import ScribblesFromMask

__all__ = ["DrawingOracle"]


class DrawingOracle(WeakOracle):
    """Answers with scribbles that :class:`monai_al.transforms.ScribblesFromMask` makes from the ground truth.

    Args:
        width: of the strokes, in stored pixels.
        length: of the strokes, as a share of the longest path through a region.
        share: of the items that are answered with scribbles; the others get their full label.
        seed: another seed draws other strokes, as another person would.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> DrawingOracle(length=0.5).name
        'oracle (scribbles)'
    """

    def __init__(self, width: int = 1, length: float = 0.9, share: float = 1.0, seed: int = 0) -> None:
        super().__init__(share, seed)
        self.width, self.length = width, length
        self._transform()

    def check(self, source: Source) -> None:
        """The items that may be annotated have masks.

        Raises:
            DataError: a foreign bundle reads the data; items have no ground truth, or one that is no mask.
        """
        super().check(source)
        items = source.data.part("train")
        without = [item.id for item in items if item.label is None]
        if without:
            raise DataError(
                f"{len(without)} items have no ground truth to draw scribbles on, such as {without[0]}: add their "
                "labels to the data set, or let people draw, with the overlay annotators/folder_scribbles"
            )
        for item in {item.label: item for item in items}.values():
            truth = _truth(item, source)
            if np.count_nonzero(truth == NOT_ANNOTATED) > truth.size / 2:
                raise DataError(
                    f"{item.label}: leaves most pixels without annotation, so it is no mask that scribbles could be "
                    "drawn on; where the data set has scribbles, take the overlay annotators/scribbles"
                )

    def scribbles(self, items: Sequence[Item], source: Source) -> np.ndarray:
        """See :meth:`WeakOracle.scribbles`."""
        draw, truth = self._transform(), _truth(items[0], source)
        drawn = np.full(truth.shape, NOT_ANNOTATED, np.uint8)
        for item in items:
            if item.slice is not None:
                drawn[..., item.slice] = draw(truth[None, ..., item.slice], item.id)[0]
            elif truth.shape[2] == 1:
                drawn[..., 0] = draw(truth[None, ..., 0], item.id)[0]
            else:
                drawn[:] = draw(truth[None], item.id)[0]
        return drawn

    def _transform(self) -> ScribblesFromMask:
        return ScribblesFromMask(self.width, self.length, seed=self.seed)


def _truth(item: Item, source: Source) -> np.ndarray:
    """The ground truth of an item's volume, class numbers ``(H, W, D)`` on the stored grid of its image."""
    assert source.cache is not None
    truth = source.cache.get(item).truth
    if truth is None:
        raise DataError(f"{item.id}: has no ground truth to draw scribbles on; add its label to the data set")
    truth = truth.transpose(1, 2, 0)
    if source.data.sizes_tolerated:  # both show the whole view
        truth = _resized(truth, stored_shape(item.image)[:2])
    return truth


def _resized(truth: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A label map of other rows and columns, each pixel that of the nearest centre."""
    picks = [(np.arange(n) + 0.5) * old // n for n, old in zip(size, truth.shape[:2], strict=True)]
    return truth[np.ix_(*(pick.astype(int) for pick in picks))]
