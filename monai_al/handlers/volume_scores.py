# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores whole volumes on their stored grid while an evaluator predicts their slices."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from ignite.engine import Engine

from monai_al.data import VolumeCache
from monai_al.handlers.whole_volumes import WholeVolumeHandler, hard_labels
from monai_al.metrics import VolumeScores, score_volume
from monai_al.records import Item

__all__ = ["VolumeScoresHandler"]


class VolumeScoresHandler(WholeVolumeHandler):
    """Gathers slice predictions into volumes, takes each back to its stored grid, and scores it there.

    See :class:`monai_al.handlers.WholeVolumeHandler` for how to attach it.

    Args:
        items: the items the evaluator predicts; all slices of every volume.
        cache: where their volumes lie.
        n_classes: number of classes with the background.
        activation: softmax, sigmoid or none; of several channels the most probable class is taken, one channel is
            thresholded at 0.5.
        volumes: those to score, where another process scores the others; None: all.

    Raises:
        ValueError: an item has no ground truth, or the activation is ``"multilabel"``; during the run: a volume lacks
            slices, or an item is predicted twice.

    After the run ``scores`` holds ``(volume, patient, VolumeScores)`` in order of completion, and ``outside``, what of
    the labels the network does not see, nothing.

    Example:
        >>> VolumeScoresHandler([], cache=None, n_classes=2).scores
        []
    """

    def __init__(
        self,
        items: Sequence[Item],
        cache: VolumeCache,
        n_classes: int,
        activation: str = "softmax",
        volumes: Collection[str] | None = None,
    ) -> None:
        without = [item.id for item in items if item.label is None]
        if without:
            raise ValueError(f"{len(without)} items to be scored have no ground truth, such as {without[0]!r}")
        super().__init__(items, cache, activation, volumes)
        self.n_classes = n_classes
        self.scores: list[tuple[str, str, VolumeScores]] = []
        self.outside: dict[str, dict[str, int]] = {}

    def _start(self, engine: Engine) -> None:
        self.scores = []
        super()._start(engine)

    def take_volume(self, item: Item, probs: torch.Tensor) -> None:
        """Score one volume."""
        volume = self.cache.get(item)
        spacing = volume.geometry.spacing
        score = score_volume(
            hard_labels(probs).cpu().numpy(),
            volume.truth,
            (spacing[2], spacing[0], spacing[1]),
            n_classes=self.n_classes,
            slice_axis=0,
        )
        self.scores.append((item.volume, item.patient, score))
