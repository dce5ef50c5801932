# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the values of annotation files mean: masks in class numbers, or strokes that leave most pixels open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_al.annotators.label_names import class_number, editor_names, unlike
from monai_al.records import NOT_ANNOTATED, DataError
from monai_al.report.outlines import class_rgb

__all__ = ["BACKGROUND_STROKE", "FileValues"]

BACKGROUND_STROKE = "background stroke"
_OPEN = "not annotated"
_BLUE = (60, 130, 255)  # which no class has


@dataclass(frozen=True)
class FileValues:
    """The values of the annotation files of a round.

    In files of masks a value is a class number, 0 the background. In files of strokes 0 is what nobody annotated, the
    classes keep their numbers, and the value above the last class is the background. 255 is not annotated in both.

    Args:
        classes: names of the classes, background first.
        scribbles: people draw strokes.

    Raises:
        DataError: there are so many classes that no value is left for the background.

    Example:
        >>> values = FileValues(["background", "organ"], scribbles=True)
        >>> values.names, values.to_classes(np.array([0, 1, 2, 255])).tolist()
        (['not annotated', 'organ', 'background stroke'], [255, 1, 0, 255])
    """

    classes: Sequence[str]
    scribbles: bool = False

    def __post_init__(self) -> None:
        if self.scribbles and len(self.classes) >= NOT_ANNOTATED:
            raise DataError(
                f"{len(self.classes)} classes leave no value for strokes of the background, which stand above the last "
                "class: let people draw masks, by annotators/folder without scribbles"
            )

    @property
    def names(self) -> list[str]:
        """What each value is called, by its number."""
        if not self.scribbles:
            return list(self.classes)
        named = list(self.classes[1:])
        return [unlike(_OPEN, named), *named, unlike(BACKGROUND_STROKE, named)]

    @property
    def shown_names(self) -> list[str]:
        """The same as editors show them."""
        return editor_names(self.names)

    @property
    def colors(self) -> list[tuple[int, int, int]]:
        """Red, green and blue of each value, 0 to 255; black for 0."""
        found = [class_rgb(number) for number in range(len(self.classes))]
        return [*found, _BLUE] if self.scribbles else found

    @property
    def begun_with(self) -> int:
        """The class number, or 255, that a file says where nothing is drawn."""
        return NOT_ANNOTATED if self.scribbles else 0

    @property
    def task(self) -> str:
        """What people are asked to draw, in a sentence without its full stop; nothing for masks."""
        if not self.scribbles:
            return ""
        names = self.shown_names
        classes = ", ".join(f"{number} {name}" for number, name in enumerate(names[1:-1], start=1))
        return (
            f"draw strokes, no masks: one through each connected region of each class ({classes}), and one through the "
            f"background ({len(names) - 1} {names[-1]}); no need to fill, and 0 is not annotated"
        )

    def value_of(self, name: str) -> int | None:
        """The value that a name means, None for an unknown one; among strokes the background's own name is its stroke.

        Example:
            >>> values = FileValues(["background", "organ"], scribbles=True)
            >>> [values.value_of(name) for name in ("Background", "background_stroke", "Organ", "bone")]
            [2, 2, 1, None]
        """
        number = class_number(name, self.names)
        if number is None and self.scribbles and class_number(name, self.classes) == 0:
            return len(self.classes)
        return number

    def to_classes(self, values: np.ndarray) -> np.ndarray:
        """Class numbers, 255 where nothing is annotated, of the values of a file."""
        if not self.scribbles:
            return values
        return np.where(values == 0, NOT_ANNOTATED, np.where(values == len(self.classes), 0, values))

    def to_values(self, classes: np.ndarray) -> np.ndarray:
        """The values of a file for class numbers, 255 where nothing is annotated.

        Example:
            >>> FileValues(["background", "organ"], scribbles=True).to_values(np.array([255, 1, 0])).tolist()
            [0, 1, 2]
        """
        if not self.scribbles:
            return classes
        return np.where(classes == NOT_ANNOTATED, 0, np.where(classes == 0, len(self.classes), classes))
