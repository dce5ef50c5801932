# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The processes of a run: the first says what is done, and all do it."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch.distributed as dist
from torch.distributed import distributed_c10d

from monai_al.distributed.launched import launched
from monai_al.distributed.process_group import close_group, hidden_group, is_open, open_group, shown_group
from monai_al.failures import chain, told

__all__ = ["ProcessError", "Team"]

_FAILED, _OVER = "monai_al/failed", "monai_al/over"
_FAREWELL = datetime.timedelta(seconds=20)


class ProcessError(RuntimeError):
    """Another process of a run failed, or ended.

    Example:
        >>> raise ProcessError("process 1 ended")
        Traceback (most recent call last):
        ...
        monai_al.distributed.team.ProcessError: process 1 ended
    """


class Team:
    """The processes that ``torchrun`` started; one alone is a team, too.

    The first process calls :meth:`each` and :meth:`together`, the others :meth:`serve`, which does what the first one
    says until it is over. Jobs are functions that every process has under the same name; what they are given and
    return travels between the processes.

    Example:
        >>> with Team.of_launched() as team:
        ...     team.jobs["double"] = lambda team, number: 2 * number
        ...     team.each("double", number=3)
        [6]
    """

    def __init__(self, rank: int = 0, size: int = 1, group: dist.ProcessGroup | None = None) -> None:
        self.rank, self.size, self.group = rank, size, group
        self._at_work = False
        self.jobs: dict[str, Callable[..., Any]] = {}

    @classmethod
    @contextlib.contextmanager
    def of_launched(cls) -> Iterator[Team]:
        """The team of all processes that were launched, which see no process group but in :meth:`together`."""
        if launched().size == 1 and not is_open():
            yield cls()
            return
        group = open_group()
        with hidden_group():
            team = cls(dist.get_rank(), dist.get_world_size(), group)
            try:
                yield team
            finally:
                team._end()

    @property
    def first(self) -> bool:
        """Whether this process is the one that reads, writes, talks and chooses."""
        return self.rank == 0

    def each(self, job: str, **arguments: Any) -> list[Any]:
        """Every process does a job by itself.

        Args:
            job: name of a function of ``jobs``, called with the team and the arguments.
            **arguments: the same for all.

        Returns:
            What each process's job returned, by rank.

        Raises:
            ProcessError: it failed in another process.
        """
        return self._done(False, job, arguments)

    def together(self, job: str, **arguments: Any) -> Any:
        """All processes do a job in step, and see their process group.

        Returns:
            What the first process's job returned.

        Raises:
            ProcessError: it failed in another process.
        """
        return self._done(True, job, arguments)[0]

    def _done(self, shown: bool, job: str, arguments: Mapping[str, Any]) -> list[Any]:
        if self.size == 1:
            return [self.jobs[job](self, **arguments)]
        self._at_work = True
        with self._noticing_ends():
            dist.broadcast_object_list([(shown, job, arguments)], src=0, group=self.group)
            value, error = None, None
            try:
                with shown_group() if shown else contextlib.nullcontext():
                    value = self.jobs[job](self, **arguments)
            except Exception as own:
                if shown:  # the others wait for this process in the midst of it
                    raise
                error = own
            outcomes: list[Any] = [None] * self.size
            dist.gather_object((value, None), outcomes, dst=0, group=self.group)
        self._at_work = False
        if error is not None:
            raise error
        for rank, (_, failure) in enumerate(outcomes):
            if failure is not None:
                raise ProcessError(f"process {rank}: {failure}")
        return [value for value, _ in outcomes]

    @contextlib.contextmanager
    def _noticing_ends(self) -> Iterator[None]:
        """Tell a broken connection for what it means."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, ProcessError) or not _is_of_connection(error):
                raise
            store = self._store()
            why = store.get(_FAILED).decode() if store.check([_FAILED]) else "another process ended"
            raise ProcessError(f"{why}; the same command goes on") from error

    def serve(self) -> None:
        """Do what the first process says, until it is over; in all but the first. Nothing is said or shown.

        Raises:
            SystemExit: the first process ended, or a job that all do in step failed here, which it is told.
        """
        with _ending_at_once(), _silent():
            while True:
                message: list[Any] = [None]
                try:
                    dist.broadcast_object_list(message, src=0, group=self.group)
                    if message[0] is None:
                        return
                    shown, job, arguments = message[0]
                    self._answer(shown, self.jobs[job], arguments)
                except RuntimeError as error:
                    if not _is_of_connection(error):
                        raise
                    raise SystemExit(1) from None

    def _answer(self, shown: bool, job: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        outcome: Any
        try:
            with shown_group() if shown else contextlib.nullcontext():
                outcome = (job(self, **arguments), None)
        except Exception as error:
            if shown and _is_of_connection(error):
                raise
            if shown:
                self._leave(error)
            outcome = (None, _told(error))
        dist.gather_object(outcome, None, dst=0, group=self.group)

    def _leave(self, error: Exception) -> None:
        """The others wait for this process in the midst of a job: they are told why it goes, and left alone."""
        store, told = self._store(), f"process {self.rank}: {_told(error)}"
        store.set(_FAILED, told)
        close_group()
        try:
            store.wait([_OVER], _FAREWELL)
        except Exception:  # the first process hears nothing, as where it waits for a GPU
            os.write(2, f"error: {told}; the same command goes on\n".encode())
        time.sleep(1)  # the launcher ends them all as soon as this one ends, and the first has yet to tell why
        raise SystemExit(1)

    def _store(self) -> dist.Store:
        return distributed_c10d._get_default_store()

    def _end(self) -> None:
        """Let the others go on with what follows; after a job that was not finished nobody can."""
        if not self.first:
            return
        with contextlib.suppress(Exception):
            self._store().set(_OVER, "")
        if self._at_work:
            close_group()
            return
        with contextlib.suppress(RuntimeError):  # they were ended already
            dist.broadcast_object_list([None], src=0, group=self.group)


def _told(error: Exception) -> str:
    """What an error says to whoever started the command, or, of a bug, where it was raised."""
    message = told(error)
    if message is not None:
        return message
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({os.path.basename(frame.filename)}, line {frame.lineno})"


def _is_of_connection(error: BaseException) -> bool:
    """Whether an error, or one that it followed from, is of a connection that ended."""
    known = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo", "NCCL", "DistNetworkError")
    return any(isinstance(one, RuntimeError) and any(text in str(one) for text in known) for one in chain(error))


@contextlib.contextmanager
def _ending_at_once() -> Iterator[None]:
    """Let signals end this process, whose calls into torch would heed no handler of Python's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(before)
        sys.stdout.flush()
