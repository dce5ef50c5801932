# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How a command ends with an error: one message as the last thing on stderr, and an exit status."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from monai_al.failures.chain import chain, text_of
from monai_al.failures.log import keep_traceback, log_of
from monai_al.failures.stops import Stopped, stop_by, stopping
from monai_al.failures.told import told
from monai_al.failures.words import one_line

__all__ = ["BUG", "USER_ERROR", "show_errors_briefly", "show_failure", "shown_errors"]

BUG = 1
"""Exit status of a command that ran into a bug."""
USER_ERROR = 2
"""Exit status of a command that cannot do what it was asked for."""
_SAME_ERROR = 3.0  # seconds
_INTERRUPTED, _PIPE = 130, 141  # 128 + SIGINT, 128 + SIGPIPE

_COMMAND_LINES = ("monai.bundle.__main__", "monai_al.__main__")
_entered: list[None] = []  # one for each shown_errors that is under way


@contextlib.contextmanager
def shown_errors() -> Iterator[None]:
    """End a command as a command should: whatever is raised in the block becomes a message and an exit status.

    SIGTERM and SIGHUP stop it as Ctrl-C does.

    Raises:
        SystemExit: with the status of :func:`show_failure`.

    Example:
        >>> with shown_errors():
        ...     raise FileNotFoundError(2, "No such file or directory", "mine.yaml")
        Traceback (most recent call last):
        ...
        SystemExit: 2
    """
    _entered.append(None)
    try:
        with stopping():
            _calm_down()
            yield
            sys.stdout.flush()
    except SystemExit:
        _flush_stdout()
        raise
    except (Exception, KeyboardInterrupt) as error:
        raise SystemExit(show_failure(error)) from None
    finally:
        _entered.pop()


def show_failure(error: BaseException) -> int:
    """Print what an error means to whoever started the command, after all other output.

    The traceback of a bug, which nobody but a developer can read, goes to ``log.txt`` in the run folder, or to a
    temporary file where there is none; the message says where.

    Args:
        error: what ended the command.

    Returns:
        The exit status: 2 for an error in what was asked for or on the machine, 1 for a bug, 130 after Ctrl-C, 143
        after SIGTERM, 141 where nobody reads the output any more.

    Example:
        >>> show_failure(ValueError("somebody else's")), show_failure(KeyboardInterrupt())
        (1, 130)
    """
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        _leave_stdout()
        return _PIPE
    _end_output()
    errors = chain(error)
    if isinstance(error, KeyboardInterrupt):
        by, status = (error.name, 128 + error.number) if isinstance(error, Stopped) else ("Ctrl-C", _INTERRUPTED)
        if by == "SIGTERM" and os.environ.get("WORLD_SIZE", "1") != "1":
            by = "SIGTERM, as torchrun does it when it or another process ends"
        goes_on = "; the same command goes on" if log_of(errors) else ""
        _print(f"stopped by {by}{goes_on}")
        return status
    message = told(error)
    if message is not None:
        _print(f"error: {_told_by_another()}{message}")
        return USER_ERROR
    log = log_of(errors) or keep_traceback(error, _output_dir(errors))
    where = f"all of it is in {log}" if log else "no log of it could be written"
    what = f"{type(errors[-1]).__name__}: {one_line(text_of(errors[-1]))}".rstrip(": ")
    _print(f"error: {what}. This is a bug in monai_al, or in code that a config names: {where}")
    return BUG


def show_errors_briefly() -> None:
    """On a command line of MONAI's bundles or of this package, end with :func:`show_failure` instead of a traceback.

    Elsewhere (a notebook, a test, a script) nothing changes.

    Example:
        >>> show_errors_briefly()
    """
    if _entered:
        _calm_down()  # again, where a bundle's logging.conf came meanwhile
        return
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is None or spec.name not in _COMMAND_LINES:
        return
    _calm_down()
    if sys.excepthook is not _hook:
        sys.excepthook = _hook
        atexit.register(_flush_stdout)
        stop_by()


def _hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    raise SystemExit(show_failure(error))  # which Python heeds here


def _calm_down() -> None:
    """Keep loggers from telling what is told at the end, or that nobody reads them."""
    logging.getLogger("ignite.engine.engine").setLevel(logging.CRITICAL)  # each engine tells of each exception
    logging.raiseExceptions = False


def _end_output() -> None:
    """Whatever comes before the message: bars end their lines, and what is buffered is written."""
    bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
    for bar in sorted(getattr(bars, "_instances", ()), key=lambda bar: -bar.pos):
        with contextlib.suppress(Exception):
            bar.close()
    _flush_stdout()


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # nobody reads it, or it is closed
        _leave_stdout()


def _nobody_reads() -> bool:
    """Whether stdout or stderr is a pipe without a reader; another pipe may have broken as well."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _leave_stdout() -> None:
    """Let what is still buffered go nowhere, so that Python does not complain at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told_by_another() -> str:
    """Which process of several tells something; all but the first wait until that has had the time to tell the same."""
    rank = os.environ.get("RANK", "0")
    if rank == "0" or os.environ.get("WORLD_SIZE", "1") == "1":
        return ""
    try:
        time.sleep(_SAME_ERROR)
    except KeyboardInterrupt:  # it has, and the launcher ends this one
        raise SystemExit(USER_ERROR) from None
    return f"process {rank}: "


def _print(message: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(message, file=sys.stderr, flush=True)


def _output_dir(errors: list[BaseException]) -> Path | None:
    """Where the bundle that was running writes, if it has written there already."""
    for error in errors:
        traceback = error.__traceback__
        while traceback is not None:
            parser = _parser_of(traceback.tb_frame.f_locals.get("self"))
            if hasattr(parser, "get_parsed_content"):
                folder = parser.get("output_dir")
                path = Path(folder) if isinstance(folder, str) and folder[:1] not in ("$", "@") else None
                of_a_run = path is not None and (path / "run.json").exists()
                return path if path and path.is_dir() and (of_a_run or "learner" not in parser) else None
            traceback = traceback.tb_next
    return None


def _parser_of(workflow: Any) -> Any:
    try:
        return getattr(workflow, "parser", None)
    except Exception:  # of a workflow of MONAI that is half built
        return None
