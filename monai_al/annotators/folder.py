# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A person as annotator: files go out into a folder that any annotation program opens, and come back there."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path

from monai_al.annotators.base import Annotator, Answer
from monai_al.annotators.collecting import collect
from monai_al.annotators.foreign_labels import check_foreign
from monai_al.annotators.handing_out import hand_out
from monai_al.annotators.image_places import write_image_places
from monai_al.annotators.recorded_planes import Recorded, labels_of_run
from monai_al.annotators.work import Work
from monai_al.records import Label, Pool, Query, RunFolder
from monai_al.records.work_list import work_path, write_notes

__all__ = ["Folder", "notes_of", "user_name"]


class Folder(Annotator):
    """Hands out the work of each round below ``annotate`` of the run folder, and takes what comes back.

    Each call looks at the files first, takes the slices that are answered, and hands out what is not there yet. What
    was handed out and changed by a person is never written again.

    Example:
        >>> Folder().name
        'folder'
    """

    name = "folder"

    def annotate(self, query: Query, pool: Pool, work: Work | None = None) -> Answer:
        """Take what came back, also corrections of the round's labels, and hand out what is not there yet.

        Args:
            query: the items that have no label yet.
            pool: the pool that the items belong to.
            work: the run folder, the images, the labels so far and predictions.

        Raises:
            ValueError: it is called without the work.
            DataError: an image cannot be read, or the record of what was handed out; or a bundle that was written
                without this package could not read what comes back. The message names the file.
        """
        if work is None:
            raise ValueError("the annotator Folder needs the work: call it by monai_al.annotators.ask")
        place = work_path(work.output_dir, query.round)
        recorded = Recorded(labels_of_run(RunFolder(work.output_dir)))
        found = collect(place, pool, number=query.round, waiting=query.ids, recorded=recorded)
        whole = RunFolder(work.output_dir).query(query.round) or query  # other items of it may be answered already
        given = {label.id: label for label in found.labels}
        labels = [given[id] for id in whole.ids if id in given]
        who = user_name()
        problems = {id: why for id, why in found.problems.items() if id in query.ids}
        notes = [*found.notes, *(f"{id}: {why}" for id, why in found.problems.items() if id not in problems)]
        write_notes(place, found.problems | notes_of(labels, who))
        self._hand_out(query, whole, pool, work, place)
        waiting = tuple(id for id in query.ids if id not in given)
        return Answer(tuple(labels), waiting, problems=problems, annotator=who, notes=tuple(notes))

    @staticmethod
    def _hand_out(query: Query, whole: Query, pool: Pool, work: Work, place: Path) -> None:
        """Make what is not there of the whole round."""
        check_foreign(work.source, [pool[pool.index(id)] for id in query.ids])
        hand_out(whole, pool, work, place)
        write_image_places(place, [pool[pool.index(id)] for id in query.ids], work.source.reads_class_numbers)


def user_name() -> str:
    """The name of the user, as labels are recorded under it.

    Example:
        >>> user_name() != ""
        True
    """
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a user without an entry, as in containers
        return Folder.name


def notes_of(labels: Sequence[Label], annotator: str) -> dict[str, str]:
    """What the work list says of slices that were taken: id -> the file, and who returned it.

    Example:
        >>> notes_of([Label("a/0003", where="0.nii.gz", returned="a/annotation.nii.gz")], "someone")
        {'a/0003': 'taken from annotation.nii.gz, by someone'}
    """
    return {label.id: f"taken from {Path(label.returned or label.where).name}, by {annotator}" for label in labels}
