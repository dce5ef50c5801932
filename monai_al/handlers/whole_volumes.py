# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole volumes on their stored grid, gathered while an evaluator predicts their slices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from monai_al.data import VolumeCache
from monai_al.records import Item
from monai_al.uncertainty import probabilities

__all__ = ["WholeVolumeHandler", "hard_labels"]


class WholeVolumeHandler(ABC):
    """Gathers slice predictions into volumes, takes each back to its stored grid, and hands it on.

    Attach it to a ``SupervisedEvaluator(decollate=False)`` over a :class:`monai_al.data.SliceDataset` in pool order.
    A volume is handed on and dropped as soon as its last slice is predicted, so memory holds one volume at a time.

    Args:
        items: the items the evaluator predicts; all slices of every volume.
        cache: where their volumes lie.
        activation: softmax, sigmoid or none.
        volumes: those of the items' volumes that are gathered, where another process gathers the others; None: all.

    Raises:
        ValueError: the activation is ``"multilabel"``; during the run: a volume lacks slices, or an item is predicted
            twice.

    Example:
        >>> class Names(WholeVolumeHandler):
        ...     def take_volume(self, item, probs):
        ...         print(item.volume, tuple(probs.shape))
        >>> Names([], cache=None).activation
        'softmax'
    """

    def __init__(
        self,
        items: Sequence[Item],
        cache: VolumeCache,
        activation: str = "softmax",
        volumes: Collection[str] | None = None,
    ) -> None:
        if activation == "multilabel":
            raise ValueError("overlapping classes have no label map; score their channels one by one")
        self.cache = cache
        self.activation = activation
        self._items = {item.id: item for item in items}
        own = items if volumes is None else [item for item in items if item.volume in volumes]
        self._own = {item.id: item for item in own}
        self._left: dict[str, set[str]] = {}
        self._planes: dict[str, torch.Tensor] = {}

    @abstractmethod
    def take_volume(self, item: Item, probs: torch.Tensor) -> None:
        """Take in one volume.

        Args:
            item: its item that was predicted last.
            probs: probabilities ``(D, C, H, W)`` on the stored grid.
        """

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)  # before any postprocessing
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _start(self, engine: Engine) -> None:
        self._planes, self._left = {}, {}
        for item in self._own.values():
            self._left.setdefault(item.volume, set()).add(item.id)
        for item in self._own.values():
            if item.slice is not None and len(self._left[item.volume]) != len(self.cache.get(item).image):
                raise ValueError(
                    f"volume {item.volume!r} has {len(self.cache.get(item).image)} slices but "
                    f"{len(self._left[item.volume])} are to be predicted: a whole volume needs all of them"
                )

    def __call__(self, engine: Engine) -> None:
        """Take in one batch of predictions."""
        output: Any = engine.state.output
        batch: Any = engine.state.batch
        predictions = probabilities(output["pred"].detach(), self.activation)
        for id, prediction in zip(batch["id"], predictions, strict=True):
            if self._items[id].id in self._own:
                self._take(self._items[id], prediction)

    def _take(self, item: Item, prediction: torch.Tensor) -> None:
        if item.id not in self._left[item.volume]:
            raise ValueError(f"item {item.id!r} was predicted twice; a whole volume needs every item once")
        volume = self.cache.get(item)
        if item.slice is None:
            planes = prediction.permute(3, 0, 1, 2) if prediction.ndim == 4 else prediction[None]
        else:
            planes = self._planes.setdefault(item.volume, prediction.new_empty(len(volume.image), *prediction.shape))
            planes[item.slice] = prediction
        self._left[item.volume].remove(item.id)
        if not self._left[item.volume]:
            self._planes.pop(item.volume, None)
            self.take_volume(item, volume.geometry.to_stored(planes))

    def _finish(self, engine: Engine) -> None:
        unfinished = [volume for volume, left in self._left.items() if left]
        if unfinished:
            raise ValueError(f"{len(unfinished)} volumes were not predicted to their end, such as {unfinished[0]!r}")


def hard_labels(probs: torch.Tensor) -> torch.Tensor:
    """Class numbers from probabilities: the most probable class, or one channel thresholded at 0.5.

    Args:
        probs: ``(D, C, H, W)``.

    Returns:
        uint8 ``(D, H, W)``.

    Example:
        >>> hard_labels(torch.tensor([0.2, 0.7, 0.1]).reshape(1, 3, 1, 1)).item()
        1
    """
    if probs.shape[1] == 1:
        return (probs[:, 0] > 0.5).to(torch.uint8)
    return probs.argmax(1).to(torch.uint8)
