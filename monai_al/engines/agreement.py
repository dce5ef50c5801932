# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How far people agree who annotated the same slice: Dice of each class, in a derived table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from monai_al.annotators.recorded_planes import labels_of_run, recorded_plane
from monai_al.metrics.dice import dice
from monai_al.records import NOT_ANNOTATED, Pool, RunFolder
from monai_al.records.csv_files import write_csv
from monai_al.records.work_list import AGREEMENT

__all__ = ["agreement", "write_agreement"]

COLUMNS = ("id", "first", "second", "class", "dice")


def write_agreement(folder: RunFolder, pool: Pool) -> None:
    """Write the table anew where two people annotated one slice; else there is none.

    Args:
        folder: the run folder.
        pool: its items.

    Example:
        >>> write_agreement(RunFolder("no/such/run"), Pool([]))
    """
    rows = list(agreement(folder, pool))
    if rows:
        write_csv(folder.path / AGREEMENT, COLUMNS, rows)


def agreement(folder: RunFolder, pool: Pool) -> Iterator[tuple[str, str, str, str, float]]:
    """Dice between the last labels of each two people for an item, class by class.

    Only what both annotated counts; a class that neither drew is NaN.

    Yields:
        The id, both people in the order in which they first answered, the class, and Dice in [0, 1].

    Example:
        >>> list(agreement(RunFolder("no/such/run"), Pool([])))
        []
    """
    for id, labels in labels_of_run(folder).items():
        last = {label.annotator: label for label in labels}
        for first, second in itertools.combinations(last.values(), 2):
            item = pool[pool.index(id)]
            one, other = (recorded_plane(label, item) for label in (first, second))
            if one is None or other is None or one.shape != other.shape:
                continue
            truth = np.where(one == NOT_ANNOTATED, NOT_ANNOTATED, other)
            scores = dice(np.where(truth == NOT_ANNOTATED, 0, one), truth, len(pool.classes))
            for name, score in zip(pool.classes[1:], scores, strict=True):
                yield id, first.annotator, second.annotator, name, float(score)
