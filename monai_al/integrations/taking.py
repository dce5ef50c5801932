# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Received labels taken into the run, each by the import that every other returned file goes through."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.annotators.folder import user_name
from monai_al.annotators.handed_out import IMAGE, HandedOut, plane_of
from monai_al.annotators.returned import read_returned
from monai_al.data.label_names import is_segmentation
from monai_al.engines.label_import import import_labels
from monai_al.integrations.asked_volumes import AskedVolume, asked_volumes
from monai_al.integrations.received import ALL, Received, received
from monai_al.records import NOT_ANNOTATED, DataError, RunFolderError, pool_from_json, round_name
from monai_al.records.files import copy_stored
from monai_al.records.pool_file import read_pool
from monai_al.records.work_list import DONE, EMPTY, WAITING, WorkRow, work_path, write_work_list

__all__ = ["Taken", "take"]


@dataclass
class Taken:
    """What became of received labels.

    Args:
        taken: ids that got a label.
        problems: id, or where none is concerned the name of the file -> why it cannot be taken.
        notes: what else is to be told.
        postponed: why nothing can be taken now; the labels are kept, and taken later.

    Example:
        >>> Taken().postponed
        ''
    """

    taken: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    postponed: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same as clients get it; what says nothing is left out."""
        return {name: value for name, value in vars(self).items() if value}


def take(run: Path) -> Taken:
    """Take what was received and is not in the run yet, in the order in which it came.

    A label is tried again where a slice of it still waits and somebody has said more of it since: in the work list, or
    from a client. A process that is killed leaves each label either taken or to be taken.

    Args:
        run: the run folder.

    Example:
        >>> take(Path("no/such/run"))
        Taken(taken=[], problems={}, notes=[], postponed='')
    """
    done = Taken()
    try:
        for one in received(run):
            asked = [volume for volume in asked_volumes(run) if volume.volume == one.volume]
            asked = [volume for volume in asked if volume.round in one.rounds]
            said = _said(one, asked)
            if not _is_due(run, one, asked, said):
                continue
            outcome = _take_one(run, one, asked)
            one.with_outcome({**outcome.to_json(), "said": said})
            done.taken += outcome.taken
            done.problems |= outcome.problems
            done.notes += outcome.notes
    except (DataError, RunFolderError) as error:
        done.postponed = f"labels are kept, and taken at a later request: {error}"
    return done


def _said(one: Received, asked: Sequence[AskedVolume]) -> dict[str, Any]:
    """All that people said of the slices beside the file: a label is tried again where it differs."""
    states = {part.id: part.state for volume in asked for part in volume.slices if part.state != WAITING}
    return {"empty": one.empty if isinstance(one.empty, str) else list(one.empty), "states": states}


def _is_due(run: Path, one: Received, asked: Sequence[AskedVolume], said: Mapping[str, Any]) -> bool:
    if one.outcome is None:
        return True
    if one.outcome.get("said") == said or not any(volume.waiting for volume in asked):
        return False
    later = [other for other in received(run) if other.folder.name > one.folder.name]
    return not any(other.volume == one.volume and other.annotator == one.annotator for other in later)


def _take_one(run: Path, one: Received, asked: Sequence[AskedVolume]) -> Taken:
    if one.doubt and not is_segmentation(one.path):
        return Taken(problems={one.image: one.doubt})
    with tempfile.TemporaryDirectory() as name:
        folder, without = Path(name), set()
        for volume in asked:
            without |= _stage(run, one, volume, folder / round_name(volume.round))
        if not asked:
            return Taken(notes=[f"{one.image}: nothing was asked of it when its label was saved"])
        rounds = import_labels(run, one.annotator or user_name(), folder=folder)
    own = {part.id for volume in asked for part in volume.slices}
    problems = {id: why for each in rounds for id, why in each.problems.items() if id in own}
    last = max(volume.round for volume in asked)  # to earlier ones, what later ones ask for is asked by nobody
    notes = [note for each in rounds if each.number == last for note in each.notes]
    if n_waiting := len(without & problems.keys()):
        notes.append(
            f"{n_waiting} slices without a label wait: where there is truly nothing, say so by the option empty_slices "
            "and ask for the next image, or send the label with 'empty'"
        )
    return Taken([id for each in rounds for id in each.taken], problems, notes)


def _stage(run: Path, one: Received, volume: AskedVolume, place: Path) -> set[str]:
    """Lay a label and what is said of its slices into a folder as the import wants it, for one round.

    Returns:
        Ids of the slices that hold no label.
    """
    folder = place / volume.folder
    path = folder / f"{volume.folder}{one.file.removeprefix('label')}"
    copy_stored(one.path, path)
    if one.segments is not None:
        table = [("LabelValue", "Name"), *enumerate(one.segments, start=1)]
        with open(folder / f"{volume.folder}.labels.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    without = _without_label(run, path, volume)
    states = _states(one, volume, without)
    write_work_list(place, [WorkRow(n, id, volume.volume, "", state=state) for n, (id, state) in enumerate(states, 1)])
    return without


def _states(one: Received, volume: AskedVolume, without: Collection[str]) -> list[tuple[str, str]]:
    """Id -> state. Who sends a label has looked at what it holds; of slices without a label somebody has to say so.

    What the work list of the round says counts before that.
    """
    states = []
    for part in volume.slices:
        is_called_empty = one.calls_empty(part.slice, waiting=part.waiting)
        if part.id in without:
            state = EMPTY if is_called_empty else WAITING
        else:
            state = EMPTY if is_called_empty and one.empty != ALL else DONE
        if part.state == WAITING and state != WAITING:
            states.append((part.id, state))
    return states


def _without_label(run: Path, path: Path, volume: AskedVolume) -> set[str]:
    """Ids of the slices that hold no label in a file; none where it cannot be read, as the import says."""
    place = work_path(run, volume.round)
    pool = pool_from_json(read_pool(run))
    axis = pool[pool.index(volume.slices[0].id)].slice_axis
    try:
        image = place / volume.folder / IMAGE
        classes = read_returned(path, image, HandedOut.read(place).classes, slice_axis=axis).classes
    except DataError:
        return set()
    planes = {part.id: plane_of(classes, part.slice, axis) for part in volume.slices}
    return {id for id, plane in planes.items() if np.isin(plane, (0, NOT_ANNOTATED)).all()}
