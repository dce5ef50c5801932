# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An optimizer of its own for a part of the network, beside the trainer's."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch.optim import Optimizer

__all__ = ["SecondOptimizer"]


class SecondOptimizer:
    """Step another optimizer with each step of a ``SupervisedTrainer``.

    For a part of the network that learns otherwise than the rest, which groups of parameters of one optimizer cannot
    say where its kind differs. The gradients are those of the same backward pass; with mixed precision it steps by the
    trainer's own gradient scaler. The trainer's learning rate schedule leaves it alone.

    Args:
        optimizer: of parameters that the trainer's optimizer does not have.

    Raises:
        ValueError: when the trainer starts: both optimizers have a parameter, which would be changed twice, or the
            trainer sums gradients over several batches.

    Example:
        >>> import torch
        >>> from monai.engines import SupervisedTrainer
        >>> network = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False))
        >>> first = torch.optim.Adam(network[0].parameters())
        >>> second = torch.optim.SGD(network[1].parameters(), lr=0.1)
        >>> batch = {"image": torch.ones(1, 1), "label": torch.zeros(1, 1)}
        >>> trainer = SupervisedTrainer("cpu", 1, [batch], network, first, torch.nn.MSELoss(), decollate=False)
        >>> SecondOptimizer(second).attach(trainer)
        >>> before = network[1].weight.item()
        >>> trainer.run()
        >>> network[1].weight.item() != before
        True
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def attach(self, engine: Engine) -> None:
        """Step while the trainer runs.

        Args:
            engine: a trainer.
        """
        engine.add_event_handler(Events.STARTED, self._check)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._step)

    def _check(self, engine: Any) -> None:
        if getattr(engine, "accumulation_steps", 1) > 1:
            raise ValueError("a second optimizer cannot step once for several batches: set accumulation_steps to 1")
        shared = _parameters(engine.optimizer) & _parameters(self.optimizer)
        if shared:
            raise ValueError(
                f"the trainer's optimizer and the second one have {len(shared)} parameters in common: give each its own"
            )
        self.optimizer.zero_grad()

    def _step(self, engine: Any) -> None:
        if engine.amp and engine.scaler is not None:
            engine.scaler.step(self.optimizer)  # the trainer updates the scale after its own step
        else:
            self.optimizer.step()
        self.optimizer.zero_grad()


def _parameters(optimizer: Optimizer) -> set[Any]:
    return {parameter for group in optimizer.param_groups for parameter in group["params"]}
