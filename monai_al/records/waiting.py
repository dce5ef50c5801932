# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What several processes want to make is made by one, and the others wait for it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import filelock

__all__ = ["alone_with"]

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def alone_with(folder: Path, other: str) -> Iterator[None]:
    """One process at a time makes an entry of a cache; the others say what another one does, and wait.

    Args:
        folder: the entry; the lock lies beside it, in a folder that is there.
        other: what is said.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root, alone_with(Path(root) / "entry", "another one makes it"):
        ...     print("made")
        made
    """
    lock = filelock.FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("%s: waiting for it", other)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
