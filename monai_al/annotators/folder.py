# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A person as annotator: files go out into a folder that any annotation program opens, and come back there."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path

from monai_al.annotators.base import Annotator, Answer
from monai_al.annotators.collecting import collect
from monai_al.annotators.file_values import FileValues
from monai_al.annotators.foreign_labels import check_foreign
from monai_al.annotators.handed_out import HandedOut
from monai_al.annotators.handing_out import check_same_kind, hand_out
from monai_al.annotators.image_places import write_image_places
from monai_al.annotators.recorded_planes import Recorded, labels_of_run
from monai_al.annotators.work import Work
from monai_al.records import TEST, DataError, Label, Pool, Query, RunFolder
from monai_al.records.work_list import TAKEN, work_path, write_notes
from monai_al.sources import Source
from monai_al.sources.entry_arrays import refuse_arrays

__all__ = ["Folder", "notes_of", "user_name"]


class Folder(Annotator):
    """Hands out the work of each round below ``annotate`` of the run folder, and takes what comes back.

    Each call looks at the files first, takes the slices that are answered, and hands out what is not there yet. What
    was handed out and changed by a person is never written again.

    Args:
        scribbles: people draw strokes, and what they leave open is not annotated
            (:class:`monai_al.annotators.file_values.FileValues`); the test set is masks all the same, because it is
            scored. The default, masks, is no setting of a run.

    Raises:
        ValueError: ``scribbles`` is no flag.

    Example:
        >>> Folder().name, Folder(scribbles=True).scribbles
        ('folder', True)
    """

    name = "folder"
    scribbles = False

    def __init__(self, scribbles: bool = False) -> None:
        if not isinstance(scribbles, bool):
            raise ValueError(f"scribbles must be True or False, got {scribbles!r}")
        if scribbles:  # else there is no attribute, so that runs which began before it was known go on
            self.scribbles = True

    def check(self, source: Source) -> None:
        """Refuse images that are no files, and data whose losses count what strokes leave open.

        Raises:
            DataError: images are arrays; or strokes are asked for, and a bundle that was written without this package
                is to train on them, or there are too many classes.
        """
        refuse_arrays(source.data, "Handing out work to people")
        if not self.scribbles:
            return
        FileValues(source.data.classes, self.scribbles)
        if not source.reads_class_numbers:
            raise DataError(
                "strokes leave most pixels open, and the loss of a bundle that was written without this package counts "
                "them all: let people draw masks, by the overlay annotators/folder (scribbles: false), or take a "
                "bundle of this package"
            )

    def annotate(self, query: Query, pool: Pool, work: Work | None = None) -> Answer:
        """Take what came back, also corrections of the round's labels, and hand out what is not there yet.

        Args:
            query: the items that have no label yet.
            pool: the pool that the items belong to.
            work: the run folder, the images, the labels so far and predictions.

        Raises:
            ValueError: it is called without the work.
            DataError: see :meth:`check`; the round was handed out as masks and is to be strokes now, or the
                other way round; an image cannot be read, or the record of what was handed out; or a bundle that was
                written without this package could not read what comes back. The message names the file.
        """
        if work is None:
            raise ValueError("the annotator Folder needs the work: call it by monai_al.annotators.ask")
        self.check(work.source)
        place = work_path(work.output_dir, query.round)
        check_same_kind(HandedOut.read(place), place, scribbles=self._asks_for_strokes(query))
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

    def _asks_for_strokes(self, query: Query) -> bool:
        return self.scribbles and query.round != TEST

    def _hand_out(self, query: Query, whole: Query, pool: Pool, work: Work, place: Path) -> None:
        """Make what is not there of the whole round."""
        check_foreign(work.source, [pool[pool.index(id)] for id in query.ids])
        hand_out(whole, pool, work, place, scribbles=self._asks_for_strokes(query))
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
    return {label.id: f"{TAKEN} from {Path(label.returned or label.where).name}, by {annotator}" for label in labels}
