# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""faiss, where it is installed: its threads, its GPUs, and the nearest of some rows by its flat index."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

__all__ = ["faiss_module", "flat_index", "has_faiss", "has_gpu"]


@contextmanager
def flat_index(rows: np.ndarray) -> Iterator[Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """The flat index of faiss, which compares with all of some rows, on the GPUs that faiss can use.

    A distance is that of faiss, from norms and products, all in float32. Where a GPU found the row, the distance to it
    is computed again here, because builds for GPUs may multiply with fewer digits. So it always belongs to one of the
    rows, though maybe not quite to the nearest, and is off by no more than float32 explains.

    Args:
        rows: ``(C, D)`` float32.

    Yields:
        A function of other rows ``(N, D)`` float32. It gives squared Euclidean distances ``(N,)`` float32, and which of
        ``rows`` they are to, ``(N,)`` int64.

    Raises:
        ImportError: faiss is not installed.

    Example:
        >>> with flat_index(np.array([[0.0, 0.0], [9.0, 9.0]], dtype=np.float32)) as nearest:
        ...     nearest(np.ones((1, 2), dtype=np.float32))
        (array([2.], dtype=float32), array([0]))
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    with faiss_module() as faiss:
        on_gpu = has_gpu(faiss)
        index = faiss.IndexFlatL2(rows.shape[1])
        if on_gpu:
            index = faiss.index_cpu_to_all_gpus(index)
        index.add(rows)

        def nearest(others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            others = np.ascontiguousarray(others, dtype=np.float32)
            distances, found = (answer[:, 0] for answer in index.search(others, 1))
            return ((others - rows[found]) ** 2).sum(-1) if on_gpu else distances, found

        yield nearest


def has_faiss() -> bool:
    """Whether faiss is installed; it is not imported.

    Example:
        >>> has_faiss() in (True, False)
        True
    """
    return importlib.util.find_spec("faiss") is not None


def has_gpu(faiss: Any) -> bool:
    """Whether faiss was built for GPUs and finds one.

    Args:
        faiss: the module.

    Example:
        >>> from types import SimpleNamespace
        >>> has_gpu(SimpleNamespace(get_num_gpus=lambda: 0))
        False
    """
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


@contextmanager
def faiss_module() -> Iterator[Any]:
    """faiss, which uses as many threads as torch meanwhile, as do all BLAS libraries.

    Raises:
        ImportError: it is not installed.

    Example:
        >>> with faiss_module() as faiss:
        ...     faiss.omp_get_max_threads() == torch.get_num_threads()
        True
    """
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(torch.get_num_threads())
    try:
        with threadpool_limits(torch.get_num_threads(), user_api="blas"):
            yield faiss
    finally:
        faiss.omp_set_num_threads(before)
