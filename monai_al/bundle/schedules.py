# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How the learning rate changes over one training, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.optimizers import WarmupCosineSchedule
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, PolynomialLR

from monai_al.bundle.errors import BundleConfigError

__all__ = ["learning_rate_schedule"]

_SCHEDULES: dict[str, Callable[..., LRScheduler]] = {
    "one_cycle": lambda optimizer, steps, **_: OneCycleLR(optimizer, max_lr=_rates(optimizer), total_steps=steps),
    "polynomial": lambda optimizer, steps, **_: PolynomialLR(optimizer, total_iters=steps, power=0.9),
    "warmup_cosine": lambda optimizer, steps, warmup, end_learning_rate: WarmupCosineSchedule(
        optimizer, warmup_steps=round(warmup * steps), t_total=steps, end_lr=end_learning_rate
    ),
}


def learning_rate_schedule(
    name: str,
    optimizer: torch.optim.Optimizer,
    total_steps: int,
    *,
    warmup: float = 0.1333,
    end_learning_rate: float = 0.0,
) -> LRScheduler:
    """A scheduler that is stepped once per optimiser step.

    Args:
        name: ``one_cycle`` (rises to the optimiser's rate and falls to almost 0), ``polynomial`` (falls from it with
            power 0.9) or ``warmup_cosine`` (rises to it linearly, then falls along a cosine).
        optimizer: with the largest rate. A scheduler changes it as soon as it is built, so a constant rate has none.
        total_steps: optimiser steps of the whole training.
        warmup: of ``warmup_cosine``: share of the steps in which it rises.
        end_learning_rate: of ``warmup_cosine``: where it ends.

    Raises:
        BundleConfigError: there is no such schedule, or the optimizer is none.

    Example:
        >>> optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)
        >>> scheduler = learning_rate_schedule("polynomial", optimizer, 10)
        >>> for _ in range(10):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.0]
    """
    if name not in _SCHEDULES:
        raise BundleConfigError(f"--lr_schedule must be constant or one of {', '.join(_SCHEDULES)}, got {name!r}")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise BundleConfigError(
            f"--optimizer must be one of torch or MONAI for a learning_rate_schedule, got {optimizer!r}"
        )
    return _SCHEDULES[name](optimizer, total_steps, warmup=warmup, end_learning_rate=end_learning_rate)


def _rates(optimizer: Any) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]
