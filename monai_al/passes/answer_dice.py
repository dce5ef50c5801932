# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How well a network says what people answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_al.inferers import TrainedNetwork
from monai_al.metrics.dice import dice_counts, dice_of_counts
from monai_al.passes.evaluating import evaluate_items
from monai_al.passes.predicting import predict_volume
from monai_al.records import Item
from monai_al.sources import Source

__all__ = ["answer_dice", "answer_rows", "dice_of_answers"]


def answer_dice(
    source: Source, trained: TrainedNetwork, items: Sequence[Item], *, batch_size: int = 64
) -> dict[str, Any]:
    """2D Dice of a network on labeled items, on their stored grid.

    The entry of a class is the mean over the items whose label holds it, and ``mean`` that of the classes. What a label
    does not annotate does not count. Items that a strategy chose are no sample of the data set: what it finds hard
    scores low.

    Args:
        source: where the items lie.
        trained: network, inferer, device and activation.
        items: the items; each names the file of its label.
        batch_size: slices per batch, at most.

    Returns:
        ``mean``, ``per_class`` {class: value} and ``items``, how many there are; None where a number is undefined. Of a
        source whose bundle alone reads its labels: what it scores.

    Example:
        >>> import tempfile, torch
        >>> from monai.inferers import SimpleInferer
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.sources import SliceSource
        >>> trained = TrainedNetwork(torch.nn.Conv2d(1, 2, 1), torch.device("cpu"), SimpleInferer(), "softmax")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6), classes=["background", "liver"])
        ...     source = SliceSource(pool, VolumeCache(folder, label_values=pool.label_values, progress=False))
        ...     found = answer_dice(source, trained, pool[2:4])
        >>> found["items"], list(found["per_class"])
        (2, ['liver'])
    """
    if source.cache is None:
        scores = evaluate_items(source, trained, items, batch_size=batch_size)["dice_2d"]
        return {"mean": scores["mean"], "per_class": scores["per_class"], "items": len(items)}
    return dice_of_answers(source, answer_rows(source, trained, items, batch_size=batch_size))


def answer_rows(
    source: Source, trained: TrainedNetwork, items: Sequence[Item], *, batch_size: int = 64
) -> list[np.ndarray]:
    """2D Dice of each foreground class of labeled items, ``(C - 1,)`` each, NaN where the label does not hold it.

    Args:
        source: where the items lie, in a cache.
        trained: network, inferer, device and activation.
        items: the items; each names the file of its label.
        batch_size: slices per batch, at most.

    Returns:
        One row per item, those of a volume together.

    Example:
        >>> import torch
        >>> from monai.inferers import SimpleInferer
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> trained = TrainedNetwork(torch.nn.Identity(), torch.device("cpu"), SimpleInferer(), "softmax")
        >>> answer_rows(SliceSource(Pool([]), cache=None), trained, [])
        []
    """
    cache: Any = source.cache
    of_volume: dict[str, list[Item]] = {}
    for item in items:
        of_volume.setdefault(item.volume, []).append(item)
    rows = []
    for own in of_volume.values():
        prediction = predict_volume(source, trained, own[0], batch_size=batch_size, on_label=True)
        assert prediction is not None
        rows += [_dice(prediction, cache.get(item).truth, item, len(source.data.classes)) for item in own]
    return rows


def dice_of_answers(source: Source, rows: Sequence[np.ndarray]) -> dict[str, Any]:
    """The means of what :func:`answer_rows` gives, as :func:`answer_dice` gives them.

    Args:
        source: where the items lie.
        rows: one per item.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> source = SliceSource(Pool([], classes=["background", "liver"]), cache=None)
        >>> dice_of_answers(source, [np.array([0.5]), np.array([np.nan])])
        {'mean': 0.5, 'per_class': {'liver': 0.5}, 'items': 2}
    """
    classes = source.data.classes[1:]
    means = [_mean(column) for column in np.transpose(rows)] if rows else [None] * len(classes)
    per_class = dict(zip(classes, means, strict=True))
    return {"mean": _mean(per_class.values()), "per_class": per_class, "items": len(rows)}


def _dice(prediction: np.ndarray, truth: np.ndarray | None, item: Item, n_classes: int) -> np.ndarray:
    """Dice of each foreground class, NaN where the label does not hold it; ``(H, W, D)`` beside ``(D, H, W)``."""
    assert truth is not None
    planes = prediction.transpose(2, 0, 1)
    if item.slice is not None:
        planes, truth = planes[item.slice : item.slice + 1], truth[item.slice : item.slice + 1]
    slices = dice_of_counts(dice_counts(planes, truth, n_classes, axis=0), "ignore_empty")
    return np.asarray([np.nan if value is None else value for value in map(_mean, slices.T)])


def _mean(values: Any) -> float | None:
    defined = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(defined)) if defined else None
