# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The work list of a round for people: ``worklist.html``, made from ``worklist.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_al.annotators.file_values import FileValues
from monai_al.annotators.places import OBLIQUE, PICTURE, PLANES
from monai_al.records import shown
from monai_al.records.work_list import TAKEN, WorkRow
from monai_al.report.page_content import Swatch
from monai_al.report.work_list_page import ShownWork, WorkListPage, work_list_html

__all__ = ["picture_name", "work_page"]


def picture_name(row: WorkRow) -> str:
    """Path of the picture of a slice, from the round's folder.

    Example:
        >>> picture_name(WorkRow(1, "a/0007", "a", "a/annotation.nii.gz", slice=7))
        'pictures/a/0007.png'
    """
    slice = "volume" if row.slice is None else f"{row.slice:04d}"
    return f"pictures/{row.file.split('/')[0]}/{slice}.png"


def work_page(folder: Path, rows: Sequence[WorkRow], *, run: str, round: int, values: FileValues) -> str:
    """The content of the page.

    Args:
        folder: that of the round, whose pictures are shown.
        rows: the work list.
        run: name of the run.
        round: the round.
        values: what the values of the annotation files mean.

    Example:
        >>> row = WorkRow(1, "a/0007", "a", "a/annotation.nii.gz", "axial", 8, -3.5, 7)
        >>> values = FileValues(["background", "liver"])
        >>> "S -3.5 mm" in work_page(Path("gone"), [row], run="demo", round=0, values=values)
        True
    """
    named = list(zip(values.shown_names, values.colors, strict=True))[1:]
    swatches = [Swatch(name, "#{:02x}{:02x}{:02x}".format(*color)) for name, color in named]
    work = sorted((_shown(folder, row) for row in rows), key=lambda one: one.taken)
    return work_list_html(WorkListPage(run, round, work, swatches, values.task))


def _shown(folder: Path, row: WorkRow) -> ShownWork:
    picture = picture_name(row)
    score = "" if row.score is None else f"score {shown(row.score, '.4g')}"
    return ShownWork(
        row.number,
        row.id,
        row.file,
        list(_facts(row)),
        picture if (folder / picture).is_file() else None,
        ", ".join(text for text in (row.reason, score) if text),
        row.state,
        row.note,
        row.note.startswith(TAKEN),
    )


def _facts(row: WorkRow) -> Sequence[tuple[str, str]]:
    letters = {plane: letter for letter, plane in PLANES.items()}
    facts = [("plane", row.plane)]
    if row.itksnap is not None:
        facts.append(("ITK-SNAP", str(row.itksnap)))
    if row.slicer_mm is not None:
        letter = letters.get(row.plane, "S" if row.plane == PICTURE else "")
        turned = ", in “Rotate to volume plane”" if row.plane == OBLIQUE else ""
        facts.append(("3D Slicer", f"{letter} {row.slicer_mm:g} mm{turned}".strip()))
    if row.slice is not None:
        facts.append(("slice, counted from 0", str(row.slice)))
    return facts
