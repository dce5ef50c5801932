# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that the network of a round makes for the training of the next one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

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

__all__ = ["pseudo_labeled", "record_pseudo_labels", "without_foreground"]

Predict = Callable[[Item], np.ndarray | None]


def without_foreground(ids: Iterable[str], source: Source, predict: Predict) -> list[str]:
    """The items of which a network predicts background alone.

    As labels they would teach the next network to find nothing. Each volume is predicted once.

    Args:
        ids: of items.
        source: the data.
        predict: the label map of an item's volume, see :func:`record_pseudo_labels`.

    Example:
        >>> from monai_al.sources import SliceSource
        >>> items = [Item(f"v/{number}", "v.nii", "v", "p", slice=number) for number in range(3)]
        >>> predicted = np.zeros((8, 8, 3), np.uint8)
        >>> predicted[2:5, 3, 1] = 1
        >>> without_foreground([item.id for item in items], SliceSource(Pool(items), None), lambda item: predicted)
        ['v/0', 'v/2']
    """
    empty = []
    for items in _by_volume(ids, source).values():
        predicted = _predicted(items, predict)
        empty += [item.id for item in items if not predicted[_plane(item)].any()]
    return empty


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
    with new_folder(place / PSEUDO_FOLDER) as temporary:
        labels = [
            label
            for position, items in enumerate(_by_volume(ids, source).values())
            for label in _write(temporary / f"{position:03d}.nii.gz", items, source, predict)
        ]
    of_id = {label.id: label for label in labels}
    write_pseudo_labels(place, [of_id[id] for id in ids], strategy)


def _write(path: Path, items: Sequence[Item], source: Source, predict: Predict) -> list[Label]:
    """Write what is predicted of some items of one volume, 255 everywhere else."""
    first = items[0]
    predicted = _predicted(items, predict)
    assert source.cache is not None
    classes = np.full(predicted.shape, NOT_ANNOTATED, np.uint8)
    for item in items:
        classes[_plane(item)] = predicted[_plane(item)]
    affine = source.cache.get(first).geometry.stored_affine
    write_label_map(path, classes, like=first.image, affine=affine, slice_axis=first.slice_axis)
    return [Label(item.id, PSEUDO, f"{PSEUDO_FOLDER}/{path.name}", item.slice) for item in items]


def _by_volume(ids: Iterable[str], source: Source) -> dict[str, list[Item]]:
    volumes: dict[str, list[Item]] = {}
    for id in ids:
        item = source.data[source.data.index(id)]
        volumes.setdefault(item.volume, []).append(item)
    return volumes


def _predicted(items: Sequence[Item], predict: Predict) -> np.ndarray:
    """The label map of the volume of some items."""
    predicted = predict(items[0])
    assert predicted is not None  # of a source with a cache, which strategies that give pseudo labels are held to
    return predicted


def _plane(item: Item) -> tuple[Any, ...]:
    """Where an item lies in the label map of its volume."""
    return (Ellipsis,) if item.slice is None else (Ellipsis, item.slice)


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
