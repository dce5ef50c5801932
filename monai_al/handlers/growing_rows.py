# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows that come one batch after the other, in memory as long as they are few."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from typing import IO

import numpy as np

__all__ = ["GrowingRows"]

IN_MEMORY = 256 * 2**20


class GrowingRows:
    """Rows of equal length, of which no more than some bytes stay in memory: more of them go to a temporary file.

    The file has no name, lies in Python's folder for temporary files (``TMPDIR`` says which), and is gone when nobody
    looks at the rows any more.

    Args:
        in_memory: how many bytes may stay in memory.

    Example:
        >>> rows = GrowingRows()
        >>> rows.add(np.zeros((2, 3), dtype=np.float32))
        >>> rows.add(np.ones((1, 3), dtype=np.float32))
        >>> rows.array().tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.in_memory = in_memory
        self.n = 0
        self.columns: int | None = None
        """Numbers in a row; None before the first one."""
        self._bytes = 0
        self._waiting: list[np.ndarray] = []  # not in the file
        self._file: IO[bytes] | None = None
        self._dtype = np.dtype(np.float32)

    def add(self, rows: np.ndarray) -> None:
        """Put rows behind those that are there.

        Args:
            rows: ``(n, D)``, of the same length and type as all before.

        Raises:
            ValueError: they are of another length or type.
        """
        if self.columns is None:
            self.columns, self._dtype = rows.shape[1], rows.dtype
        if (rows.shape[1], rows.dtype) != (self.columns, self._dtype):
            raise ValueError(f"rows of {rows.shape[1]} {rows.dtype} behind rows of {self.columns} {self._dtype}")
        self.n += len(rows)
        self._waiting.append(rows)
        self._bytes += rows.nbytes
        if self._bytes > self.in_memory:
            self._to_file()

    def array(self) -> np.ndarray:
        """All rows ``(N, D)`` in the order in which they came; who changes them changes a copy.

        Raises:
            OSError: there is no room for the file.
        """
        if self._file is None:
            return np.concatenate(self._waiting) if self._waiting else np.empty((0, 0), dtype=self._dtype)
        self._to_file()
        return np.memmap(self._file, self._dtype, mode="c", shape=(self.n, self.columns or 0))

    def _to_file(self) -> None:
        folder = tempfile.gettempdir()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="monai_al_", dir=folder)  # noqa: SIM115
                weakref.finalize(self, self._file.close)  # those who look at the rows keep them
            for rows in self._waiting:
                self._file.write(np.ascontiguousarray(rows))  # type: ignore[arg-type]
            self._file.flush()
        except OSError as error:
            if self._file is not None:
                with contextlib.suppress(OSError):  # what it still holds cannot be written either
                    self._file.close()
            raise OSError(error.errno, error.strerror, folder) from None  # the file itself has no name
        self._waiting, self._bytes = [], 0
