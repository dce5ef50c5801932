# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How an answer gets into the run folder: files as they came, files in class numbers, and the record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from monai_al.annotators import Answer
from monai_al.data import read_volume
from monai_al.data.label_files import write_label_map
from monai_al.records import (
    CLASS_NUMBERS,
    FULL,
    GROUND_TRUTH,
    NOT_ANNOTATED,
    WEAK,
    DataError,
    Item,
    Label,
    Query,
    RunFolder,
)
from monai_al.records.files import new_folder
from monai_al.records.stored_files import stored_parts
from monai_al.sources import Source

__all__ = ["record_answer"]

RETURNED = "returned"  # files as they came, below those in class numbers


def record_answer(folder: RunFolder, query: Query, answer: Answer, annotator: str, source: Source) -> Sequence[str]:
    """Record an answer, with a copy of its files.

    A label file is kept as it came. A source that reads class numbers gets a second file beside it, in class numbers on
    the stored grid of the image, 255 where nothing is annotated or the file does not answer. A label that annotates no
    pixel is refused; one that annotates some is weak, whatever it was called.

    Args:
        folder: the run folder.
        query: what was asked.
        answer: what came back.
        annotator: who answered.
        source: the data.

    Returns:
        Ids of the items that are still waiting.

    Raises:
        DataError: a label file is missing, or does not fit its image; the message names it.
        ValueError: the answer names an item that was not asked for.

    Example:
        >>> import tempfile
        >>> from monai_al.records import Pool, QueryItem
        >>> from monai_al.sources import SliceSource
        >>> query = Query(0, "random", 0, (QueryItem("a"), QueryItem("b")))
        >>> source = SliceSource(Pool([Item(name, name, name, name) for name in "ab"]), cache=None)
        >>> with tempfile.TemporaryDirectory() as path:
        ...     waiting = record_answer(RunFolder(path), query, Answer(("a",), ("b",)), "me", source)
        ...     list(RunFolder(path).labels(0)), waiting
        (['a'], ('b',))
    """
    strangers = [id for id in (*(one.id for one in answer.labels), *answer.refused) if id not in set(query.ids)]
    if strangers:
        raise ValueError(f"annotator {annotator} answered {strangers[0]!r}, which round {query.round} did not ask for")
    number = folder.next_return(query.round)
    filed = [label for label in answer.labels if label.where != GROUND_TRUTH]
    labels = {label.id: label for label in answer.labels if label.where == GROUND_TRUTH}
    refused = dict(answer.refused)
    if filed:
        place = folder.answers_path(query.round, number)
        with new_folder(place) as temporary:
            for label in _kept(filed, temporary, source):
                if label.where:
                    labels[label.id] = label.under(place.relative_to(folder.round_path(query.round)))
                else:
                    refused[label.id] = "its label annotates no pixel"
    if labels or refused:
        in_order = [labels[id] for id in dict.fromkeys(one.id for one in answer.labels) if id in labels]
        folder.write_labels(query.round, in_order, annotator, refused=refused, number=number)
    return answer.waiting


def _kept(labels: Sequence[Label], folder: Path, source: Source) -> list[Label]:
    """Labels with their files below a folder; ``where`` is empty where nothing is annotated."""
    copies = _copies(dict.fromkeys(label.where for label in labels), folder / RETURNED)
    items = {label.id: source.data[source.data.index(label.id)] for label in labels}
    if not source.reads_class_numbers:
        return [replace(label, where=copies[label.where]) for label in labels]
    found = []
    groups: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        groups.setdefault((items[label.id].volume, label.where), []).append(label)
    for position, ((_, file), group) in enumerate(groups.items()):
        name = f"{position:03d}.nii.gz"
        kinds = _write_class_numbers(folder / name, file, group, items, source)
        for label in group:
            kind = kinds[label.id]
            item = items[label.id]
            found.append(
                replace(
                    label,
                    kind=label.kind if kind is None else kind,
                    where="" if kind is None else name,
                    slice=item.slice,
                    coding=CLASS_NUMBERS,
                    returned=copies[file],
                    returned_coding=label.coding,
                )
            )
    return found


def _copies(files: Mapping[str, None], folder: Path) -> dict[str, str]:
    """File -> the name of its copy, from the folder above; files of equal names lie in folders of their own."""
    found = {}
    for position, file in enumerate(files):
        path, target = Path(file), folder / f"{position:03d}"
        if not path.exists():
            raise DataError(f"{path}: the label file of an answer does not exist")
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        else:
            target.mkdir(parents=True)
            for part in stored_parts(path):
                shutil.copy2(part, target)
        found[file] = f"{RETURNED}/{target.name}/{path.name}"
    return found


def _write_class_numbers(
    path: Path, file: str, labels: Sequence[Label], items: Mapping[str, Item], source: Source
) -> dict[str, str | None]:
    """Write what a file says of some items of one volume; returns the kind of each, None where it annotates nothing."""
    pool, first = source.data, items[labels[0].id]
    codings = {label.coding for label in labels}
    if len(codings) > 1:
        raise DataError(f"{file}: its labels name several codings: {', '.join(sorted(codings))}")
    numbers = [*range(len(pool.classes)), NOT_ANNOTATED]
    values = {number: number for number in numbers} if codings == {CLASS_NUMBERS} else pool.label_values
    stored = read_volume(first.image, file, label_values=values, affine_tolerated=pool.affine_tolerated)
    assert stored.label is not None
    classes = np.full(stored.label.shape, NOT_ANNOTATED, np.uint8)
    kinds: dict[str, str | None] = {}
    for label in labels:
        z = items[label.id].slice
        place = (Ellipsis,) if z is None else (Ellipsis, z)
        classes[place] = stored.label[place]
        annotated = classes[place] != NOT_ANNOTATED
        kinds[label.id] = FULL if annotated.all() else WEAK if annotated.any() else None
    if any(kinds.values()):
        write_label_map(path, classes, like=first.image, affine=stored.affine)
    return kinds
