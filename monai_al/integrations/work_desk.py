# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One person's work on a round: what is asked, what is drawn, and how it comes into the run. Knows no viewer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from monai_al.annotators.handed_out import ANNOTATION, HANDED_OUT, IMAGE, HandedOut, HandedVolume, plane_of
from monai_al.annotators.returned import read_returned
from monai_al.data.label_files import write_label_map
from monai_al.data.nifti import nifti_affines
from monai_al.data.slice_axis import slices_last
from monai_al.data.stored_formats import guarded
from monai_al.engines.label_import import import_labels
from monai_al.integrations.desk_volume import DeskVolume, read_desk_volume
from monai_al.integrations.drafts import DRAFTS, read_drafts, write_drafts
from monai_al.records import (
    TEST,
    DataError,
    Pool,
    RunFolder,
    RunFolderError,
    pool_from_json,
    round_numbers,
    round_title,
)
from monai_al.records.files import read_json
from monai_al.records.work_list import DONE, EMPTY, WAITING, WorkRow, read_work_list, work_path, write_state

__all__ = ["AskedSlice", "WorkDesk", "round_to_annotate"]


@dataclass
class AskedSlice:
    """A requested slice, and how far it is.

    Args:
        row: its row in the work list.
        taken: the run holds a label of it.
        drawing: it was drawn in, and has not been called done since.
        problem: why it cannot be taken as it was returned; empty where nothing speaks against it.

    Example:
        >>> AskedSlice(WorkRow(1, "a/0007", "a", "a/annotation.nii.gz"), taken=True).is_open
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


def round_to_annotate(run: Path, asked: int | None = None) -> int:
    """The round whose work is to be done: the last one in which a slice is waiting, else the last one.

    Args:
        run: the run folder.
        asked: the round that somebody asked for; -1 for the test set.

    Raises:
        DataError: it is no run, or the round was not handed out; the message says what to do.

    Example:
        >>> round_to_annotate(Path("no/such/run"))
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/such/run is no run folder: it holds no run.json; give the output_dir ...
    """
    if not (run / "run.json").is_file():
        raise DataError(f"{run} is no run folder: it holds no run.json; give the output_dir of a run")
    there = [n for n in (TEST, *round_numbers(run / "annotate")) if (work_path(run, n) / HANDED_OUT).is_file()]
    if not there:
        raise DataError(
            f"{run} has handed out nothing: no annotate/round_NN/{HANDED_OUT} is there; run it with the overlay "
            "annotators/folder first"
        )
    if asked is not None:
        if asked not in there:
            names = ", ".join("test" if n == TEST else str(n) for n in there)
            raise DataError(f"{run} has handed out no work of {round_title(asked)}; --round can be: {names}")
        return asked
    waiting = [n for n in there if any(row.id not in _settled(run, n) for row in read_work_list(work_path(run, n)))]
    return (waiting or there)[-1]


def _settled(run: Path, round: int) -> set[str]:
    """The ids that are labeled, or will not be asked for again."""
    labels = RunFolder(run).labels(round)
    return {*labels, *labels.refused}


class WorkDesk:
    """The requested slices of a round, their volumes, and the way of a drawn slice into the run.

    What is drawn is kept as a draft (:meth:`keep`) until the slice is called done or empty (:meth:`finish`). Then it
    goes into the annotation file and its state into the work list, and both come into the run through the same import
    as the work of any other program. All files are written in a thread of their own, one after another.

    Args:
        run: the run folder.
        round: the round; -1 for the test set.
        annotator: under whose name labels are recorded.

    Attributes:
        slices: the requested slices, in the order of the work list.
        classes: names of the classes, background first.

    Raises:
        DataError: the work list or the record of what was handed out cannot be read.

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
        self.slices = [AskedSlice(row) for row in rows if row.id in self._volumes]
        if not self.slices:
            raise DataError(f"{self.place} holds no work: no slice of it is listed and handed out")
        self._pool: Pool = pool_from_json(read_json(run / "pool.json"))
        self.classes = list(self._pool.classes)
        self._planes: dict[str, np.ndarray] = {}  # id -> what the annotation file holds, of the volumes that were read
        self._kept: dict[str, dict[str, np.ndarray]] = {}  # folder -> id -> draft, as it was written last
        self._tasks: list[_Task] = []
        self._n_unfinished = 0  # slices that were called done, and are not in their file yet
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="work-desk")
        self._look_at_labels()
        self._find_drafts()

    def volume_of(self, id: str) -> HandedVolume:
        """The record of the volume that holds a requested slice."""
        return self._volumes[id]

    def slice_of(self, id: str) -> int | None:
        """The number of a requested slice along the stored slice axis; None for a whole volume."""
        return self._volumes[id].items[id]

    def of_volume(self, handed: HandedVolume) -> list[AskedSlice]:
        """The requested slices of a volume."""
        return [one for one in self.slices if self._volumes[one.row.id] is handed]

    def open(self, handed: HandedVolume) -> DeskVolume:
        """Read a volume; its drafts are drawn in its label map.

        Raises:
            DataError: see :func:`monai_al.integrations.desk_volume.read_desk_volume`.
        """
        asked = self.of_volume(handed)
        volume = read_desk_volume(self.place, handed, self.classes, self._axis(asked[0].row.id))
        planes = {one.row.id: volume.plane(self.slice_of(one.row.id)) for one in asked}
        self._planes |= {id: plane.copy() for id, plane in planes.items()}
        drafts = read_drafts(self.place / handed.folder, planes)
        for one in asked:
            one.drawing = one.row.id in drafts
            if one.drawing:
                planes[one.row.id][...] = drafts[one.row.id]
        self._kept[handed.folder] = drafts
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
            one.drawing = not np.array_equal(plane, self._planes[id])
            if one.drawing:
                drafts[id] = plane.copy()
        before = self._kept.get(folder, {})
        if drafts.keys() != before.keys() or any(not np.array_equal(drafts[id], before[id]) for id in drafts):
            self._kept[folder] = drafts
            self._write(_Task(None, lambda: self._write_drafts(folder, drafts)))

    def finish(self, volume: DeskVolume, id: str) -> None:
        """Call a slice done, or empty where nothing is drawn in it, and import it; :meth:`news` tells what came of it.

        Args:
            volume: of :meth:`open`.
            id: the slice.
        """
        one = next(one for one in self.slices if one.row.id == id)
        before, plane = self._planes[id], volume.plane(self.slice_of(id)).copy()
        if plane.max() >= len(self.classes):
            one.drawing, one.problem = True, f"holds {plane.max()}, which is no class; erase it"
            return
        state = DONE if plane.any() else EMPTY
        one.row, one.drawing, one.problem = replace(one.row, state=state), False, ""
        self._planes[id] = plane
        folder = volume.handed.folder
        drafts = {other: kept for other, kept in self._kept.get(folder, {}).items() if other != id}
        self._kept[folder] = drafts

        def write() -> _Import | None:
            self._n_unfinished -= 1
            self._write_plane(volume, id, plane)
            write_state(self.place, id, state)
            self._write_drafts(folder, drafts)
            return None if self._n_unfinished else _imported(self.run, self.round, self.annotator)  # the last for all

        self._n_unfinished += 1
        self._write(_Task(one, write, before))

    def news(self) -> list[str]:
        """Bring the slices up to date with what was written since; returns what is to be told.

        A slice that could not be written is as before: drawn, and not done.
        """
        told: list[str] = []
        while self._tasks and self._tasks[0].is_done:
            task = self._tasks.pop(0)
            try:
                done = task.result()
            except Exception as error:  # whatever the disk, or a file that somebody changed meanwhile, raises
                told.append(f"not saved: {error}")
                if task.asked is not None:
                    self._planes[task.asked.row.id] = task.before
                    task.asked.row, task.asked.drawing = replace(task.asked.row, state=WAITING), True
                    task.asked.problem = f"not saved: {error}"
                continue
            if done is not None:
                told += done.notes
                self._look_at_labels()
                for one in self.slices:
                    one.problem = done.problems.get(one.row.id, "") if one.row.state != WAITING else one.problem
        return told

    @property
    def is_writing(self) -> bool:
        """Whether something is not on the disk, or not imported yet."""
        return bool(self._tasks)

    def close(self) -> list[str]:
        """Wait for what is being written; returns what is to be told."""
        self._writer.shutdown(wait=True)
        return self.news()

    # ------------------------------------------------------------------------------------------------------------------

    def _write(self, task: _Task) -> None:
        task.start(self._writer)
        self._tasks.append(task)

    def _write_drafts(self, folder: str, drafts: dict[str, np.ndarray]) -> None:
        write_drafts(self.place / folder, drafts, {id: self._planes[id] for id in drafts})

    def _write_plane(self, volume: DeskVolume, id: str, plane: np.ndarray) -> None:
        """Put one slice into the annotation file, as it is now."""
        folder, axis = self.place / volume.handed.folder, volume.slice_axis
        path, image = folder / ANNOTATION, folder / IMAGE
        returned = read_returned(path, image, self.classes, slice_axis=axis)
        for z, why in returned.wrong.items():
            if z != self.slice_of(id):
                raise DataError(f"{path}: slice {z} {why}; correct it with the program that saved it")
        stored = returned.classes
        plane_of(stored, self.slice_of(id), axis)[...] = plane
        classes, affine = slices_last(stored, guarded(image, nifti_affines)[0], axis)
        write_label_map(path, classes, like=image, affine=affine, slice_axis=axis)

    # ------------------------------------------------------------------------------------------------------------------

    def _axis(self, id: str) -> int:
        return self._pool[self._pool.index(id)].slice_axis

    def _look_at_labels(self) -> None:
        settled = _settled(self.run, self.round)
        for one in self.slices:
            one.taken = one.row.id in settled

    def _find_drafts(self) -> None:
        volumes = {volume.folder: volume for volume in self._volumes.values()}
        for volume in volumes.values():
            if (self.place / volume.folder / DRAFTS).is_file():
                self.open(volume)


@dataclass
class _Import:
    """What an import said of the round."""

    notes: list[str]
    problems: dict[str, str]


@dataclass
class _Task:
    """Something that the writer does, for a slice or for the drafts of a volume."""

    asked: AskedSlice | None
    write: Callable[[], _Import | None]
    before: np.ndarray = field(default_factory=lambda: np.empty(0))
    _future: Future[_Import | None] | None = None

    def start(self, writer: ThreadPoolExecutor) -> None:
        self._future = writer.submit(self.write)

    @property
    def is_done(self) -> bool:
        return self._future is not None and self._future.done()

    def result(self) -> _Import | None:
        return None if self._future is None else self._future.result()


def _imported(run: Path, round: int, annotator: str) -> _Import:
    try:
        done = [one for one in import_labels(run, annotator) if one.number == round]
    except (DataError, RunFolderError) as error:
        return _Import([f"saved, but not in the run yet: {error}"], {})
    return _Import(
        [note for one in done for note in one.notes], {k: v for one in done for k, v in one.problems.items()}
    )
