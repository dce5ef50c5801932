# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The trainer that some code starts, caught at the moment when it starts."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from ignite.engine import Engine
from monai.engines.workflow import Workflow

from monai_al.bundle.errors import BundleConfigError

__all__ = ["before_start", "trainer_of"]


@contextlib.contextmanager
def before_start(prepare: Callable[[Any], None]) -> Iterator[None]:
    """Call a function with the trainer, an engine with an optimizer, just before it runs for the first time.

    Args:
        prepare: may change the trainer and its data set.

    Raises:
        BundleConfigError: a second trainer starts, which nobody prepares.

    Example:
        >>> trainer = Engine(lambda engine, batch: print("trains on", batch))
        >>> trainer.optimizer = None
        >>> trainer.logger.disabled = True
        >>> with before_start(lambda engine: print("gets ready")):
        ...     _ = trainer.run([1])
        gets ready
        trains on 1
    """
    started: list[Any] = []

    def watched(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def run_prepared(self: Any, *args: Any, **kwargs: Any) -> Any:
            if hasattr(self, "optimizer") and not any(self is one for one in started):
                if started:
                    raise BundleConfigError(
                        "its run starts two trainers: active learning needs one that trains on the labeled items"
                    )
                started.append(self)
                prepare(self)
            return run(self, *args, **kwargs)

        return run_prepared

    # that of MONAI looks at the length of its data before it calls that of ignite
    with (
        mock.patch.object(Engine, "run", watched(Engine.run)),
        mock.patch.object(Workflow, "run", watched(Workflow.run)),
    ):
        yield


def trainer_of(run: Callable[[], Any]) -> Any:
    """The trainer that a function starts, which does not train; None where it starts none.

    Args:
        run: what it does after the start is left out.

    Example:
        >>> trainer = Engine(lambda engine, batch: print("never"))
        >>> trainer.optimizer = None
        >>> trainer_of(lambda: trainer.run([1])) is trainer, trainer_of(lambda: 3)
        (True, None)
    """

    def stop(trainer: Any) -> None:
        raise _Started(trainer)

    try:
        with before_start(stop):
            run()
    except _Started as started:
        return started.trainer
    return None


class _Started(BaseException):
    """No error, and caught by nothing that catches errors."""

    def __init__(self, trainer: Any) -> None:
        super().__init__()
        self.trainer = trainer
