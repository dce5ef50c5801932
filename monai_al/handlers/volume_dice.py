# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The Dice of whole volumes as a metric of MONAI's engines, while their slices pass in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_al.handlers.whole_volumes import hard_labels
from monai_al.metrics import DiceCounts, dice_counts, mean_dice
from monai_al.uncertainty import probabilities

__all__ = ["VolumeDice"]


class VolumeDice:
    """3D Dice of the volumes that a validation predicts, on the grid of the network's input.

    Attach it like a metric: ``SupervisedEvaluator(..., key_val_metric={"val_dice": VolumeDice()}, decollate=False)``
    over a :class:`monai_al.data.SliceDataset`. Pixels are counted per volume and class, and averaged as the scores of a
    round are, in the order classes, volumes, patients, with the policy ``"strict"``: a class that is in neither the
    truth nor the prediction of a volume has no share, one that is in only one of them counts 0. Pixels of 255 are not
    annotated and count nowhere. Of several channels the most probable class is taken; one channel is a sigmoid's.

    Raises:
        ValueError: after a validation without any foreground in its truth.

    Example:
        >>> import torch
        >>> from monai.engines import SupervisedEvaluator
        >>> label = torch.tensor([[[[0, 1, 1]]], [[[1, 0, 255]]]])  # two slices of a volume
        >>> batch = {"image": label.float(), "label": label, "volume": torch.zeros(2), "patient": torch.zeros(2)}
        >>> network = torch.nn.Conv2d(1, 1, 1)
        >>> _ = network.weight.data.fill_(1), network.bias.data.fill_(-0.5)
        >>> evaluator = SupervisedEvaluator(
        ...     "cpu", [batch], network, key_val_metric={"val_dice": VolumeDice()}, decollate=False
        ... )
        >>> evaluator.run()
        >>> evaluator.state.metrics["val_dice"]
        1.0
    """

    def __init__(self) -> None:
        self.reset()

    def attach(self, engine: Engine, name: str) -> None:
        """Measure every run of an evaluator.

        Args:
            engine: its batches hold ``volume`` and ``patient``, its output ``pred`` and ``label``.
            name: key in ``engine.state.metrics``.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.publish, name)

    def reset(self) -> None:
        """Forget all volumes."""
        self._counts: dict[Any, np.ndarray] = {}
        self._patients: dict[Any, Any] = {}

    def __call__(self, engine: Any) -> None:
        """Count the pixels of the batch that the engine has just predicted."""
        output, batch = engine.state.output, engine.state.batch
        logits, label = output[CommonKeys.PRED].detach(), output[CommonKeys.LABEL]
        predicted = hard_labels(probabilities(logits, "sigmoid" if logits.shape[1] == 1 else "softmax"))
        counts = dice_counts(
            predicted.cpu().numpy(), label[:, 0].cpu().numpy(), n_classes=max(logits.shape[1], 2), axis=0
        )
        keys = zip(np.asarray(batch["volume"]).tolist(), np.asarray(batch["patient"]).tolist(), strict=True)
        for (volume, patient), numbers in zip(keys, np.stack(counts, axis=1), strict=True):
            self._counts[volume] = self._counts.get(volume, 0) + numbers
            self._patients[volume] = patient

    def publish(self, engine: Any, name: str) -> None:
        """Leave the mean in the engine's metrics."""
        counts = DiceCounts(*np.stack(list(self._counts.values()), axis=1))
        if not counts.truth.any():
            raise ValueError(
                "the validation part holds no foreground, so that its Dice is undefined: give another "
                "--validation_fraction or --split_seed, or --key_metric loss"
            )
        engine.state.metrics[name] = mean_dice(counts, list(self._patients.values()))
