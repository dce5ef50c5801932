# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``log.txt``: warnings, and the traceback of what went wrong."""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["LOG_NAME", "LogFile", "keep_traceback", "log_of", "log_to"]

LOG_NAME = "log.txt"
_APART = ("monai_al", "monai", "ignite")  # loggers that a bundle's logging.conf may cut off from the root
_KEPT_IN = "_kept_in"  # attribute of an error


class LogFile(logging.FileHandler):
    """Writes warnings to a file; one that cannot be written is told by whoever cannot do without it.

    Args:
        path: the file.
        begun: whether it may be written already.

    Example:
        >>> LogFile(Path("runs/a/log.txt"), begun=False).begun
        False
    """

    def __init__(self, path: Path, *, begun: bool) -> None:
        super().__init__(path, delay=True, encoding="utf-8")
        self.path, self.begun = path, begun
        self._waiting: list[logging.LogRecord] = []
        self.setLevel(logging.WARNING)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def begin(self) -> None:
        """From here on the file may be written; what came before is."""
        self.begun = True
        for record in self._waiting:
            self.handle(record)
        self._waiting = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write an entry, or let it wait."""
        if not self.begun:
            self._waiting.append(record)
            return
        with contextlib.suppress(OSError):  # of opening the file
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Go on: a full disk, for instance, does not end a training because of its log."""


@contextlib.contextmanager
def log_to(folder: str | Path, *, begun: bool = True) -> Iterator[LogFile]:
    r"""Keep what is warned of in the block, and the traceback of an error that ends it, in the folder's ``log.txt``.

    The file appears with its first entry. Yields the log.

    Args:
        folder: such as that of a run.
        begun: whether the folder may be written. Otherwise entries wait until :meth:`LogFile.begin` is called, and are
            lost where it is not.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with log_to(folder) as log:
        ...         logging.getLogger("monai_al").warning("too few items")
        ...     log.path.read_text().split(" ", 2)[2]
        'WARNING too few items\n'
    """
    handler = LogFile(Path(folder) / LOG_NAME, begun=begun)
    loggers = [logging.root, *(one for one in map(logging.getLogger, _APART) if not one.propagate)]
    show = warnings.showwarning

    def show_and_keep(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None):
        show(message, category, filename, lineno, file, line)
        handler.handle(
            logging.LogRecord(
                "warnings", logging.WARNING, filename, lineno, f"{category.__name__}: {message}", (), None
            )
        )

    for logger in loggers:
        logger.addHandler(handler)
    warnings.showwarning = show_and_keep
    try:
        yield handler
    except BaseException as error:
        if handler.begun and isinstance(error, Exception):
            keep_traceback(error, Path(folder))
        elif handler.begun:  # it was stopped
            setattr(error, _KEPT_IN, handler.path)
        raise
    finally:
        warnings.showwarning = show
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


def keep_traceback(error: BaseException, folder: Path | None) -> Path | None:
    """Write the traceback of an error to a folder's log, or to a temporary file where there is no such folder.

    Args:
        error: what ended a command.
        folder: of the run; None takes a temporary file.

    Returns:
        The file; None where none can be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     keep_traceback(ValueError("no items"), Path(folder)).read_text().splitlines()[-1]
        'ValueError: no items'
    """
    lines = "".join(traceback.format_exception(error))
    entry = f"{time.strftime('%Y-%m-%d %H:%M:%S')} ERROR in: {' '.join(sys.argv)}\n{lines}"
    for place in (folder, None):
        if place is not None and not place.is_dir():
            continue
        with contextlib.suppress(OSError):
            path = place / LOG_NAME if place else Path(tempfile.mkstemp(prefix="monai_al_", suffix=".log")[1])
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(entry)
            setattr(error, _KEPT_IN, path)
            return path
    return None


def log_of(errors: list[BaseException]) -> Path | None:
    """Where the traceback of one of these errors lies, if it was kept.

    Example:
        >>> log_of([ValueError("no items")]) is None
        True
    """
    return next((getattr(error, _KEPT_IN) for error in errors if hasattr(error, _KEPT_IN)), None)
