# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that the network of a round makes for the training of the next one alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from monai_al.data.label_files import write_label_map
from monai_al.records import NOT_ANNOTATED, PSEUDO, Item, Label, LabelReturn, Labels, Pool, RunFolder
from monai_al.records.files import new_folder
from monai_al.records.pseudo_labels import (
    PSEUDO_FOLDER,
    forget_pseudo_labels,
    read_pseudo_labels,
    write_pseudo_labels,
)
from monai_al.sources import Source

__all__ = ["pseudo_labeled", "record_pseudo_labels"]

Predict = Callable[[Item], np.ndarray | None]


def record_pseudo_labels(
    folder: RunFolder, number: int, ids: Sequence[str], strategy: str, source: Source, predict: Predict
) -> None:
    """Record what a network predicts of some items as their labels of one round.

    To be called before the query of the round is recorded: until then they are made anew, whatever is there.

    Args:
        folder: the run folder.
        number: the round that is to train with them.
        ids: of the items.
        strategy: the name of who chose them.
        source: the data, which have a cache.
        predict: the label map of an item's volume on its stored grid, as :func:`monai_al.passes.predict_volume` gives
            it.

    Example:
        >>> import tempfile
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.sources import SliceSource
        >>> with tempfile.TemporaryDirectory() as path:
        ...     pool = phantom(path, patients=1, shape=(16, 16, 6))
        ...     source = SliceSource(pool, VolumeCache(path, label_values=pool.label_values, progress=False))
        ...     predicted, ids = np.ones((16, 16, 6), np.uint8), [item.id for item in pool[2:4]]
        ...     record_pseudo_labels(RunFolder(path), 1, ids, "mine", source, lambda item: predicted)
        ...     [item.slice for item in pseudo_labeled(RunFolder(path), 1, pool)]
        [2, 3]
    """
    place = folder.round_path(number)
    forget_pseudo_labels(place)
    if not ids:
        return
    volumes: dict[str, list[Item]] = {}
    for id in ids:
        item = source.data[source.data.index(id)]
        volumes.setdefault(item.volume, []).append(item)
    with new_folder(place / PSEUDO_FOLDER) as temporary:
        labels = [
            label
            for position, items in enumerate(volumes.values())
            for label in _write(temporary / f"{position:03d}.nii.gz", items, source, predict)
        ]
    of_id = {label.id: label for label in labels}
    write_pseudo_labels(place, [of_id[id] for id in ids], strategy)


def _write(path: Path, items: Sequence[Item], source: Source, predict: Predict) -> list[Label]:
    """Write what is predicted of some items of one volume, 255 everywhere else."""
    first = items[0]
    predicted = predict(first)
    assert predicted is not None
    assert source.cache is not None
    classes = np.full(predicted.shape, NOT_ANNOTATED, np.uint8)
    for item in items:
        plane = (Ellipsis,) if item.slice is None else (Ellipsis, item.slice)
        classes[plane] = predicted[plane]
    affine = source.cache.get(first).geometry.stored_affine
    write_label_map(path, classes, like=first.image, affine=affine, slice_axis=first.slice_axis)
    return [Label(item.id, PSEUDO, f"{PSEUDO_FOLDER}/{path.name}", item.slice) for item in items]


def pseudo_labeled(folder: RunFolder, number: int, pool: Pool) -> list[Item]:
    """The items that train with a pseudo label in a round, with the files of these labels.

    Who has a label of an annotator meanwhile trains with that.

    Args:
        folder: the run folder.
        number: the round.
        pool: the items that may be annotated.

    Example:
        >>> pseudo_labeled(RunFolder("no/run"), 1, Pool([]))
        []
    """
    labels = Labels([LabelReturn(tuple(read_pseudo_labels(folder.round_path(number))))])
    known = folder.labels(number) if labels else ()
    return labels.of_items(pool[pool.index(id)] for id in labels if id not in known)
