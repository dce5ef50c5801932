# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One person's work on a round: what is asked, what is drawn, and how it comes into the run. Knows no viewer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from monai_al.annotators.file_values import FileValues
from monai_al.annotators.handed_out import ANNOTATION, IMAGE, HandedOut, HandedVolume, plane_of
from monai_al.data.label_files import write_label_map
from monai_al.data.nifti import nifti_affines
from monai_al.data.slice_axis import slices_last
from monai_al.data.stored_formats import guarded
from monai_al.engines.label_import import import_labels
from monai_al.integrations.desk_volume import DeskVolume, read_desk_volume, read_in
from monai_al.integrations.drafts import DRAFTS, read_drafts, write_drafts
from monai_al.integrations.work_rounds import settled_ids
from monai_al.records import (
    NOT_ANNOTATED,
    DataError,
    Pool,
    pool_from_json,
)
from monai_al.records.pool_file import read_pool
from monai_al.records.work_list import DONE, EMPTY, WAITING, WorkRow, read_work_list, work_path, write_state

__all__ = ["LOCK", "DeskSlice", "WorkDesk", "slice_name"]

LOCK = ".desk.lock"  # in the folder of the round


@dataclass
class DeskSlice:
    """A requested slice, and how far it is.

    Args:
        row: its row in the work list.
        taken: the run holds a label of it.
        drawing: it was drawn in, and has not been called done since.
        problem: why it cannot be taken as it was returned; empty where nothing speaks against it.

    Example:
        >>> DeskSlice(WorkRow(1, "a/0007", "a", "a/annotation.nii.gz"), taken=True).is_open
        False
    """

    row: WorkRow
    taken: bool = False
    drawing: bool = False
    problem: str = ""

    @property
    def is_open(self) -> bool:
        """Whether somebody has to look at it."""
        return self.drawing or not self.taken


def slice_name(row: WorkRow) -> str:
    """A requested slice in words; a picture is called by its name alone.

    Example:
        >>> slice_name(WorkRow(3, "a/0007", "a", "a/annotation.nii.gz", "axial", slice=7))
        'a, slice 7'
    """
    if row.slice is None:
        return f"{row.volume}, the whole volume"
    return row.volume if row.id == row.volume else f"{row.volume}, slice {row.slice}"


class WorkDesk:
    """The requested slices of a round, their volumes, and the way of a drawn slice into the run.

    What is drawn is kept as a draft (:meth:`keep`) until the slice is called done or empty (:meth:`finish`). Then it
    goes into the annotation file and its state into the work list, and both come into the run through the same import
    as the work of any other program. All files are written in a thread of their own, one after another; what could not
    be written stays in memory, and is tried again by the next :meth:`keep`.

    Args:
        run: the run folder.
        round: the round; -1 for the test set.
        annotator: under whose name labels are recorded.

    Attributes:
        slices: the requested slices, in the order of the work list.
        values: what the values of the annotation files mean.
        classes: names of the values that can be drawn, by their numbers: the classes, and of strokes the background's.

    Raises:
        DataError: the work list or the record of what was handed out cannot be read, or another desk has the round.

    Example:
        >>> WorkDesk(Path("no/such/run"), 0, "Ada")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/such/run/annotate/round_00 holds no work: no slice of it is listed ...
    """

    def __init__(self, run: Path, round: int, annotator: str) -> None:
        self.run, self.round, self.annotator = run, round, annotator
        self.place = work_path(run, round)
        rows = [row for row in read_work_list(self.place) if row.id]
        handed = HandedOut.read(self.place)
        self._volumes = {id: volume for volume in handed.volumes for id in volume.items}
        self.slices = [DeskSlice(row) for row in rows if row.id in self._volumes]
        if not self.slices:
            raise DataError(f"{self.place} holds no work: no slice of it is listed and handed out")
        self._pool: Pool = pool_from_json(read_pool(run))
        self.values = FileValues(list(self._pool.classes), handed.scribbles)
        self.classes = self.values.names
        self._lock = _locked(self.place)
        self._planes: dict[str, np.ndarray] = {}  # id -> what the annotation file holds, of the volumes that were read
        self._coming: dict[str, np.ndarray] = {}  # id -> what it will hold, of slices that are being written
        self._drafts: dict[str, dict[str, np.ndarray]] = {}  # folder -> id -> draft, as it was given out for writing
        self._unwritten: set[str] = set()  # folders whose drafts are not on the disk
        self._tasks: list[_Task] = []
        self._told: list[str] = []
        self._last_import = 0
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="work-desk")
        self._look_at_labels()
        self._find_drafts()

    def volume_of(self, id: str) -> HandedVolume:
        """The record of the volume that holds a requested slice."""
        return self._volumes[id]

    def slice_of(self, id: str) -> int | None:
        """The number of a requested slice along the stored slice axis; None for a whole volume."""
        return self._volumes[id].items[id]

    def of_volume(self, handed: HandedVolume) -> list[DeskSlice]:
        """The requested slices of a volume."""
        return [one for one in self.slices if self._volumes[one.row.id] is handed]

    def open(self, handed: HandedVolume) -> DeskVolume:
        """Read a volume, once what is being written of it is there; its drafts are drawn in its label map.

        Raises:
            DataError: see :func:`monai_al.integrations.desk_volume.read_desk_volume`.
        """
        folder = handed.folder
        wait([task.future for task in self._tasks if task.folder == folder])
        self._take_in()
        asked = self.of_volume(handed)
        volume = read_desk_volume(self.place, handed, self.values, self._axis(asked[0].row.id))
        planes = {one.row.id: volume.plane(self.slice_of(one.row.id)) for one in asked}
        self._planes |= {id: plane.copy() for id, plane in planes.items()}
        if folder in self._unwritten:
            drafts = self._drafts[folder]
        else:
            drafts = self._drafts[folder] = read_drafts(self.place / folder, planes)
        for one in asked:
            one.drawing = one.row.id in drafts
            if one.drawing:
                planes[one.row.id][...] = drafts[one.row.id]
        return volume

    def keep(self, volume: DeskVolume) -> None:
        """Keep what is drawn and not called done yet; nothing is written where nothing has changed.

        Args:
            volume: of :meth:`open`.
        """
        folder, drafts = volume.handed.folder, {}
        for one in self.of_volume(volume.handed):
            id = one.row.id
            plane = volume.plane(self.slice_of(id))
            one.drawing = not np.array_equal(plane, self._known(id))
            if one.drawing:
                drafts[id] = plane.copy()
        before = self._drafts.get(folder, {})
        if drafts.keys() != before.keys() or any(not np.array_equal(drafts[id], before[id]) for id in drafts):
            self._drafts[folder] = drafts
            self._write_drafts(folder)
        for left in sorted(self._unwritten - {task.folder for task in self._tasks}):
            self._write_drafts(left)

    def finish(self, volume: DeskVolume, id: str) -> None:
        """Call a slice done, or empty where nothing is drawn in it, and import it; :meth:`news` tells what came of it.

        Args:
            volume: of :meth:`open`.
            id: the slice.
        """
        one = next(one for one in self.slices if one.row.id == id)
        plane = volume.plane(self.slice_of(id)).copy()
        if plane.max() >= len(self.classes):
            one.drawing, one.problem = True, f"holds {plane.max()}, which is no class; erase it"
            return
        state = DONE if plane.any() else EMPTY
        before, known = one.row, (self._planes[id], self._known(id), plane)
        one.row, one.drawing, one.problem = replace(before, state=state), False, ""
        folder = volume.handed.folder
        self._coming[id] = plane
        self._drafts[folder] = {other: kept for other, kept in self._drafts.get(folder, {}).items() if other != id}

        def write() -> None:
            self._write_plane(volume, id, plane, known)
            write_state(self.place, id, state)

        self._write_drafts(folder, write, _Finished(one, before, plane))
        self._last_import = number = self._last_import + 1
        last = self._writer.submit(lambda: self._import() if number == self._last_import else None)  # the last for all
        self._tasks.append(_Task(last))

    def news(self) -> list[str]:
        """Bring the slices up to date with what was written since; returns what is to be told.

        A slice that could not be written is as before: drawn, and not done.
        """
        self._take_in()
        told, self._told = self._told, []
        return list(dict.fromkeys(told))

    @property
    def is_writing(self) -> bool:
        """Whether something is not on the disk, or not imported yet."""
        return bool(self._tasks)

    def close(self) -> list[str]:
        """Wait for what is being written; returns what is to be told."""
        wait([task.future for task in self._tasks])
        self._take_in()
        for folder in sorted(self._unwritten):  # once more
            self._write_drafts(folder)
        self._writer.shutdown(wait=True)
        self._lock.release()
        return self.news()

    # ------------------------------------------------------------------------------------------------------------------

    def _known(self, id: str) -> np.ndarray:
        """What the annotation file holds once all is written."""
        return self._coming.get(id, self._planes[id])

    def _write_drafts(
        self, folder: str, first: Callable[[], None] = lambda: None, finished: _Finished | None = None
    ) -> None:
        """Write the drafts of a volume as they are now, after something else has been written."""
        drafts = self._drafts[folder]
        bases = {id: self._known(id) for id in drafts}

        def write() -> None:
            first()
            write_drafts(self.place / folder, drafts, bases)

        self._unwritten.add(folder)
        self._tasks.append(_Task(self._writer.submit(write), folder, drafts, finished))

    def _take_in(self) -> None:
        """What came of the tasks that have ended."""
        while self._tasks and self._tasks[0].future.done():
            task = self._tasks.pop(0)
            try:
                imported = task.future.result()
            except Exception as error:  # whatever the disk, or a file that somebody changed meanwhile, raises
                self._told.append(f"not saved: {error}")
                self._not_written(task, error)
                continue
            if task.finished is not None:
                self._planes[task.finished.asked.row.id] = task.finished.plane
                self._has_come(task.finished)
            if task.drafts is self._drafts.get(task.folder):
                self._unwritten.discard(task.folder)
            if imported is not None:
                self._told += imported.notes
                self._look_at_labels()
                for one in self.slices:
                    if one.row.state != WAITING and not one.drawing:
                        one.problem = imported.problems.get(one.row.id, "")

    def _not_written(self, task: _Task, error: Exception) -> None:
        if task.finished is None:
            return
        asked, plane = task.finished.asked, task.finished.plane
        if isinstance(error, _ChangedElsewhereError):
            self._planes[asked.row.id] = error.plane
        if self._has_come(task.finished):
            asked.row, asked.drawing, asked.problem = task.finished.before, True, f"not saved: {error}"
            self._drafts[task.folder] = {asked.row.id: plane} | self._drafts[task.folder]
            self._unwritten.add(task.folder)

    def _has_come(self, finished: _Finished) -> bool:
        """Expect the plane of a slice no longer; whether it was expected: not where another one came after it."""
        id = finished.asked.row.id
        return self._coming.get(id) is finished.plane and self._coming.pop(id) is not None

    def _write_plane(self, volume: DeskVolume, id: str, plane: np.ndarray, known: Sequence[np.ndarray]) -> None:
        """Put one slice into the annotation file, as it is now."""
        folder, axis, number = self.place / volume.handed.folder, volume.slice_axis, self.slice_of(id)
        path, image = folder / ANNOTATION, folder / IMAGE
        returned = read_in(folder, self.values, axis)
        for z, why in returned.wrong.items():
            if number not in (None, z):
                raise DataError(f"{path}: slice {z} {why}; correct it with the program that saved it")
        stored = self.values.to_values(returned.classes)
        there = plane_of(stored, number, axis)
        shown = np.where(there == NOT_ANNOTATED, 0, there)
        if not any(np.array_equal(shown, one) for one in known):
            raise _ChangedElsewhereError(
                f"{path}: {id} was changed by another program since it was opened here; to replace that, call the "
                "slice done once more", shown,
            )  # fmt: skip
        there[...] = plane
        classes, affine = slices_last(stored, guarded(image, nifti_affines)[0], axis)
        write_label_map(path, classes, like=image, affine=affine, slice_axis=axis)

    def _import(self) -> _Import:
        try:
            done = [one for one in import_labels(self.run, self.annotator) if one.number == self.round]
        except Exception as error:  # the files are written; the run, or import-labels, takes them later
            return _Import([f"saved, but not in the run yet: {error}"], {})
        return _Import(
            [note for one in done for note in one.notes], {k: v for one in done for k, v in one.problems.items()}
        )

    # ------------------------------------------------------------------------------------------------------------------

    def _axis(self, id: str) -> int:
        return self._pool[self._pool.index(id)].slice_axis

    def _look_at_labels(self) -> None:
        settled = settled_ids(self.run, self.round)
        for one in self.slices:
            one.taken = one.row.id in settled

    def _find_drafts(self) -> None:
        volumes = {volume.folder: volume for volume in self._volumes.values()}
        for volume in volumes.values():
            if (self.place / volume.folder / DRAFTS).is_file():
                with contextlib.suppress(DataError):  # told when it is opened to be shown
                    self.open(volume)


def _locked(place: Path) -> filelock.FileLock:
    """One window for a round, because two would put their slices and drafts in place of each other's."""
    lock = filelock.FileLock(place / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise DataError(f"{place} is open in another window of annotate: go on there, or close it") from None
    return lock


class _ChangedElsewhereError(DataError):
    """The annotation file holds something else than what was read; ``plane`` is what it holds."""

    def __init__(self, message: str, plane: np.ndarray) -> None:
        super().__init__(message)
        self.plane = plane


@dataclass(frozen=True)
class _Import:
    """What an import said of the round."""

    notes: list[str]
    problems: dict[str, str]


@dataclass(frozen=True, eq=False)
class _Finished:
    """A slice that was called done, its row before that, and what is drawn."""

    asked: DeskSlice
    before: WorkRow
    plane: np.ndarray


@dataclass(frozen=True, eq=False)
class _Task:
    """Something that the writer does: it writes what is drawn in a volume, or imports."""

    future: Future[Any]
    folder: str = ""
    drafts: dict[str, np.ndarray] | None = None
    finished: _Finished | None = None
