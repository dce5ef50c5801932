# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Signals that ask a command to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

__all__ = ["Stopped", "stop_by", "stopping"]


class Stopped(KeyboardInterrupt):
    """A signal asked the command to stop, as Ctrl-C does.

    Args:
        number: of the signal.

    Example:
        >>> Stopped(signal.SIGTERM).name
        'SIGTERM'
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = int(number)

    @property
    def name(self) -> str:
        """What the signal is called."""
        return signal.Signals(self.number).name


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """SIGTERM and SIGHUP raise :class:`Stopped` inside the block; one that is ignored, as under nohup, stays ignored.

    Outside the main thread nothing changes.

    Example:
        >>> with stopping():
        ...     signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        False
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = stop_by()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_by() -> dict[int, Any]:
    """Let SIGTERM and SIGHUP raise :class:`Stopped` from here on; returns signal -> how it was handled before.

    Example:
        >>> for number, handler in stop_by().items():
        ...     _ = signal.signal(number, handler)
    """
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        if os.getpid() != owner:  # a process that was forked off, such as a worker of a data loader
            os._exit(128 + number)
        raise Stopped(number)

    kinds = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
    heeded: dict[int, Any] = {k: signal.getsignal(k) for k in kinds if signal.getsignal(k) != signal.SIG_IGN}
    for kind in heeded:
        signal.signal(kind, stop)
    return heeded
