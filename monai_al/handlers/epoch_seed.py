# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Let what an epoch draws depend on its number, not on the epochs before."""

from __future__ import annotations

import random
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events

from monai_al.records import derived_seed

__all__ = ["EpochSeed"]


class HasEpochs(Protocol):
    """A sampler that draws anew for each epoch.

    Example:
        >>> from monai_al.data import GroupBatchSampler
        >>> sampler: HasEpochs = GroupBatchSampler([0, 1], [0, 1], [-1, -1], members=[], batch_size=2)
        >>> sampler.set_epoch(3)
    """

    def set_epoch(self, epoch: int) -> None:
        """Draw what belongs to this epoch from now on."""


class EpochSeed:
    """At the start of each epoch seed torch, NumPy and Python from the experiment's seed and the epoch.

    A training that is stopped after an epoch and goes on from its checkpoint then draws what it would have drawn:
    batches, augmentation and dropout. Attach it before handlers that draw; the data loader's new iterator is made
    after it. Processes that train together draw differently, except for the sampler, which shares its batches out.

    Not reached are random states that objects of the data loader keep over epochs in the same process: a generator of
    its own, MONAI's random transforms in the data set without workers, and workers that persist.

    Args:
        seed: the experiment's seed.
        sampler: gets ``set_epoch(epoch)``, such as :class:`~monai_al.data.GroupBatchSampler`, or torch's
            ``DistributedSampler``; None: nothing does.

    Example:
        >>> trainer = Engine(lambda engine, batch: print(engine.state.epoch, torch.rand(1) == drawn))
        >>> _ = torch.manual_seed(derived_seed(7, 2, "epoch of process 0"))
        >>> drawn = torch.rand(1)
        >>> EpochSeed(7).attach(trainer)
        >>> _ = trainer.run([None], max_epochs=2)
        1 tensor([False])
        2 tensor([True])
    """

    def __init__(self, seed: int, sampler: HasEpochs | None = None) -> None:
        self.seed = seed
        self.sampler = sampler

    def attach(self, engine: Engine) -> None:
        """Seed at the start of each epoch.

        Args:
            engine: any trainer.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Any) -> None:
        """Seed for the engine's epoch."""
        epoch = engine.state.epoch
        process = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        seed = derived_seed(self.seed, epoch, f"epoch of process {process}")
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        if self.sampler is not None:
            self.sampler.set_epoch(epoch)
