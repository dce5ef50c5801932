# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that people return, taken into a run without its config and without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai_al.annotators import Answer
from monai_al.annotators.collecting import Collected, collect
from monai_al.annotators.folder import notes_of
from monai_al.annotators.handed_out import HANDED_OUT
from monai_al.annotators.handing_out import write_page
from monai_al.annotators.image_places import pool_with_images, reads_class_numbers
from monai_al.annotators.recorded_planes import Recorded, labels_of_run
from monai_al.engines.agreement import write_agreement
from monai_al.engines.answers import record_answer
from monai_al.records import TEST, DataError, Item, Label, Pool, Query, RunFolder, pool_from_json, round_numbers
from monai_al.records.manifest import check_intact
from monai_al.records.pool_file import read_pool
from monai_al.records.work_list import work_path, write_notes
from monai_al.sources.entry_arrays import refuse_arrays

__all__ = ["ImportedRound", "handed_out_places", "import_labels"]


@dataclass
class ImportedRound:
    """What an import did for one round.

    Args:
        number: the round.
        taken: ids that got a label, those that had one among them.
        waiting: ids that have no label yet.
        problems: id -> why it cannot be taken, with file and slice.
        extra: ids that nobody asked for, and that got a label.
        notes: what else is to be told.
        strange: files that belong to no volume of the round.

    Example:
        >>> ImportedRound(0).taken
        []
    """

    number: int
    taken: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    strange: list[Path] = field(default_factory=list)


def handed_out_places(run: Path) -> dict[int, Path]:
    """The work that a run has handed out: round -> folder, the test set first.

    Args:
        run: the run folder.

    Raises:
        DataError: it is no run, its images are arrays, or nothing was handed out; the message says what to do.

    Example:
        >>> handed_out_places(Path("no/such/run"))
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/such/run is no run folder: it holds no run.json; give the output_dir ...
    """
    if not (run / "run.json").is_file():
        raise DataError(f"{run} is no run folder: it holds no run.json; give the output_dir of a run")
    if (run / "pool.json").is_file():
        refuse_arrays(pool_from_json(read_pool(run)), "Taking labels that people return")
    places = {number: work_path(run, number) for number in (TEST, *round_numbers(run / "annotate"))}
    places = {number: place for number, place in places.items() if (place / HANDED_OUT).is_file()}
    if not places:
        raise DataError(
            f"{run} has handed out nothing: no annotate/round_NN/{HANDED_OUT} is there; run it with the overlay "
            "annotators/folder first"
        )
    return places


def import_labels(
    run: Path, annotator: str, *, folder: Path | None = None, take_extra: bool = False
) -> list[ImportedRound]:
    """Take what people returned for any round of a run: new labels, corrections and second opinions.

    It needs neither the config of the run nor its data set, and holds the run's lock meanwhile. Each round's labels are
    recorded at once or, when the process is killed, not at all; a second import takes only what is new.

    Args:
        run: the run folder.
        annotator: who returned the labels.
        folder: where the files lie; None: where they were handed out.
        take_extra: slices that nobody asked for get the labels that are drawn there, too.

    Raises:
        DataError: it is no run, nothing was handed out, or an image cannot be read.
        RunFolderError: the run is in use, or a file of it is not as it was written.

    Example:
        >>> import_labels(Path("no/such/run"), "someone")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/such/run is no run folder: it holds no run.json; give the output_dir ...
    """
    places = handed_out_places(run)
    record = RunFolder(run)
    record.lock()
    try:
        check_intact(run)
        record.drop_incomplete()
        pool = pool_with_images(pool_from_json(read_pool(run)), list(places.values()))
        work = _Import(record, pool, annotator, folder, take_extra)
        done = [work.of_round(number, place) for number, place in places.items()]
        done[-1].notes += _of_no_round(done)
        write_agreement(record, pool)
        return done
    finally:
        record.unlock()


def _of_no_round(done: Sequence[ImportedRound]) -> list[str]:
    """What is told of the files that no round knows."""
    strange = [path for path in done[0].strange if all(path in one.strange for one in done)]
    why = (
        "no volume that was handed out has its name or that of its folder, or none of the round in whose folder it lies"
    )
    return [f"{path}: {why}" for path in strange]


@dataclass
class _HandedOut:
    """What recording has to know of the data."""

    data: Pool
    reads_class_numbers: bool

    def annotated_share(self, item: Item) -> float:
        """Only a foreign bundle can tell, by its own transforms; what a person returns is annotated as a whole."""
        return 1.0


@dataclass(frozen=True)
class _Import:
    """One import, round by round."""

    record: RunFolder
    pool: Pool
    annotator: str
    folder: Path | None
    take_extra: bool

    def of_round(self, number: int, place: Path) -> ImportedRound:
        asked = self._asked(number)
        labels = self.record.labels(number)
        waiting = [id for id in asked.ids if id not in labels and id not in labels.refused]
        own = None if self.folder is None else self.annotator  # what somebody sent is theirs, whoever said it before
        recorded = Recorded(labels_of_run(self.record), own)
        found = collect(place, self.pool, number=number, waiting=waiting, recorded=recorded, folder=self.folder)
        given = {label.id: label for label in found.labels}
        taken = {id: given[id] for id in asked.ids if id in given}
        extra = self._extra(found) if self.take_extra else []
        source = _HandedOut(self.pool, reads_class_numbers(place))
        for query, labels_of_round in self._by_round(asked, [*taken.values(), *extra]):
            strangers = tuple(label.id for label in labels_of_round if label.id not in query.ids)
            answer = Answer(tuple(labels_of_round), annotator=self.annotator, extra=strangers)
            record_answer(self.record, query, answer, self.annotator, source)
        write_notes(place, found.problems | notes_of([*taken.values(), *extra], self.annotator))
        write_page(place, run=self.record.path, round=number)
        left = [id for id in waiting if id not in taken]
        notes = [note for note in found.notes if not extra or "--take_extra" not in note]
        return ImportedRound(number, list(taken), left, found.problems, [one.id for one in extra], notes, found.strange)

    def _asked(self, number: int) -> Query:
        return self.record.query(number) or Query(number, "", 0, ())

    def _extra(self, found: Collected) -> list[Label]:
        """Slices that are taken though their round did not ask for them; rounds to come keep as many as they need."""
        asked = {id for number in round_numbers(self.record.path) for id in self._asked(number).ids}
        free = [item.id for item in self.pool.part("train") if item.id not in asked]
        new = {label.id for label in found.extra} & (set(free) - set(labels_of_run(self.record)))
        needed = sum(self.record.sizes()[len(round_numbers(self.record.path)) :])
        left = len(set(free) - set(labels_of_run(self.record)) - new)
        if new and left < needed:
            found.notes.append(
                f"slices that nobody asked for are not taken: only {left} would be left for the rounds to come, which "
                f"ask for {needed}"
            )
            return [label for label in found.extra if label.id in asked]
        return [label for label in found.extra if label.id in asked or label.id in set(free)]

    def _by_round(self, asked: Query, labels: Sequence[Label]) -> list[tuple[Query, list[Label]]]:
        """Labels with the query that asked for them; those that nobody asked for with that of this round."""
        queries = [self._asked(number) for number in round_numbers(self.record.path) if number != asked.round]
        found: dict[int, tuple[Query, list[Label]]] = {}
        for label in labels:
            query = next((query for query in queries if label.id in query.ids), asked)
            found.setdefault(query.round, (query, []))[1].append(label)
        return list(found.values())
