# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A training config that runs alone, in several processes."""

from __future__ import annotations

import atexit
import contextlib
import logging
import tempfile
from typing import Any

import torch

from monai_al.bundle.scratch_writing import writing_into
from monai_al.bundle.started_trainer import before_start
from monai_al.distributed import is_open, launched, open_group, train_together

__all__ = ["distribute_training"]


def distribute_training() -> None:
    """Let the trainer that this process starts next train together with those of the other processes.

    For ``initialize`` of a training config that ``torchrun`` starts several times; ``configs/training/multi_gpu.yaml``
    does it. The first process does all that follows the training, and it alone writes where the config says. In one
    process, and in the rounds of a loop, which shares out its trainings itself, nothing happens.

    Example:
        >>> distribute_training()
    """
    own = launched()
    if own.size == 1 or is_open():
        return
    open_group()
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    if own.rank > 0:
        stack.enter_context(writing_into(stack.enter_context(tempfile.TemporaryDirectory())))
        logging.disable(logging.WARNING)

    def prepare(trainer: Any) -> None:
        stack.enter_context(train_together(trainer, seed=torch.initial_seed()))

    stack.enter_context(before_start(prepare))
