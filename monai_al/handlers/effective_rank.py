# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Watch whether the embeddings of a contrastive training collapse."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.utils import CommonKeys
from torch import Tensor

from monai_al.metrics.effective_rank import effective_rank

__all__ = ["EffectiveRankHandler"]

logger = logging.getLogger(__name__)


class EffectiveRankHandler:
    """After each epoch give the effective rank of the last projections of its slices, and warn where they collapsed.

    It is found in ``engine.state.metrics``, so that MONAI's ``StatsHandler`` and ``TensorBoardStatsHandler`` show it:
    attach this one before them. Of each batch the first half of the predictions counts, the first views of a
    :class:`~monai_al.engines.ContrastiveBatch`. See :func:`~monai_al.metrics.effective_rank`; each process has its own.

    Args:
        limit: number of the epoch's last slices that count.
        warn_below: warn where the effective rank is below this; not where there are too few slices or dimensions to
            reach it.
        name: key in ``engine.state.metrics``.

    Example:
        >>> from monai.engines import SupervisedTrainer
        >>> network = torch.nn.Linear(4, 3, bias=False)
        >>> trainer = SupervisedTrainer(
        ...     "cpu", 1, [torch.eye(4)], network, torch.optim.SGD(network.parameters(), lr=0.1),
        ...     loss_function=lambda projections, groups: projections.sum(),
        ...     prepare_batch=lambda batch, *args: (torch.cat([batch, batch]), None), decollate=False,
        ... )
        >>> EffectiveRankHandler().attach(trainer)
        >>> trainer.run()
        >>> 1 <= trainer.state.metrics["effective_rank"] <= 3
        True
    """

    def __init__(self, limit: int = 2048, warn_below: float = 2.0, name: str = "effective_rank") -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self.limit = limit
        self.warn_below = warn_below
        self.name = name
        self.reset()

    def attach(self, engine: Engine) -> None:
        """Watch all epochs of a trainer.

        Args:
            engine: a ``SupervisedTrainer`` or another engine with its events and state.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.publish)

    def reset(self) -> None:
        """Forget all projections."""
        self._batches: deque[Tensor] = deque()
        self._rows = 0

    def __call__(self, engine: Any) -> None:
        """Keep the projections of the batch that the engine has just predicted, and only as many as count."""
        projections = engine.state.output[CommonKeys.PRED].detach()
        self._batches.append(projections[: len(projections) // 2])
        self._rows += len(self._batches[-1])
        while self._rows - len(self._batches[0]) >= self.limit:
            self._rows -= len(self._batches.popleft())

    def publish(self, engine: Any) -> None:
        """Leave the effective rank in the engine's metrics."""
        rows = torch.cat(list(self._batches))[-self.limit :].float().cpu().numpy()
        rank = effective_rank(rows)
        engine.state.metrics[self.name] = rank
        logger.info("epoch %d: effective rank %.2f of %d dimensions", engine.state.epoch, rank, rows.shape[1])
        if rank < self.warn_below <= min(rows.shape):
            logger.warning(
                "the embeddings collapsed: after epoch %d their effective rank is %.2f, below %g; try a lower learning "
                "rate, a larger batch or another temperature",
                engine.state.epoch,
                rank,
                self.warn_below,
            )
