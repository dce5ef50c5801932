# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores whole volumes on their stored grid while an evaluator predicts their slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from monai_al.data import Item, VolumeCache
from monai_al.metrics import VolumeScores, score_volume
from monai_al.uncertainty import probabilities

__all__ = ["VolumeScoresHandler"]


class VolumeScoresHandler:
    """Gathers slice predictions into volumes, takes each back to its stored grid, and scores it there.

    Attach it to a ``SupervisedEvaluator(decollate=False)`` over a :class:`monai_al.data.SliceDataset` in pool order.
    A volume is scored and dropped as soon as its last slice is predicted, so memory holds one volume at a time.

    Args:
        items: the items the evaluator predicts; all slices of every volume.
        cache: where their volumes lie.
        n_classes: number of classes with the background.
        activation: softmax, sigmoid or none; of several channels the most probable class is taken, one channel is
            thresholded at 0.5.

    Raises:
        ValueError: an item has no ground truth, or the activation is ``"multilabel"``; during the run: a volume lacks
            slices, or an item is predicted twice.

    After the run ``scores`` holds ``(volume, patient, VolumeScores)`` in order of completion.

    Example:
        >>> VolumeScoresHandler([], cache=None, n_classes=2).scores
        []
    """

    def __init__(self, items: Sequence[Item], cache: VolumeCache, n_classes: int, activation: str = "softmax") -> None:
        without = [item.id for item in items if item.label is None]
        if without:
            raise ValueError(f"{len(without)} items to be scored have no ground truth, such as {without[0]!r}")
        if activation == "multilabel":
            raise ValueError("overlapping classes have no label map; score their channels one by one")
        self.cache = cache
        self.n_classes = n_classes
        self.activation = activation
        self.scores: list[tuple[str, str, VolumeScores]] = []
        self._items = {item.id: item for item in items}
        self._left: dict[str, set[str]] = {}
        self._planes: dict[str, torch.Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)  # before any postprocessing
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _start(self, engine: Engine) -> None:
        self.scores, self._planes, self._left = [], {}, {}
        for item in self._items.values():
            self._left.setdefault(item.volume, set()).add(item.id)
        for item in self._items.values():
            if item.slice is not None and len(self._left[item.volume]) != len(self.cache.get(item).image):
                raise ValueError(
                    f"volume {item.volume!r} has {len(self.cache.get(item).image)} slices but "
                    f"{len(self._left[item.volume])} are to be predicted: 3D scores need all of them"
                )

    def __call__(self, engine: Engine) -> None:
        """Take in one batch of predictions."""
        output: Any = engine.state.output
        batch: Any = engine.state.batch
        predictions = probabilities(output["pred"].detach(), self.activation)
        for id, prediction in zip(batch["id"], predictions, strict=True):
            self._take(self._items[id], prediction)

    def _take(self, item: Item, prediction: torch.Tensor) -> None:
        if item.id not in self._left[item.volume]:
            raise ValueError(f"item {item.id!r} was predicted twice; 3D scores need every item once")
        volume = self.cache.get(item)
        if item.slice is None:
            planes = prediction.permute(3, 0, 1, 2) if prediction.ndim == 4 else prediction[None]
        else:
            planes = self._planes.setdefault(item.volume, prediction.new_empty(len(volume.image), *prediction.shape))
            planes[item.slice] = prediction
        self._left[item.volume].remove(item.id)
        if not self._left[item.volume]:
            self._planes.pop(item.volume, None)
            self._score(item, planes)

    def _score(self, item: Item, planes: torch.Tensor) -> None:
        volume = self.cache.get(item)
        labels = _hard_labels(volume.geometry.to_stored(planes)).cpu().numpy()
        spacing = volume.geometry.spacing
        score = score_volume(
            labels, volume.truth, (spacing[2], spacing[0], spacing[1]), n_classes=self.n_classes, slice_axis=0
        )
        self.scores.append((item.volume, item.patient, score))

    def _finish(self, engine: Engine) -> None:
        unfinished = [volume for volume, left in self._left.items() if left]
        if unfinished:
            raise ValueError(f"{len(unfinished)} volumes were not predicted to their end, such as {unfinished[0]!r}")


def _hard_labels(probs: torch.Tensor) -> torch.Tensor:
    """Class numbers ``(D, H, W)`` from probabilities ``(D, C, H, W)``."""
    if probs.shape[1] == 1:
        return (probs[:, 0] > 0.5).to(torch.uint8)
    return probs.argmax(1).to(torch.uint8)
