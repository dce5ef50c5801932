# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One step of the bundle's own training, on items of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from ignite.engine import Events

from monai_al.bundle import BundleConfigError
from monai_al.bundle.training_parts import handlers_of
from monai_al.bundle_check.bench import Bench
from monai_al.bundle_check.reasons import cause_of
from monai_al.failures import chain, is_deliberate
from monai_al.failures.machine import of_memory

__all__ = ["step_section"]

_ITEMS = 2


class _DoneStepError(BaseException):
    """Ends a training after its first step; nothing but the check is to catch it."""


def step_section(bench: Bench) -> Iterator[tuple[str, str]]:
    """A row about the first step of a fresh training, which then is dropped.

    Args:
        bench: where the bundle is tried, with its data read.

    Raises:
        BundleConfigError: the training fails.

    Example:
        >>> from types import SimpleNamespace as Made
        >>> from monai_al.sources.entry_source import EntrySource
        >>> source = EntrySource([{"image": "/data/a.png"}], [], preprocessing=[])
        >>> list(step_section(Made(source=source, learner=Made(training=None))))
        [('not tried', 'no item of the pool has a label yet')]
    """
    source, training = bench.source, bench.learner.training
    labeled = [item for item in source.data.part("train") if item.label is not None]
    if not labeled:
        yield "not tried", "no item of the pool has a label yet"
        return
    loader = bench.found.parts.trainer.data_loader
    number = max(_ITEMS, getattr(loader, "batch_size", 0) or 0) if getattr(loader, "drop_last", False) else _ITEMS
    losses: list[float] = []
    begun = time.perf_counter()
    try:
        training.run(
            source.entries(labeled[:number]),
            seed=bench.learner.settings.seed,
            scratch=bench.scratch,
            attach=lambda trainer: _end_after_one(trainer, losses),
        )
    except _DoneStepError:
        seconds = time.perf_counter() - begun
        told = f", loss {losses[0]:.4g}" if losses else ""
        items = f"{min(number, len(labeled))} item{'s' if min(number, len(labeled)) > 1 else ''}"
        yield "trains", f"its first step on {items} took {seconds:.1f} s, with all that is built and read for it{told}"
    except Exception as error:
        if any(map(is_deliberate, chain(error))):
            raise
        memory = next(filter(None, map(of_memory, chain(error))), None)
        why = memory or f"your bundle fails by itself in its first step: {cause_of(error)}"
        raise BundleConfigError(why) from error


def _end_after_one(trainer: Any, losses: list[float]) -> None:
    """End a trainer after one iteration; what it would save or say of that as of an error is left out."""
    for event, handler in list(handlers_of(trainer)):
        if event == Events.EXCEPTION_RAISED:
            trainer.remove_event_handler(handler, event)

    def pass_on(engine: Any, error: BaseException) -> None:  # ignite swallows what no handler of this event raises
        raise error

    def end(engine: Any) -> None:
        output = engine.state.output
        first = output[0] if isinstance(output, (list, tuple)) and output else output
        loss = first.get("loss") if isinstance(first, Mapping) else None
        if isinstance(loss, (float, torch.Tensor)):
            losses.append(float(torch.as_tensor(loss).detach().float().mean()))
        raise _DoneStepError

    trainer.add_event_handler(Events.EXCEPTION_RAISED, pass_on)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, end)
