# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings in memory or in a file: their rules, and their rows in a form that is safe to compute with."""

from __future__ import annotations

import math
import mmap
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["CHUNK", "CenteredRows", "blocks", "check_embeddings", "is_in_memory", "unit_vectors"]

CHUNK = 8192
"""Rows that are read at a time, at most."""
_NUMBERS = 2**22
"""Numbers that are read at a time, at most, but for a single row."""
_MEAN_OF = 4096
"""Rows, evenly spaced, whose mean is near enough to center all."""
_EXPONENTS_OF_FLOAT32 = 100
"""Powers of two up to which float32 takes a scale."""
_LARGEST_SCALE = 400
"""Largest exponent of a scale, so that the square of the scale is still a float64."""


def check_embeddings(embeddings: Any, name: str = "embeddings", *, chunk: int = CHUNK) -> Any:
    """Embeddings ``(N, D)`` as they are where they have a shape, a NumPy dtype and slices of rows; else as an array.

    Memory-mapped arrays and datasets of open files stay where they are and are read ``chunk`` rows at a time, or
    fewer where rows are long.

    Raises:
        ValueError: not real numbers, not two-dimensional, empty, or not finite; the message says which row.

    Example:
        >>> check_embeddings([[0.5, 1.0], [float("nan"), 2.0]])
        Traceback (most recent call last):
        ...
        ValueError: embeddings[1] is not finite: column 0 holds nan
    """
    _check_chunk(chunk)
    if not isinstance(getattr(embeddings, "dtype", None), np.dtype) or not hasattr(embeddings, "shape"):
        embeddings = np.asarray(embeddings)
    shape = tuple(embeddings.shape)
    if embeddings.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be real numbers, got {embeddings.dtype}")
    if len(shape) != 2:
        raise ValueError(f"{name} must have the shape (N, D), got {shape}")
    if 0 in shape:
        raise ValueError(f"{name} of the shape {shape} are empty: there is nothing to choose from")
    for rows in blocks(shape[0], _rows_at_a_time(shape[1], chunk)):
        part = np.asarray(embeddings[rows])
        finite = np.isfinite(part)
        if not finite.all():
            row, column = np.argwhere(~finite)[0].tolist()
            raise ValueError(f"{name}[{rows.start + row}] is not finite: column {column} holds {part[row, column]}")
    return embeddings


def _rows_at_a_time(dim: int, at_most: int) -> int:
    return max(1, min(at_most, _NUMBERS // dim))


def _check_chunk(chunk: Any) -> None:
    try:
        if isinstance(chunk, bool | np.bool_) or operator.index(chunk) < 1:
            raise TypeError
    except TypeError:
        raise ValueError(f"chunk must be a whole number of rows, at least 1, got {chunk!r}") from None


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``range(n)`` in order.

    Example:
        >>> list(blocks(5, 3))
        [slice(0, 3, None), slice(3, 5, None)]
    """
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def is_in_memory(embeddings: Any) -> bool:
    """Whether this is an array whose numbers lie in memory, not in a file.

    Example:
        >>> is_in_memory(np.zeros((2, 3)))
        True
    """
    if not isinstance(embeddings, np.ndarray):
        return False
    base: Any = embeddings
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    return not isinstance(base, np.memmap | mmap.mmap)


class CenteredRows:
    r"""Rows of embeddings x, scaled without an error, or also centered with a small and known one.

    * ``scaled``: r = x * unit in float64. The unit is a power of two, so that nothing is rounded, and \|r\| < 1, so
      that no square overflows.
    * ``centered``: y = (r - center) * scale in float32. The scale is a power of two, too, and \|y\| < 1. The center
      lies near the mean and is a number of the precision of x: subtracting it rounds once, and the conversion to
      float32 at most once more, so that y is off by at most u \|y\| (1 + 2 ** -28) with u = 2 ** -24, however far the
      embeddings lie from 0, and by 2 ** -126 where it is as small as that.

    Args:
        embeddings: ``(N, D)``, as :func:`check_embeddings` returns them.
        chunk: rows that are read at a time, at most; ``chunk`` says how many that are.

    Example:
        >>> rows = CenteredRows(np.array([[6.0], [-2.0]]))
        >>> rows.scaled(slice(0, 2)).ravel().tolist()
        [0.75, -0.25]
        >>> rows.centered(slice(0, 2)).ravel().tolist()
        [0.5, -0.5]
    """

    def __init__(self, embeddings: Any, chunk: int = CHUNK) -> None:
        self.embeddings = embeddings
        self.n, self.dim = (int(size) for size in embeddings.shape)
        self.chunk = _rows_at_a_time(self.dim, chunk)
        low, high = self._ranges()
        exponent = _exponent(max(np.abs(low).max(), np.abs(high).max()))
        self.unit = math.ldexp(1.0, -exponent) if exponent > -1000 else math.ldexp(1.0, 1000)
        narrow = embeddings.dtype in (np.float16, np.float32) and abs(exponent) < _EXPONENTS_OF_FLOAT32
        self._type = np.float32 if narrow else np.float64
        some = self.scaled(slice(0, self.n, -(-self.n // _rows_at_a_time(self.dim, _MEAN_OF))))
        self.center = some.mean(0).astype(self._type).astype(np.float64)
        farthest = max((high * self.unit - self.center).max(), (self.center - low * self.unit).max())
        self.scale = math.ldexp(1.0, min(-_exponent(farthest), _LARGEST_SCALE))
        if self.scale > math.ldexp(1.0, _EXPONENTS_OF_FLOAT32):
            self._type = np.float64

    def scaled(self, rows: slice | np.ndarray) -> np.ndarray:
        """The float64 rows r of a slice, or of ascending indices."""
        return self._read(rows).astype(np.float64) * self.unit

    def centered(self, rows: slice | np.ndarray) -> np.ndarray:
        """The float32 rows y of a slice, or of ascending indices."""
        values = self._read(rows).astype(self._type)
        values *= self._type(self.unit)
        values -= self.center.astype(self._type)
        values *= self._type(self.scale)
        return values.astype(np.float32, copy=False)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice) or isinstance(self.embeddings, np.ndarray):
            return np.asarray(self.embeddings[rows])
        return np.concatenate([np.asarray(self.embeddings[i : i + 1]) for i in rows.tolist()])

    def _ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest number of each column."""
        low, high = np.full(self.dim, np.inf), np.full(self.dim, -np.inf)
        for rows in blocks(self.n, self.chunk):
            part = self._read(rows)
            low, high = np.minimum(low, part.min(0)), np.maximum(high, part.max(0))
        return low, high


def unit_vectors(embeddings: Any) -> np.ndarray:
    """The directions of embeddings, ``(N, D)`` float32 of length 1; a row of zeros stays one.

    Args:
        embeddings: as :func:`check_embeddings` returns them.

    Example:
        >>> unit_vectors(np.array([[3e200, 4e200], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    rows = CenteredRows(embeddings)
    directions = np.empty((rows.n, rows.dim), dtype=np.float32)
    for items in blocks(rows.n, rows.chunk):
        scaled = rows.scaled(items)
        largest = np.abs(scaled).max(1, keepdims=True)
        scaled /= np.where(largest > 0, largest, 1)
        norms = np.linalg.norm(scaled, axis=1, keepdims=True)
        directions[items] = scaled / np.where(norms > 0, norms, 1)
    return directions


def _exponent(value: float) -> int:
    return math.frexp(float(value))[1]
