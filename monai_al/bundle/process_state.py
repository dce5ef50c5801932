# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a workflow changes in the process that runs it, and how that is undone."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from monai.utils import misc, set_determinism

__all__ = ["close_handlers", "quiet", "seeds_replaced", "untouched_process"]


def close_handlers(objects: Iterable[Any]) -> None:
    """Close what a workflow leaves open, such as the threads of TensorBoard's writers.

    Args:
        objects: all that it built; handlers may stand in lists.

    Example:
        >>> close_handlers([1, [None]])
    """
    for found in objects:
        for handler in found if isinstance(found, (list, tuple)) else [found]:
            if callable(getattr(handler, "attach", None)) and callable(getattr(handler, "close", None)):
                handler.close()


@contextlib.contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Say nothing by one logger.

    Example:
        >>> with quiet("monai.bundle.workflows"):
        ...     logging.getLogger("monai.bundle.workflows").warning("never said")
    """
    log = logging.getLogger(logger)
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


@contextlib.contextmanager
def untouched_process(seed: int) -> Iterator[None]:
    """Seed everything, and put back afterwards what a training workflow changes in the process.

    Args:
        seed: for Python, numpy and torch.

    Example:
        >>> before = torch.random.get_rng_state()
        >>> with untouched_process(3):
        ...     drawn = torch.initial_seed(), torch.rand(1).shape
        >>> drawn, torch.equal(torch.random.get_rng_state(), before)
        ((3, torch.Size([1])), True)
    """
    path, python, numpy_state = list(sys.path), random.getstate(), np.random.get_state()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    log = logging.getLogger()
    level, handlers = log.level, list(log.handlers)
    with torch.random.fork_rng():
        set_determinism(seed)
        try:
            yield
        finally:
            sys.path[:] = path
            random.setstate(python)
            np.random.set_state(numpy_state)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
            log.handlers[:] = handlers
            log.setLevel(level)


@contextlib.contextmanager
def seeds_replaced(seed: int) -> Iterator[None]:
    """Seed by this number wherever this process is seeded by another one; workers of a loader keep their own.

    Args:
        seed: for Python, numpy and torch.

    Example:
        >>> with untouched_process(3), seeds_replaced(3):
        ...     set_determinism(123)
        ...     torch.initial_seed()
        3
    """
    process = os.getpid()

    def replaced(begin: Callable[..., Any]) -> Callable[..., Any]:
        def begin_as_told(*args: Any, **kwargs: Any) -> Any:
            if os.getpid() != process:
                return begin(*args, **kwargs)
            misc._seed = seed  # type: ignore[assignment]  # from which MONAI seeds the transforms that are built from now on
            return begin(seed)

        return begin_as_told

    places = ((random, "seed"), (np.random, "seed"), (torch, "manual_seed"), (torch.random, "manual_seed"))
    with contextlib.ExitStack() as stack:
        for module, name in places:
            stack.enter_context(mock.patch.object(module, name, replaced(getattr(module, name))))
        yield
