# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Let the predicted loss leave the network's features alone after some epochs."""

from __future__ import annotations

from ignite.engine import Engine, Events
from torch import nn

from monai_al.networks import LossPredictor

__all__ = ["StopFeatureGradient"]


class StopFeatureGradient:
    """After an epoch, train the loss predictor on the network's features as they are.

    D. Yoo, I. S. Kweon, "Learning loss for active learning", CVPR 2019, section 4.1, stop its gradient after epoch 120
    of 200. Attach it to any trainer; a training that goes on at a later epoch finds the right state.

    Args:
        network: holds a :class:`~monai_al.networks.LossPredictor`, or is one; it may be wrapped for several devices.
        epoch: the last epoch, counted from 1, in which the predicted loss changes the network's weights; 0: never.

    Raises:
        ValueError: there is no loss predictor in the network, or the epoch is negative.

    Example:
        >>> network = LossPredictor(nn.Sequential(nn.Conv2d(1, 4, 3)), ["0"])
        >>> trainer = Engine(lambda engine, batch: print(engine.state.epoch, network.stop_gradient))
        >>> StopFeatureGradient(network, epoch=2).attach(trainer)
        >>> _ = trainer.run([None], max_epochs=3)
        1 False
        2 False
        3 True
    """

    def __init__(self, network: nn.Module, epoch: int) -> None:
        if epoch < 0:
            raise ValueError(f"epoch must be at least 0, got {epoch}")
        self.epoch = epoch
        self._predictors = [module for module in network.modules() if isinstance(module, LossPredictor)]
        if not self._predictors:
            raise ValueError(f"{type(network).__name__} holds no LossPredictor: wrap the network in one")

    def attach(self, engine: Engine) -> None:
        """Decide at the start of each epoch.

        Args:
            engine: a trainer.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Let the gradient flow or stop it, by the engine's epoch."""
        for predictor in self._predictors:
            predictor.stop_gradient = engine.state.epoch > self.epoch
