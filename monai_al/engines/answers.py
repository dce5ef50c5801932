# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How an answer gets into the run folder: files as they came, files in class numbers, and the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from monai_al.annotators import Answer
from monai_al.data import read_volume, stored_shape
from monai_al.data.label_files import write_label_map
from monai_al.data.label_names import files_with_names
from monai_al.records import (
    CLASS_NUMBERS,
    GROUND_TRUTH,
    NOT_ANNOTATED,
    PSEUDO,
    STORED_CODES,
    UNANNOTATED,
    DataError,
    Item,
    Label,
    Pool,
    Query,
    RunFolder,
    kind_of,
    round_title,
)
from monai_al.records.files import copy_stored, new_folder
from monai_al.sources import Source

__all__ = ["ReadsLabels", "follow_corrections", "record_answer"]

RETURNED = "returned"  # files as they came, below those in class numbers
PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")


class ReadsLabels(Protocol):
    """What has to be known of the data to record labels; every source knows it.

    Example:
        >>> from monai_al.sources import SliceSource
        >>> source: ReadsLabels = SliceSource(Pool([]), cache=None)
    """

    @property
    def data(self) -> Pool:
        """The items."""

    @property
    def reads_class_numbers(self) -> bool:
        """Whether labels are read in class numbers; otherwise a label is kept as it came."""

    def annotated_share(self, item: Item) -> float:
        """Which share of an item's stored pixels its label annotates, in [0, 1]."""


def record_answer(
    folder: RunFolder, query: Query, answer: Answer, annotator: str, source: ReadsLabels
) -> tuple[list[str], dict[str, str]]:
    """Record an answer, with a copy of its files.

    A label file is kept as it came, with a table of names beside it, or in its place the one that it was made from. A
    source that reads class numbers gets a second file, in class numbers on the stored grid of the image, 255 where
    nothing is annotated or the file does not answer. What a label annotates decides its kind: all pixels, some, or
    none, which is no label.

    Args:
        folder: the run folder.
        query: what was asked: items of the round's query that have no label yet.
        answer: what came back; it may correct labels of other items of the round's query.
        annotator: who answered.
        source: the data.

    Returns:
        Ids of the items that are still waiting, also those that the answer does not mention; and id -> why it has no
        label, of those that were refused now.

    Raises:
        DataError: a label is missing, cannot be read, or does not fit its image; the message names it, and nothing is
            recorded.
        ValueError: the answer names an item that was not asked for, another slice than the item's, or a kind that only
            strategies give.

    Example:
        >>> import tempfile
        >>> from monai_al.datasets import phantom
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.records import QueryItem
        >>> from monai_al.sources import SliceSource
        >>> with tempfile.TemporaryDirectory() as path:
        ...     pool = phantom(path, patients=1, shape=(16, 16, 6))
        ...     source = SliceSource(pool, VolumeCache(path, label_values=pool.label_values, progress=False))
        ...     query = Query(0, "random", 0, tuple(QueryItem(item.id) for item in pool[:2]))
        ...     waiting, refused = record_answer(RunFolder(path), query, Answer(query.ids[:1]), "me", source)
        ...     len(RunFolder(path).labels(0)), len(waiting), refused
        (1, 1, {})
    """
    known = {*query.ids, *answer.extra, *((folder.query(query.round) or query).ids)}
    _check_answer(query, known, answer, annotator, source)
    items = {id: source.data[source.data.index(id)] for id in known}
    given = {label.id: label for label in answer.labels}
    found = {id: _of_data_set(label, items[id], source) for id, label in given.items() if label.where == GROUND_TRUTH}
    number = folder.next_return(query.round)
    filed = [label for label in given.values() if label.where != GROUND_TRUTH]
    if filed:
        place = folder.answers_path(query.round, number)
        below = place.relative_to(folder.round_path(query.round))
        with new_folder(place) as temporary:
            kept = _kept(filed, items, temporary, source)
        found |= {id: None if label is None else label.under(below) for id, label in kept.items()}
    labels = [label for id in given if (label := found[id]) is not None]
    refused = dict(answer.refused) | {id: UNANNOTATED for id in given if found[id] is None}
    if labels or refused:
        who, extra = answer.annotator or annotator, [label.id for label in labels if label.id in answer.extra]
        folder.write_labels(query.round, labels, who, refused=refused, number=number, extra=extra)
    return [id for id in query.ids if id not in given and id not in refused], refused


def follow_corrections(folder: RunFolder, source: Source, annotator: str) -> None:
    """Record anew the labels of the data set whose kind has changed since they were recorded.

    Args:
        folder: the run folder.
        source: the data.
        annotator: who answered with them.

    Raises:
        DataError: one annotates nothing any more.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> follow_corrections(RunFolder("runs/a"), SliceSource(Pool([]), cache=None), "oracle")
    """
    rounds = range(len(list(folder.path.glob("round_*"))))
    labels, round_of = folder.labels(len(rounds) - 1), {}
    for number in rounds:
        round_of |= dict.fromkeys((label.id for one in folder.returns(number) for label in one.labels), number)
    changed: dict[int, list[Label]] = {}
    for item in (source.data[source.data.index(id)] for id, label in labels.items() if label.where == GROUND_TRUTH):
        labels.of_item(item)  # which tells of a label that is gone
        kind = kind_of(source.annotated_share(item))
        if kind is None:
            raise DataError(f"{item.id}: {UNANNOTATED} any more, though it was recorded as one; restore it")
        if kind != labels[item.id].kind:
            changed.setdefault(round_of[item.id], []).append(Label(item.id, kind))
    for number, again in changed.items():
        folder.write_labels(number, again, annotator)


def _check_answer(query: Query, known: Set[str], answer: Answer, annotator: str, source: ReadsLabels) -> None:
    for id in (*(label.id for label in answer.labels), *answer.refused, *answer.waiting, *answer.problems):
        if id not in known:
            raise ValueError(f"annotator {annotator} answered {id!r}, which {round_title(query.round)} did not ask for")
    for label in answer.labels:
        own = source.data[source.data.index(label.id)].slice
        if label.kind == PSEUDO:
            raise ValueError(f"annotator {annotator} calls the label of {label.id!r} pseudo, as only strategies may")
        if label.where != GROUND_TRUTH and label.slice not in (None, own):
            raise ValueError(
                f"annotator {annotator} gives slice {label.slice} of {label.where} for {label.id!r}: a label file lies "
                f"on the grid of its image, so the slice is the item's own, {own}"
            )


def _of_data_set(label: Label, item: Item, source: ReadsLabels) -> Label | None:
    """The data set's own label of an item; None where it annotates nothing."""
    if item.label is None:
        raise DataError(f"{item.id}: the answer says that the data set has its label, but it has none")
    kind = kind_of(source.annotated_share(item))
    return None if kind is None else replace(label, kind=kind)


def _kept(
    labels: Sequence[Label], items: Mapping[str, Item], folder: Path, source: ReadsLabels
) -> dict[str, Label | None]:
    """Labels with their files below a folder; None where nothing is annotated."""
    copies = _copies(dict.fromkeys(label.returned or label.where for label in labels), folder / RETURNED)
    if not source.reads_class_numbers:
        return {label.id: _for_bundle(label, items[label.id], folder, copies, source) for label in labels}
    found: dict[str, Label | None] = {}
    groups: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        groups.setdefault((items[label.id].volume, label.where), []).append(label)
    for position, ((_, file), group) in enumerate(groups.items()):
        name = f"{position:03d}.nii.gz"
        for label, kind in zip(group, _write_class_numbers(folder / name, file, group, items, source), strict=True):
            found[label.id] = (
                None
                if kind is None
                else replace(
                    label,
                    kind=kind,
                    where=name,
                    slice=items[label.id].slice,
                    coding=CLASS_NUMBERS,
                    returned=copies[label.returned or file],
                    returned_coding=label.coding,
                )
            )
    return found


def _for_bundle(label: Label, item: Item, folder: Path, copies: Mapping[str, str], source: ReadsLabels) -> Label | None:
    """A label whose file a foreign bundle's own transforms read; None where nothing is annotated."""
    copy = copies[label.returned or label.where]
    if label.returned is not None:  # it names one that was made from what came
        made = f"{len(list(folder.glob('[0-9]*'))):03d}{''.join(Path(label.where).suffixes)}"
        copy_stored(Path(label.where), folder / made)
        label, copy = replace(label, returned=copy, returned_coding=label.coding), made
    shapes = [_shape(path) for path in (item.image, folder / copy)]
    n = min(map(len, shapes))
    if shapes[0][:n] != shapes[1][:n]:
        raise DataError(f"{label.where}: has the shape {shapes[1]}, its image {item.image} has {shapes[0]}")
    kind = kind_of(source.annotated_share(replace(item, label=str(folder / copy))))
    return None if kind is None else replace(label, kind=kind, where=copy)


def _shape(path: str | Path) -> tuple[int, ...]:
    try:
        return stored_shape(path)
    except DataError:  # a format that only the bundle reads
        return ()


def _copies(files: Mapping[str, None], folder: Path) -> dict[str, str]:
    """File -> the name of its copy, from the folder above; each file lies in a folder of its own."""
    found = {}
    for position, file in enumerate(files):
        path, target = Path(file), folder / f"{position:03d}"
        if not path.exists():
            raise DataError(f"{path}: the label file of an answer does not exist")
        if path.is_dir():
            copy_stored(path, target / path.name)
        for part in [] if path.is_dir() else files_with_names(path):
            if not part.is_relative_to(path.parent):
                raise DataError(f"{path}: its voxels lie in {part}, outside its folder; put both into one folder")
            copy_stored(part, target / part.relative_to(path.parent))
        found[file] = f"{RETURNED}/{target.name}/{path.name}"
    return found


def _write_class_numbers(
    path: Path, file: str, labels: Sequence[Label], items: Mapping[str, Item], source: ReadsLabels
) -> list[str | None]:
    """Write what a file says of some items of one volume; returns the kind of each, None where it annotates nothing."""
    pool, first = source.data, items[labels[0].id]
    codings = {label.coding for label in labels}
    if len(codings) > 1:
        raise DataError(f"{file}: its labels name several codings: {', '.join(sorted(codings))}")
    numbers = [*range(len(pool.classes)), NOT_ANNOTATED]
    values = {number: number for number in numbers} if codings == {CLASS_NUMBERS} else pool.label_values
    stored = read_volume(
        first.image,
        file,
        label_values=values,
        affine_tolerated=pool.affine_tolerated,
        slice_axis=first.slice_axis,
    )
    assert stored.label is not None
    if codings == {CLASS_NUMBERS} and file.lower().endswith(PICTURES) and set(np.unique(stored.label)) == {0, 255}:
        raise DataError(
            f"{file}: holds 0 and 255 alone, which as class numbers mean background and not annotated; where 255 is "
            f"the foreground, return it with coding={STORED_CODES!r}, or with 1 in its place"
        )
    classes = np.full(stored.label.shape, NOT_ANNOTATED, np.uint8)
    kinds: list[str | None] = []
    for label in labels:
        z = items[label.id].slice
        place = (Ellipsis,) if z is None else (Ellipsis, z)
        classes[place] = stored.label[place]
        kinds.append(kind_of(float(np.mean(classes[place] != NOT_ANNOTATED))))
    if any(kinds):
        write_label_map(path, classes, like=first.image, affine=stored.affine, slice_axis=first.slice_axis)
    return kinds
