# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The work list ``worklist.csv``: one row per requested slice, with a column that people may edit."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from monai_al.records.csv_files import read_field, write_csv
from monai_al.records.errors import DataError
from monai_al.records.query import round_name

__all__ = [
    "AGREEMENT",
    "DONE",
    "EMPTY",
    "STATES",
    "TAKEN",
    "WAITING",
    "WORK_LIST",
    "WORK_PAGE",
    "WorkRow",
    "read_work_list",
    "work_path",
    "work_task",
    "write_notes",
    "write_state",
    "write_work_list",
]

WORK_LIST, WORK_PAGE = "worklist.csv", "worklist.html"
AGREEMENT = "annotate/agreement.csv"  # in the run folder: how far people agree
WAITING, DONE, EMPTY = STATES = ("waiting", "done", "empty")
TAKEN = "taken"  # how the note of a slice begins whose label is in the run
_ENCODINGS = ("utf-8-sig", "utf-16", "cp1252")  # those of spreadsheets


@dataclass
class WorkRow:
    """One requested slice.

    Args:
        number: its number on the list, counted from 1.
        id: the item's id.
        volume: the volume's name.
        file: path of the annotation file from the round's folder.
        plane: see :class:`monai_al.annotators.places.Place`.
        itksnap: number of the slice in ITK-SNAP, counted from 1.
        slicer_mm: offset in 3D Slicer, in millimetres.
        slice: number of the slice in the array, counted from 0.
        reason: why it was chosen.
        score: the score that led to it.
        state: ``"waiting"``; ``"done"``: a person has looked, and it is right as it is; ``"empty"``: a person has
            looked, and nothing is there. In lower case and without blanks around it, otherwise as it was typed.
        note: what the last import said of it.
        task: which strokes are asked for; empty where masks are.

    Example:
        >>> WorkRow(1, "a/0007", "a", "a/annotation.nii.gz").state
        'waiting'
    """

    number: int
    id: str
    volume: str
    file: str
    plane: str = ""
    itksnap: int | None = None
    slicer_mm: float | None = None
    slice: int | None = None
    reason: str = ""
    score: float | None = None
    state: str = WAITING
    note: str = ""
    task: str = ""


_COLUMNS = tuple(one.name for one in fields(WorkRow))


def work_path(run: Path, number: int) -> Path:
    """Where the work of a round lies that a person is to do, or that on the test set.

    Example:
        >>> work_path(Path("runs/a"), 1).as_posix()
        'runs/a/annotate/round_01'
    """
    return run / "annotate" / round_name(number)


def write_work_list(folder: Path, rows: Sequence[WorkRow]) -> None:
    """Write the work list of a round; the column ``task`` stands there only where strokes are asked for.

    Args:
        folder: that of the round.
        rows: one per requested slice.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     write_work_list(Path(name), [WorkRow(1, "a/0007", "a", "a/annotation.nii.gz", "axial", 8, -3.5, 7)])
        ...     print((Path(name) / WORK_LIST).read_text().splitlines()[1])
        1,a/0007,a,a/annotation.nii.gz,axial,8,-3.5,7,,,waiting,
    """
    columns = [name for name in _COLUMNS if name != "task" or any(row.task for row in rows)]
    write_csv(folder / WORK_LIST, columns, [[getattr(row, name) for name in columns] for row in rows])


def read_work_list(folder: Path) -> list[WorkRow]:
    """The work list of a round, also as spreadsheets save it: with semicolons or tabs, other encodings, decimal commas.

    Args:
        folder: that of the round.

    Returns:
        Nothing where there is no list.

    Raises:
        DataError: it cannot be read, lacks the columns ``id`` or ``state``, or names an item twice; the message says
            what to do.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     write_work_list(Path(name), [WorkRow(1, "a/0007", "a", "a/annotation.nii.gz", state="done")])
        ...     read_work_list(Path(name))[0].state
        'done'
    """
    path = folder / WORK_LIST
    if not path.is_file():
        return []
    text = _text(path)
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    try:
        table = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise _broken(path, f"is no table ({error})") from None
    missing = [name for name in ("id", "state") if name not in (table[0] if table else {"id", "state"})]
    if missing:
        raise _broken(path, f"lacks the column {missing[0]!r}")
    rows = [_row(one, number, path) for number, one in enumerate(table, start=1) if (one["id"] or "").strip()]
    seen: set[str] = set()
    twice = next((row.id for row in rows if row.id in seen or seen.add(row.id)), None)
    if twice is not None:
        raise _broken(path, f"names {twice!r} in two rows")
    return rows


def write_notes(folder: Path, notes: Mapping[str, str]) -> None:
    """Write beside slices what became of them; all else in the work list stays.

    Args:
        folder: that of the round; nothing is done where it holds no work list.
        notes: id -> what the last import says of it.

    Raises:
        DataError: see :func:`read_work_list`.

    Example:
        >>> write_notes(Path("no/such/folder"), {"a/0003": "is as it was handed out"})
    """
    rows = read_work_list(folder)
    noted = [replace(row, note=notes.get(row.id, row.note)) for row in rows]
    if noted != rows:
        write_work_list(folder, noted)


def write_state(folder: Path, id: str, state: str) -> None:
    """Write the state of one slice; all else in the work list stays.

    Args:
        folder: that of the round.
        id: the slice; nothing is done where the work list does not hold it.
        state: one of :data:`STATES`.

    Raises:
        DataError: see :func:`read_work_list`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     write_work_list(Path(name), [WorkRow(1, "a/0007", "a", "a/annotation.nii.gz")])
        ...     write_state(Path(name), "a/0007", EMPTY)
        ...     read_work_list(Path(name))[0].state
        'empty'
    """
    rows = read_work_list(folder)
    changed = [replace(row, state=state) if row.id == id else row for row in rows]
    if changed != rows:
        write_work_list(folder, changed)


def work_task(folder: Path) -> str:
    """Which strokes the work of a round asks for, as its work list says; empty where it asks for masks.

    Args:
        folder: that of the round.

    Raises:
        DataError: see :func:`read_work_list`.

    Example:
        >>> work_task(Path("no/such/folder"))
        ''
    """
    return next((row.task for row in read_work_list(folder) if row.task), "")


def _text(path: Path) -> str:
    content = path.read_bytes()
    for encoding in _ENCODINGS:
        if encoding == "utf-16" and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            continue
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _broken(path, "is no text")


def _row(entry: dict[str, Any], number: int, path: Path) -> WorkRow:
    def text(name: str) -> str:
        return read_field((entry.get(name) or "").strip())

    def of_kind(name: str, kind: Callable[[str], Any]) -> Any:
        value = text(name).replace(",", ".")
        try:
            return kind(value) if value else None
        except ValueError:
            raise _broken(path, f"says {value!r} in the column {name!r} of {text('id')!r}") from None

    return WorkRow(
        of_kind("number", _whole) or number,
        text("id"),
        text("volume"),
        text("file"),
        text("plane"),
        of_kind("itksnap", _whole),
        of_kind("slicer_mm", float),
        of_kind("slice", _whole),
        text("reason"),
        of_kind("score", float),
        text("state").lower() or WAITING,
        text("note"),
        text("task"),
    )


def _whole(value: str) -> int:
    return int(float(value))  # spreadsheets may write 7.0


def _broken(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}: correct it, or remove it and run the same command again, which makes it anew")
