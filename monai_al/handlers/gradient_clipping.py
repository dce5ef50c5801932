# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Gradients of no more than some norm."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch.optim import Optimizer

__all__ = ["GradientClipping"]


class GradientClipping:
    """Scale the gradients down before each step of an optimizer, so that their norm is at most ``max_norm``.

    The norm is that of all gradients together. What is clipped is what the optimizer is about to apply: gradients that
    have been summed over several batches, and with mixed precision the gradients without the loss's scale.

    Args:
        optimizer: of the trainer that this is attached to.
        max_norm: the largest Euclidean norm.

    Raises:
        ValueError: the norm is not above 0.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> optimizer = torch.optim.SGD([weight], lr=1.0)
        >>> def train(engine, batch):
        ...     weight.grad = torch.tensor([30.0, 40.0])
        ...     optimizer.step()
        >>> trainer = Engine(train)
        >>> GradientClipping(optimizer, max_norm=5.0).attach(trainer)
        >>> _ = trainer.run([None])
        >>> [round(value, 3) for value in weight.tolist()]
        [-3.0, -4.0]
    """

    def __init__(self, optimizer: Optimizer, max_norm: float = 1.0) -> None:
        if not max_norm > 0:
            raise ValueError(f"max_norm must be above 0, got {max_norm}")
        self.optimizer = optimizer
        self.max_norm = max_norm
        self._hook: Any = None

    def attach(self, engine: Engine) -> None:
        """Clip while the trainer runs.

        Args:
            engine: a trainer.
        """
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.COMPLETED, self._stop)

    def _start(self, engine: Engine) -> None:
        self._stop(engine)  # a run that failed has not reached its end
        self._hook = self.optimizer.register_step_pre_hook(self._clip)

    def _stop(self, engine: Engine) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _clip(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        gradients = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        scale = getattr(optimizer, "grad_scale", None)  # a fused optimizer takes the loss's scale off by itself
        torch.nn.utils.clip_grad_norm_(gradients, self.max_norm if scale is None else self.max_norm * float(scale))
