# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which round of a run has work to be done."""

from __future__ import annotations

from pathlib import Path

from monai_al.engines.label_import import handed_out_places
from monai_al.records import TEST, DataError, RunFolder, round_title
from monai_al.records.work_list import read_work_list

__all__ = ["round_to_annotate", "settled_ids"]


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
    places = handed_out_places(run)
    if asked is not None:
        if asked not in places:
            names = ", ".join("test" if number == TEST else str(number) for number in places)
            raise DataError(f"{run} has handed out no work of {round_title(asked)}; --round can be: {names}")
        return asked
    waiting = [n for n, place in places.items() if {row.id for row in read_work_list(place)} - settled_ids(run, n)]
    return (waiting or list(places))[-1]


def settled_ids(run: Path, round: int) -> set[str]:
    """The ids of a round that are labeled, or will not be asked for again.

    Example:
        >>> settled_ids(Path("no/such/run"), 0)
        set()
    """
    labels = RunFolder(run).labels(round)
    return {*labels, *labels.refused}
