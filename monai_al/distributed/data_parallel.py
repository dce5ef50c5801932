# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A trainer of MONAI's that becomes one of several that train one network together."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.data.utils import set_rnd
from monai.engines import IterationEvents
from monai.utils import CommonKeys
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from monai_al.distributed.dealt_batches import DealtBatches
from monai_al.distributed.launched import device_identity, refuse_shared_devices
from monai_al.distributed.process_group import hidden_group, open_group

__all__ = ["train_together"]

logger = logging.getLogger(__name__)

_OPTIONS = inspect.signature(DistributedDataParallel.__init__).parameters
_BUFFERS_STAY: dict[str, Any] = {
    "forward_sync_buffers" if "forward_sync_buffers" in _OPTIONS else "broadcast_buffers": False
}


@contextlib.contextmanager
def train_together(trainer: Any, *, seed: int) -> Iterator[None]:
    """Let a trainer do its part of a training that all processes do; each of them enters this just before it starts.

    Its network is put into a ``DistributedDataParallel``. Every batch is shared out among the processes, so that a step
    sees the items that it sees in one process, each once, and takes the mean gradient over them; batch normalization
    alone, and losses over a whole batch, see the share of their process. Batches of a sampler that knows of
    processes, such as :class:`~monai_al.data.GroupBatchSampler`, are one process's each. The statistics of
    normalization layers are averaged after each step. Random transforms and dropout differ between the processes. Where
    the trainer stops early in one process, it stops in all.

    What follows the training inside the block is the first process's alone, which sees no process group then. The
    others leave the block as soon as the trainer has run.

    Args:
        trainer: with ``network`` and ``data_loader``, not started yet.
        seed: that of the training; the others derive theirs from it.

    Raises:
        ValueError: the batches cannot be shared out, or two processes have one GPU.

    Example:
        >>> with train_together(trainer, seed=0):  # doctest: +SKIP
        ...     trainer.run()
    """
    rank, size, group = dist.get_rank(), dist.get_world_size(), open_group()
    _share_batches(trainer, rank, size, group)
    network = _parallel(trainer, group)
    _Lockstep(trainer, network, group).attach(trainer)
    if rank > 0:
        _draw_apart(trainer.data_loader, seed + rank)
    with contextlib.ExitStack() as alone, _hushed(trainer):

        def part() -> None:
            if rank > 0:
                raise _TrainingDone(0)
            alone.enter_context(hidden_group())

        trainer.add_event_handler(Events.COMPLETED, part)
        with contextlib.suppress(_TrainingDone):
            yield


class _TrainingDone(SystemExit):
    """No error, and caught by nothing that catches errors; a process that runs the training alone ends by it."""


def _share_batches(trainer: Any, rank: int, size: int, group: dist.ProcessGroup) -> None:
    loader = trainer.data_loader
    indexed = isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset)
    if not indexed or loader.batch_sampler is None:
        raise ValueError(
            "the batches of this training cannot be shared out among processes: it needs a DataLoader over a data set "
            "with a length and an index; train it in one process"
        )
    sampler, before = loader.batch_sampler, len(loader)
    if isinstance(getattr(sampler, "sampler", None), DistributedSampler):  # the config shares out by itself
        _tell_repeated(len(loader.dataset), sampler.sampler)  # type: ignore[arg-type]
    elif hasattr(sampler, "num_replicas") and hasattr(sampler, "rank"):
        _one_batch_each(sampler, rank, size)
    else:
        dealt = DealtBatches(sampler, rank, size, group)
        object.__setattr__(loader, "batch_sampler", dealt)  # what a DataLoader forbids once it is built
    if trainer.state.epoch_length == before:
        trainer.state.epoch_length = len(loader)


def _one_batch_each(sampler: Any, rank: int, size: int) -> None:
    batches = len(sampler)
    if batches < size:
        raise ValueError(f"{batches} batches cannot be shared out among {size} processes: start fewer")
    sampler.rank, sampler.num_replicas = rank, size
    if batches % size:
        logger.warning("%d of %d batches of an epoch are left out: %d processes", batches % size, batches, size)


def _tell_repeated(items: int, sampler: Any) -> None:
    given = sampler.total_size
    if given != items:
        done = "sees twice" if given > items else "leaves out"
        logger.warning("the config's own sampler %s %d of %d items in an epoch", done, abs(given - items), items)


def _parallel(trainer: Any, group: dist.ProcessGroup) -> DistributedDataParallel:
    """The trainer's network as a part of one that all processes have."""
    if isinstance(trainer.network, DistributedDataParallel):
        return trainer.network
    device = next(trainer.network.parameters()).device
    on_gpu = device.type == "cuda"
    if on_gpu:
        _refuse_shared_gpu(device, group)
    trainer.network = DistributedDataParallel(
        trainer.network,
        device_ids=[device] if on_gpu else None,
        process_group=None if on_gpu else group,
        find_unused_parameters=True,
        **_BUFFERS_STAY,
    )
    return trainer.network


@contextlib.contextmanager
def _hushed(trainer: Any) -> Iterator[None]:
    """Say nothing on stderr while the first batch passes: DDP would tell that no parameter is unused."""
    saved: list[int] = []
    begun: list[None] = []

    def hush() -> None:
        if not begun:
            begun.append(None)
            saved.append(os.dup(2))
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 2)

    def speak() -> None:
        while saved:
            os.dup2(saved[-1], 2)
            os.close(saved.pop())

    if IterationEvents.FORWARD_COMPLETED in trainer._allowed_events:
        trainer.add_event_handler(Events.ITERATION_STARTED, hush)  # the last of its handlers
        trainer.add_event_handler(IterationEvents.FORWARD_COMPLETED, speak)
    try:
        yield
    finally:  # whatever ended it
        speak()


def _refuse_shared_gpu(device: torch.device, group: dist.ProcessGroup) -> None:
    devices: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(devices, device_identity(device), group=group)
    refuse_shared_devices(devices)


class _Lockstep:
    """Keeps the processes of a training at the same step, with the same weights."""

    def __init__(self, trainer: Any, network: DistributedDataParallel, group: dist.ProcessGroup) -> None:
        self.group, self.of_network = group, network.process_group
        self.weight = 1.0  # share of the batch's samples that are this process's
        self.agreed = False  # that the training stops
        statistics = [module for module in network.module.modules() if isinstance(module, _NormBase)]
        self.statistics = [
            value for module in statistics for value in (module.running_mean, module.running_var) if value is not None
        ]
        theirs = {id(value) for module in statistics for value in module.buffers(recurse=False)}
        self.others = [value for value in network.module.buffers() if id(value) not in theirs]
        network.register_comm_hook(None, lambda state, bucket: self._mean_over_samples(bucket))

    def attach(self, trainer: Any) -> None:
        trainer.add_event_handler(Events.ITERATION_STARTED, self._begin)
        done = IterationEvents.MODEL_COMPLETED
        trainer.add_event_handler(done if done in trainer._allowed_events else Events.ITERATION_COMPLETED, self._align)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        trainer.add_event_handler(Events.TERMINATE, self._tell_others)

    def _begin(self, engine: Any) -> None:
        own = _n_samples(engine.state.batch)
        samples, stopped = self._summed(own, 0)
        self.weight = own / samples if samples else 0.0
        if stopped:
            self.agreed = True
            engine.terminate()

    def _end_epoch(self, engine: Any) -> None:
        """Stop where one process stops, as by a handler that ran before this one."""
        if self._summed(0, int(engine.should_terminate))[1]:
            self.agreed = True
            engine.terminate()

    def _tell_others(self, engine: Any) -> None:
        """Where this process stops after a step, the others learn it at their next step, or at the epoch's end."""
        if not self.agreed:
            self._summed(0, 1)

    def _summed(self, *numbers: int) -> list[int]:
        total = torch.tensor(numbers, dtype=torch.int64)
        dist.all_reduce(total, group=self.group)
        return total.tolist()

    def _mean_over_samples(self, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        gradient = bucket.buffer().mul_(self.weight)
        summed = dist.all_reduce(gradient, group=self.of_network, async_op=True)
        assert summed is not None
        return summed.get_future().then(lambda found: found.value()[0])

    @torch.no_grad()
    def _align(self, engine: Any) -> None:
        if self.statistics:
            flat = torch.cat([value.flatten().float() for value in self.statistics])
            dist.all_reduce(flat, group=self.of_network)
            flat /= dist.get_world_size(self.of_network)
            parts = flat.split([value.numel() for value in self.statistics])
            for value, part in zip(self.statistics, parts, strict=True):
                value.copy_(part.view_as(value))
        for value in self.others:
            dist.broadcast(value, src=0, group=self.of_network)


def _n_samples(batch: Any) -> int:
    if isinstance(batch, Mapping):
        batch = batch[CommonKeys.IMAGE] if CommonKeys.IMAGE in batch else next(iter(batch.values()))
    elif isinstance(batch, (list, tuple)) and batch and isinstance(batch[0], torch.Tensor):
        batch = batch[0]
    return len(batch)


def _draw_apart(loader: DataLoader, seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    set_rnd(loader.dataset, seed=seed % 2**32)
    if loader.generator is not None:  # which seeds the workers
        loader.generator.manual_seed(seed)
