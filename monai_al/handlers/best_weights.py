# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights of the epoch that validated best, also of a training that was killed in between."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_al.networks import read_torch_file
from monai_al.records.files import write_file

__all__ = ["BestWeights"]

logger = logging.getLogger(__name__)


class BestWeights:
    """Keep the weights with the lowest validation loss in a file, and end a training that does not lower it any more.

    Attach it to an evaluator that validates during a training, and tell it the trainer by :meth:`set_trainer`, as with
    MONAI's ``EarlyStopHandler``. Its state belongs among the objects of
    :class:`~monai_al.handlers.Resumption`: MONAI's ``CheckpointSaver`` takes the first epoch after a kill for the best.

    Args:
        network: whose weights are kept.
        path: the file, ``{"model": state_dict}``; there from the first validation on, and replaced in one go.
        metric: name of the loss in the evaluator's metrics.
        patience: validations in a row that do not lower the loss, after which the training ends; None: it does not.

    Raises:
        ValueError: ``patience`` is below 1.

    Example:
        >>> import tempfile
        >>> network, losses = torch.nn.Linear(1, 1), iter([3.0, 1.0, 2.0, 5.0, 0.0])
        >>> validator = Engine(lambda engine, batch: None)
        >>> @validator.on(Events.EPOCH_COMPLETED)
        ... def measure(engine):
        ...     engine.state.metrics["val_loss"] = next(losses)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     best = BestWeights(network, f"{folder}/model.pt", patience=2)
        ...     best.attach(validator)
        ...     trainer = Engine(lambda engine, batch: None)
        ...     best.set_trainer(trainer)
        ...     _ = trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: validator.run([0]))
        ...     _ = trainer.run([0], max_epochs=5)
        >>> best.loss, best.epoch, trainer.state.epoch
        (1.0, 2, 4)
    """

    def __init__(
        self, network: torch.nn.Module, path: str | Path, *, metric: str = "val_loss", patience: int | None = None
    ) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        self.network, self.path, self.metric, self.patience = network, Path(path), metric, patience
        self.loss, self.epoch, self.failed = math.inf, 0, 0
        self._trainer: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Look at the loss after each run of an evaluator.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def set_trainer(self, trainer: Engine) -> None:
        """Say which training is to end.

        Args:
            trainer: the trainer, which runs the evaluator at the ends of its epochs.
        """
        self._trainer = trainer
        trainer.add_event_handler(Events.STARTED, self._end)  # of one that was killed just after its last validation

    def __call__(self, engine: Any) -> None:
        """Compare the evaluator's loss with the lowest one so far."""
        loss = float(engine.state.metrics[self.metric])
        if loss < self.loss:
            self.loss, self.failed = loss, 0
            self.epoch = 0 if self._trainer is None else self._trainer.state.epoch
            write_file(self.path, lambda file: torch.save({"model": self.network.state_dict()}, file))
        else:
            self.failed += 1
        self._end()

    def restore(self) -> None:
        """Load the best weights into the network.

        Raises:
            ValueError: no validation gave a finite loss.
        """
        if not math.isfinite(self.loss):
            raise ValueError("no epoch has a finite validation loss: lower the learning rate")
        self.network.load_state_dict(read_torch_file(self.path)["model"])
        logger.info("the weights of epoch %d, with a validation loss of %.5f", self.epoch, self.loss)

    def state_dict(self) -> dict[str, Any]:
        """What a training that goes on needs to know."""
        return {"loss": self.loss, "epoch": self.epoch, "failed": self.failed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what an earlier process found.

        Args:
            state: of :meth:`state_dict`.
        """
        self.loss, self.epoch, self.failed = state["loss"], state["epoch"], state["failed"]

    def _end(self) -> None:
        if self.patience is not None and self.failed >= self.patience and self._trainer is not None:
            logger.info("the validation loss was not lowered for %d validations: training ends", self.failed)
            self._trainer.terminate()
