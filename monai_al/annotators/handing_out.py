# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The work of a round as files that any editor opens."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_al.annotators.editor_images import header_conflict
from monai_al.annotators.handed_out import ANNOTATION, IMAGE, HandedOut, HandedVolume
from monai_al.annotators.itksnap import label_descriptions
from monai_al.annotators.places import place_of
from monai_al.annotators.slicer import color_table
from monai_al.annotators.volume_work import WORKSPACE, VolumeWork
from monai_al.annotators.work import Work
from monai_al.annotators.work_page import picture_name, work_page
from monai_al.data.grids import SAME_GRID
from monai_al.records import DataError, Item, Pool, Query, QueryItem
from monai_al.records.work_list import WORK_PAGE, WorkRow, read_work_list, write_work_list

__all__ = ["check_same_kind", "hand_out", "write_page"]

_log = logging.getLogger(__name__)


def hand_out(query: Query, pool: Pool, work: Work, folder: Path, *, scribbles: bool = False) -> None:
    """Make the files in which a person annotates the items of a query, or complete them.

    ``worklist.csv`` and ``worklist.html`` list the slices with their places in ITK-SNAP, 3D Slicer and the array;
    ``labels.txt`` and ``labels.ctbl`` name the classes; the folder of each volume holds ``image.nii.gz``,
    ``annotation.nii.gz`` in class numbers on its grid (the prediction on the requested slices, labels so far on
    theirs, 0 elsewhere), ``slices.mrk.json`` and ``workspace.itksnap``. ``handed_out.json`` tells what they held. Where
    strokes are asked for, annotation files hold earlier strokes alone, with the values of
    :class:`monai_al.annotators.file_values.FileValues`.

    What is there stays: items that were handed out before, files that a person has changed, edited states. Only the
    volumes of which something is missing are read, one after another.

    Args:
        query: the items that are waiting.
        pool: the pool that they belong to.
        work: images, labels so far and predictions.
        folder: that of the round; it is made.
        scribbles: ask for strokes.

    Raises:
        DataError: an image or label cannot be read, the work list or ``handed_out.json`` is broken, or the work was
            handed out as masks before and is to be strokes now, or the other way round.

    Example:
        >>> import tempfile
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.sources import SliceSource
        >>> with tempfile.TemporaryDirectory() as path:
        ...     pool = phantom(path, patients=1, shape=(16, 16, 6))
        ...     source = SliceSource(pool, VolumeCache(path, label_values=pool.label_values, progress=False))
        ...     place = Path(path) / "annotate" / "round_00"
        ...     hand_out(Query(0, "random", 0, (QueryItem(pool[3].id),)), pool, Work(Path(path), source), place)
        ...     print(*sorted(file.name for file in place.rglob("*.*")))
        0003.png annotation.nii.gz handed_out.json image.nii.gz labels.ctbl labels.txt ... workspace.itksnap
    """
    handed, rows = HandedOut.read(folder), {row.id: row for row in read_work_list(folder)}
    check_same_kind(handed, folder, scribbles=scribbles)
    before = repr(handed), repr(rows)
    handed.classes, handed.scribbles = list(pool.classes), scribbles
    values, notes = handed.values, _Notes()
    _place_tables(handed, folder)
    ids = dict.fromkeys([*query.ids, *(id for one in handed.volumes for id in one.items)])
    numbers = _numbers(rows, ids)
    asked = {one.id: one for one in query.items}
    for volume, (items, siblings) in _groups(pool, ids).items():
        own = handed.volume(volume)
        if _is_complete(own, items, rows, folder, handed.files):
            continue
        files = VolumeWork.read(items, siblings, work, values)
        files.write(folder, own, handed)
        for item in items:
            rows.setdefault(item.id, _row(numbers[item.id], item, own, files, asked.get(item.id)))
            handed.place(folder, picture_name(rows[item.id]), files.picture(item))
        notes.take(files)
    listed = sorted(rows.values(), key=lambda row: row.number)
    if repr(rows) != before[1]:
        write_work_list(folder, listed)
    if repr(handed) != before[0]:
        handed.write(folder)
    write_page(folder, run=work.output_dir, round=query.round)
    notes.tell()


def check_same_kind(handed: HandedOut, folder: Path, *, scribbles: bool) -> None:
    """Refuse to go on with strokes where masks were handed out, and the other way round: 0 means another thing there.

    Args:
        handed: what was handed out.
        folder: that of the round.
        scribbles: what is asked for now.

    Raises:
        DataError: says which it was, and what to do.

    Example:
        >>> check_same_kind(HandedOut(), Path("round_00"), scribbles=True)
    """
    if handed.volumes and handed.scribbles != scribbles:
        was, now = ("strokes", "masks") if handed.scribbles else ("masks", "strokes")
        raise DataError(
            f"{folder} was handed out as {was}, and now {now} are asked for, in which 0 means something else: run it "
            f"with scribbles={handed.scribbles} as before, or begin another run"
        )


def write_page(folder: Path, *, run: Path, round: int) -> None:
    """Make the page of the work list anew, from the list as it is now.

    Args:
        folder: that of the round.
        run: the run folder.
        round: its number.

    Raises:
        DataError: the work list or ``handed_out.json`` is broken.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     write_page(Path(place), run=Path("runs/a"), round=0)
        ...     (Path(place) / WORK_PAGE).is_file()
        True
    """
    handed = HandedOut.read(folder)
    before = repr(handed)
    rows = sorted(read_work_list(folder), key=lambda row: row.number)
    page = work_page(folder, rows, run=run.resolve().name, round=round, values=handed.values)
    handed.place(folder, WORK_PAGE, page.encode())
    if repr(handed) != before:
        handed.write(folder)


class _Notes:
    """What is told once about volumes whose headers editors understand otherwise."""

    def __init__(self) -> None:
        self.conflicts: list[str] = []
        self.moved: dict[str, float] = {}

    def take(self, files: VolumeWork) -> None:
        item = files.items[0]
        if header_conflict(item.image):
            self.conflicts.append(item.volume)
        if files.grid.moved > SAME_GRID:
            self.moved[item.volume] = files.grid.moved

    def tell(self) -> None:
        if self.conflicts:
            _log.warning(
                "the two positions in the header of %d images differ (s-form and q-form), such as that of %s: what is "
                "handed out has the s-form, which is read here, for both",
                len(self.conflicts), self.conflicts[0],
            )  # fmt: skip
        if self.moved:
            worst = max(self.moved, key=self.moved.__getitem__)
            _log.warning(
                "the axes of %d images do not stand at right angles, which no editor shows: what is handed out has the "
                "nearest axes that do, so that millimetres differ, by up to %.2g voxel edges in %s; slice numbers hold",
                len(self.moved), self.moved[worst], worst,
            )  # fmt: skip


def _place_tables(handed: HandedOut, folder: Path) -> None:
    values = handed.values
    names, colors, task = values.shown_names, values.colors, values.task
    handed.place(folder, "labels.txt", label_descriptions(names, colors, task).encode())
    handed.place(folder, "labels.ctbl", color_table(names, colors, task).encode())


def _numbers(rows: Mapping[str, WorkRow], ids: Mapping[str, None]) -> dict[str, int]:
    """Id -> its number on the work list; new ones follow the last one."""
    found = {row.id: row.number for row in rows.values()}
    last = max(found.values(), default=0)
    new = [id for id in ids if id not in found]
    return found | {id: last + position for position, id in enumerate(new, start=1)}


def _groups(pool: Pool, ids: Mapping[str, None]) -> dict[str, tuple[list[Item], list[Item]]]:
    """Volume -> its requested items, and all of its items."""
    groups: dict[str, tuple[list[Item], list[Item]]] = {}
    for item in (pool[pool.index(id)] for id in ids):
        groups.setdefault(item.volume, ([], []))[0].append(item)
    for item in pool:
        if item.volume in groups:
            groups[item.volume][1].append(item)
    return groups


def _is_complete(
    own: HandedVolume, items: Sequence[Item], rows: Mapping[str, WorkRow], folder: Path, written: Iterable[str]
) -> bool:
    if not all(item.id in rows and item.id in own.slices_sha256 for item in items):
        return False
    files = [f"{own.folder}/{name}" for name in (IMAGE, ANNOTATION, WORKSPACE)]
    files += [name for name in written if name.startswith(f"{own.folder}/")]
    files += [picture_name(rows[item.id]) for item in items]
    return all((folder / file).is_file() for file in files)


def _row(number: int, item: Item, own: HandedVolume, files: VolumeWork, asked: QueryItem | None) -> WorkRow:
    place = place_of(item, files.grid)
    return WorkRow(
        number,
        item.id,
        item.volume,
        f"{own.folder}/{ANNOTATION}",
        place.plane,
        place.itksnap,
        place.slicer_mm,
        place.slice,
        "" if asked is None else asked.reason or "",
        None if asked is None else asked.score,
        task=files.values.task,
    )
