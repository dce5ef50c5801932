# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What came back for the work of one round: the slices that can be taken, and why others cannot."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from monai_al.annotators.found_files import files_in_place, files_of_folder, work_lists_of_folder
from monai_al.annotators.handed_out import HandedOut
from monai_al.annotators.recorded_planes import Recorded
from monai_al.annotators.volume_returns import CONVERTED, Collected, VolumeReturns
from monai_al.records import DataError, Pool
from monai_al.records.work_list import WAITING, read_work_list

__all__ = ["Collected", "collect"]


def collect(
    place: Path, pool: Pool, *, number: int, waiting: Collection[str], recorded: Recorded, folder: Path | None = None
) -> Collected:
    """Look for what came back for the work of a round.

    Args:
        place: the folder of the round, below ``annotate``.
        pool: the items, with images that can be read.
        number: the round.
        waiting: ids that have no label yet. Others are corrections, or second opinions: they count where somebody
            touched them, and where they are new.
        recorded: the labels that the run holds.
        folder: where the files lie, and maybe a work list, whose states count before those of the one that was handed
            out; None: in the round's folder, where they were handed out.

    Raises:
        DataError: the record of what was handed out, or the work list, cannot be read.

    Example:
        >>> collect(Path("no/such/folder"), Pool([]), number=0, waiting=(), recorded=Recorded()).problems
        {}
    """
    found = Collected()
    shutil.rmtree(place / CONVERTED, ignore_errors=True)
    handed = HandedOut.read(place)
    volumes = handed.volumes
    files, found.strange = (None, []) if folder is None else files_of_folder(folder, number, volumes)
    items = {id: pool[pool.index(id)] for volume in volumes for id in volume.items}
    lists = [] if folder is None else work_lists_of_folder(folder, number, volumes)
    states = {row.id: row.state for row in read_work_list(place)} | _sent_states(lists, items, found)
    for volume in volumes:
        paths = files_in_place(place, volume) if files is None else files.get(volume.volume, [])
        work = VolumeReturns(
            place, volume, items, pool, states, set(waiting), recorded, folder or place, handed.scribbles
        )
        work.look(paths, found)
    return found


def _sent_states(lists: Sequence[Path], asked: Collection[str], found: Collected) -> dict[str, str]:
    """Id -> what the work lists say that somebody sent; of several, the one that says something."""
    states: dict[str, str] = {}
    for path in lists:
        try:
            rows = read_work_list(path.parent)
        except DataError as error:
            found.notes.append(str(error))
            continue
        states |= {row.id: row.state for row in rows if row.id in asked and states.get(row.id, WAITING) == WAITING}
    return states
