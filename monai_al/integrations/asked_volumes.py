# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The volumes of which a run asks slices, in the order of its queries, and what of them is waiting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_al.annotators.handed_out import HANDED_OUT, HandedOut
from monai_al.annotators.image_places import read_image_places
from monai_al.integrations.work_rounds import settled_ids
from monai_al.records import TEST, Query, RunFolder, round_numbers
from monai_al.records.stored_files import stored_channels
from monai_al.records.work_list import WAITING, WorkRow, read_work_list, work_path

__all__ = ["AskedSlice", "AskedVolume", "asked_volumes"]

_PLACE = ("plane", "itksnap", "slicer_mm", "view")


@dataclass(frozen=True)
class AskedSlice:
    """One slice that a run asks for, in words for people.

    Args:
        id: the item's id.
        slice: its number in the array, counted from 0; None for a whole volume.
        waiting: it has no label yet.
        place: ``plane``, ``itksnap``, ``slicer_mm`` and ``view``, as :class:`monai_al.annotators.places.Place` tells.
        reason: why it was chosen.
        score: the score that led to it.
        state: what the work list says of it.
        note: what the last import said of it.

    Example:
        >>> AskedSlice("a/0007", 7, True, {"itksnap": 8}).to_json()["itksnap"]
        8
    """

    id: str
    slice: int | None
    waiting: bool
    place: Mapping[str, Any]
    reason: str | None = None
    score: float | None = None
    state: str = WAITING
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The slice as clients get it."""
        place = {name: self.place.get(name) for name in _PLACE}
        told = {"reason": self.reason, "score": self.score, "state": self.state, "note": self.note}
        return {"id": self.id, "slice": self.slice, **place, **told}


@dataclass(frozen=True)
class AskedVolume:
    """A volume of which one round asks slices.

    Args:
        round: the round, or :data:`monai_al.records.TEST`.
        volume: the volume's name.
        folder: the name of its folder in that of the round.
        images: absolute paths of its image, one for each file.
        slices: those that the round asks for, in the order of the query.

    Example:
        >>> AskedVolume(0, "a", "a", (), (AskedSlice("a/0007", 7, False, {}),)).waiting
        ()
    """

    round: int
    volume: str
    folder: str
    images: tuple[str, ...]
    slices: tuple[AskedSlice, ...]

    @property
    def waiting(self) -> tuple[AskedSlice, ...]:
        """The slices that have no label yet."""
        return tuple(one for one in self.slices if one.waiting)


def asked_volumes(run: Path) -> list[AskedVolume]:
    """All volumes that were handed out, round by round and the test set last.

    In a round they and their slices stand in the order of the query. A volume stands there once for each round that
    asks for slices of it.

    Args:
        run: the run folder.

    Raises:
        DataError: a work list, or the record of what was handed out, cannot be read.

    Example:
        >>> asked_volumes(Path("no/such/run"))
        []
    """
    record = RunFolder(run)
    numbers = [*round_numbers(run / "annotate"), TEST]
    return [one for number in numbers for one in _of_round(record, number, work_path(run, number))]


def _of_round(record: RunFolder, round: int, place: Path) -> list[AskedVolume]:
    if not (place / HANDED_OUT).is_file():
        return []
    answered = settled_ids(record.path, round)
    query = record.query(round) or Query(round, "", 0, ())
    asked = {one.id: one for one in query.items}
    rows = {row.id: row for row in read_work_list(place)}
    images = read_image_places(place)
    found = []
    for one in HandedOut.read(place).volumes:
        slices = []
        for id, number in one.items.items():
            row, item = rows.get(id, WorkRow(0, id, one.volume, "")), asked.get(id)
            known = {} if item is None or item.place is None else dict(item.place)
            place_of_it = {name: getattr(row, name, None) for name in _PLACE} | known
            reason, score = (row.reason, row.score) if item is None else (item.reason, item.score)
            slices.append(
                AskedSlice(id, number, id not in answered, place_of_it, reason or None, score, row.state, row.note)
            )
        stored = images.get(one.volume)
        paths = () if stored is None else tuple(part.path for part in stored_channels(stored))
        found.append(AskedVolume(round, one.volume, one.folder, paths, tuple(slices)))
    return found
