# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An oracle that answers with the scribbles of a data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from monai_al.annotators.weak_oracle import WeakOracle
from monai_al.data import read_volume
from monai_al.data.composed_images import stored_format
from monai_al.data.reading import name_without_suffix, whole_numbers
from monai_al.data.stored_formats import guarded
from monai_al.datasets.files import existing_folder, listed_error, readable_files
from monai_al.records import NOT_ANNOTATED, DataError, Item
from monai_al.records.label_values import whole_label_values
from monai_al.records.stored_files import stored_channels
from monai_al.sources import Source

__all__ = ["ScribbleOracle"]


class ScribbleOracle(WeakOracle):
    """Answers with the scribbles that a data set has beside its masks, or in their place.

    The file of a volume bears its name, or that of its image, and a suffix: ``patient001_frame01_scribble.nii.gz``. A
    volume without such a file whose own label leaves pixels out, as in MS-CMR, is answered with that label.

    Args:
        folder: where the files lie, on any level. Default: beside the images.
        suffix: what follows the name.
        values: stored value -> class number, or 255 for "not annotated". Default: the values of the data set's masks,
            of which 0 is background that somebody drew; the one above them, and 255 where it is no class, are not
            annotated. A file that annotates most pixels then is refused: its 0 is hardly background that was drawn.
        share: of the items that are answered with scribbles; the others get the data set's own label.
        seed: draws these.

    Raises:
        ValueError: an argument is out of its range, or no value means "not annotated".

    Example:
        >>> ScribbleOracle(values={0: 255, 1: 1, 9: 0}).values
        {0: 255, 1: 1, 9: 0}
    """

    def __init__(
        self,
        folder: str | os.PathLike | None = None,
        suffix: str = "_scribble",
        values: Mapping[int, int] | None = None,
        share: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(share, seed)
        if not isinstance(suffix, str) or not suffix:
            raise ValueError(f"suffix must be what follows a volume's name, such as '_scribble', got {suffix!r}")
        self.folder = None if folder is None else os.fspath(folder)
        self.suffix = suffix
        self.values = None if values is None else whole_label_values(values)
        if self.values is not None and NOT_ANNOTATED not in self.values.values():
            raise ValueError(
                f"scribble_values {self.values}: no value means {NOT_ANNOTATED}, not annotated, so that these would be "
                "masks; add the value of the pixels without a stroke"
            )

    def check(self, source: Source) -> None:
        """Every volume that may be annotated has scribbles.

        Raises:
            DataError: a foreign bundle reads the data; the folder is missing; volumes have no scribbles, several files
                of them, that of another volume, or one with other values; all are listed.
        """
        super().check(source)
        firsts = {item.volume: item for item in source.data.part("train")}
        known, problems = self._files(firsts.values()), []
        owners: dict[Path, str] = {}
        for item in firsts.values():
            try:
                path = self._file(item, known)
                if path is not None:
                    if (other := owners.setdefault(path, item.volume)) != item.volume:
                        raise DataError(f"{path}: is of {other} or of {item.volume}, whose images have one name")
                    self._check_values(path, source)
                elif not _leaves_pixels_out(item, source):
                    problems.append(f"{item.volume}: {self._place(item)} holds no {_names(item)[0]}{self.suffix}")
            except DataError as error:
                problems.append(str(error))
        if problems:
            raise listed_error(
                f"{len(problems)} of {len(firsts)} volumes have no scribbles that can be used; say where they lie by "
                "--scribble_folder, or take the overlay annotators/scribbles_from_masks, which draws them",
                problems,
            )

    def scribbles(self, items: Sequence[Item], source: Source) -> np.ndarray | None:
        """See :meth:`WeakOracle.scribbles`."""
        first = items[0]
        path = self._file(first, self._files([first]))
        if path is None:
            if not _leaves_pixels_out(first, source):
                raise DataError(f"{first.volume}: {self._place(first)} holds no {_names(first)[0]}{self.suffix}")
            return None
        stored = read_volume(
            first.image,
            path,
            label_values=self._check_values(path, source),
            affine_tolerated=source.data.affine_tolerated,
            slice_axis=first.slice_axis,
        ).label
        assert stored is not None
        drawn = np.full(stored.shape, NOT_ANNOTATED, np.uint8)
        for item in items:
            place = (Ellipsis,) if item.slice is None else (Ellipsis, item.slice)
            drawn[place] = stored[place]
        return drawn

    def _check_values(self, path: Path, source: Source) -> dict[int, int]:
        """What the values of a file of scribbles mean."""
        values = self.values or _usual(source.data.label_values)
        stored = whole_numbers(guarded(path, stored_format(path).label).values, path)
        found = {int(value): int(count) for value, count in zip(*np.unique(stored, return_counts=True), strict=True)}
        if unknown := sorted(set(found) - set(values)):
            raise DataError(
                f"{path}: unexpected label values {', '.join(map(str, unknown[:10]))} in scribbles; expected "
                f"{sorted(values)}; say what each means by --scribble_values, such as {{0: 0, 1: 1, 9: 255}}"
            )
        n_open = sum(count for value, count in found.items() if values[value] == NOT_ANNOTATED)
        if not n_open:
            raise DataError(
                f"{path}: annotates every pixel, so it is a mask, or its background and its pixels without annotation "
                "have one value; take the file of scribbles, or say by --scribble_values which value is not annotated"
            )
        if self.values is None and n_open < stored.size / 2:
            raise DataError(
                f"{path}: annotates most pixels, as no strokes do, if its 0 is background; where 0 means not "
                "annotated, say what each value means by --scribble_values, such as {0: 255, 1: 1, 2: 0}"
            )
        return values

    def _given(self) -> Path:
        assert self.folder is not None
        try:
            return existing_folder(self.folder)
        except DataError as error:
            raise DataError(
                f"--scribble_folder {self.folder}: is no folder; give the one that holds the scribbles"
            ) from error

    def _place(self, item: Item) -> str:
        return self.folder or str(_beside(item))

    def _files(self, items: Iterable[Item]) -> dict[str, list[Path]]:
        """Name without its end -> files of scribbles, of all that may hold some."""
        deep = self.folder is not None
        places = [self._given()] if deep else sorted({_beside(item) for item in items})
        found: dict[str, list[Path]] = {}
        for path in (path for place in places for path in readable_files(place, deep=deep)):
            name = name_without_suffix(path)
            if name.endswith(self.suffix):
                found.setdefault(name.removesuffix(self.suffix), []).append(path)
        return found

    def _file(self, item: Item, known: Mapping[str, Sequence[Path]]) -> Path | None:
        own = [
            path for name in _names(item) for path in known.get(name, ()) if self.folder or path.parent == _beside(item)
        ]
        if len(set(own)) > 1:  # in folders like those of the images
            own = [path for path in own if path.parent.name == _beside(item).name] or own
        if len(set(own)) > 1:
            raise DataError(f"{item.volume}: has several files of scribbles, {' and '.join(map(str, own))}; keep one")
        return own[0] if own else None


def _usual(label_values: Mapping[int, int]) -> dict[int, int]:
    """The data set's own codes; the one above them and 255 are not annotated, where they are no class."""
    above = 1 + max(value for value, number in label_values.items() if number != NOT_ANNOTATED)
    return {above: NOT_ANNOTATED, NOT_ANNOTATED: NOT_ANNOTATED} | dict(label_values)


def _names(item: Item) -> list[str]:
    """The names that a file of scribbles may begin with."""
    return list(dict.fromkeys([name_without_suffix(Path(_first_file(item))), item.volume.rpartition("/")[2]]))


def _beside(item: Item) -> Path:
    return Path(_first_file(item)).parent


def _first_file(item: Item) -> str:
    return stored_channels(item.image)[0].path


def _leaves_pixels_out(item: Item, source: Source) -> bool:
    """Whether the data set's own label of an item's volume is weak."""
    if item.label is None:
        return False
    assert source.cache is not None
    truth = source.cache.get(item).truth
    return truth is not None and bool(np.count_nonzero(truth == NOT_ANNOTATED) > truth.size / 2)
