# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What people returned, in words: why slices wait, and how far two people agree. Needs neither torch nor MONAI."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

from monai_al.records import shown
from monai_al.records.work_list import AGREEMENT, read_work_list, work_path
from monai_al.report._page_numbers import several

__all__ = ["describe_agreement", "waiting_notes"]


def waiting_notes(run: Path, number: int, waiting: Collection[str]) -> dict[str, str]:
    """Id -> what the last import says of it, of those that wait and for which something came back.

    Args:
        run: the run folder.
        number: the round.
        waiting: the ids.

    Raises:
        DataError: the work list cannot be read.

    Example:
        >>> waiting_notes(Path("no/such/run"), 0, ["a/0003"])
        {}
    """
    rows = read_work_list(work_path(run, number))
    return {row.id: row.note for row in rows if row.note and row.id in waiting}


def describe_agreement(run: Path, ids: Collection[str] | None = None) -> list[str]:
    """How far people agree who annotated the same slices: mean Dice of each class; nothing where no two did.

    Args:
        run: the run folder.
        ids: the items that count; None: all.

    Example:
        >>> describe_agreement(Path("no/such/run"))
        []
    """
    path = run / AGREEMENT
    if not path.is_file():
        return []
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    both: dict[tuple[str, str], set[str]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in (row for row in csv.DictReader(file) if ids is None or row["id"] in ids):
            pair = row["first"], row["second"]
            both.setdefault(pair, set()).add(row["id"])
            scores = found.setdefault(pair, {}).setdefault(row["class"], [])
            if row["dice"]:
                scores.append(float(row["dice"]))
    return [
        f"{first} and {second} both annotated {several(len(both[first, second]), 'slice')}; mean Dice "
        + ", ".join(f"{name} {shown(sum(one) / len(one) if one else None, '.3f')}" for name, one in classes.items())
        for (first, second), classes in found.items()
    ]
