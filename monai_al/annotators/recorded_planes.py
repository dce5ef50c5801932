# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels as a run has recorded them, in class numbers, and what of a return is new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from monai_al.annotators.handed_out import plane_of
from monai_al.data.stored_formats import format_of, guarded
from monai_al.records import CLASS_NUMBERS, GROUND_TRUTH, NOT_ANNOTATED, TEST, Item, Label, RunFolder, round_numbers

__all__ = ["Recorded", "labels_of_run", "recorded_plane"]


def recorded_plane(label: Label, item: Item) -> np.ndarray | None:
    """The class numbers of a recorded label, 255 where nothing is annotated.

    Args:
        label: with a path that can be read.
        item: what it labels.

    Returns:
        The slice, or the whole volume, in stored order; None where the data set itself has the label, or only a foreign
        bundle reads it.

    Raises:
        DataError: the file cannot be read.

    Example:
        >>> recorded_plane(Label("a"), Item("a", "a.png", "a", "a")) is None
        True
    """
    if label.where == GROUND_TRUTH or label.coding != CLASS_NUMBERS or label.returned is None:
        return None
    stored: Any = guarded(label.where, format_of(label.where).label)
    return plane_of(stored.values[..., 0].astype(np.uint8), item.slice, item.slice_axis)


def labels_of_run(folder: RunFolder) -> dict[str, list[Label]]:
    """Id -> all labels that came back for it in any round or the test set, in order.

    Example:
        >>> labels_of_run(RunFolder("no/such/run"))
        {}
    """
    found: dict[str, list[Label]] = {}
    returns = (one for number in (TEST, *round_numbers(folder.path)) for one in folder.returns(number))
    for label in (label for one in returns for label in one.labels):
        found.setdefault(label.id, []).append(label)
    return found


@dataclass(frozen=True)
class Recorded:
    """What a run has recorded before, so that a return is not recorded twice.

    Args:
        labels: of :func:`labels_of_run`.
        annotator: whose labels are not taken again; None: anybody's.

    Example:
        >>> Recorded().is_there(Item("a", "a.png", "a", "a"), np.zeros((4, 5), np.uint8))
        False
    """

    labels: Mapping[str, Sequence[Label]] = field(default_factory=dict)
    annotator: str | None = None

    def is_taken(self, item: Item, plane: np.ndarray, saved: float) -> bool:
        """Whether the last label of an annotator says the same, or an earlier one, and the file was left since.

        Args:
            item: what is labeled.
            plane: class numbers.
            saved: when its file was saved last, in seconds since 1970. It counts for files that were handed out here:
                those that somebody sends may be old and count all the same.
        """
        labels = self.labels.get(item.id, ())
        last = {one.annotator: one for one in labels}
        own = [one for who, one in last.items() if self.annotator in (None, who)]
        if self.annotator is None and labels and saved < _seconds(labels[-1]):
            own = list(labels)
        return any(_says(label, item, plane) for label in own)

    def is_there(self, item: Item, plane: np.ndarray, *, scribbles: bool = False) -> bool:
        """Whether anybody's label says the same, or may say it, because only the data set or a bundle can read it.

        Args:
            item: what is labeled.
            plane: class numbers.
            scribbles: strokes were handed out; else what a label leaves open was handed out as background, and counts
                as such.
        """
        shown = np.asarray if scribbles else _closed
        return any(_says(label, item, shown(plane), shown) is not False for label in self.labels.get(item.id, ()))


def _closed(plane: np.ndarray) -> np.ndarray:
    return np.where(plane == NOT_ANNOTATED, 0, plane)


def _seconds(label: Label) -> float:
    """When a label was recorded, in seconds since 1970."""
    return datetime.fromisoformat(label.when).timestamp() if label.when else 0.0


def _says(
    label: Label, item: Item, plane: np.ndarray, shown: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> bool | None:
    """Whether a label, as it is shown, says what a plane does; None where nothing here can read it."""
    recorded = recorded_plane(label, item)
    return None if recorded is None else np.array_equal(shown(recorded).ravel(), plane.ravel())
