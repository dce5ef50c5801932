# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from monai_al.selection import flat_index as module
from monai_al.selection.flat_index import faiss_module, flat_index, has_faiss, has_gpu

pytestmark = pytest.mark.skipif(not has_faiss(), reason="faiss is not installed")


def by_faiss(rows, others):
    with flat_index(others) as nearest:
        return nearest(rows)


def by_pairs(rows, others) -> tuple[np.ndarray, np.ndarray]:
    distances = ((rows[:, None].astype(float) - others.astype(float)) ** 2).sum(-1)
    return distances.min(1), distances.argmin(1)


@pytest.mark.parametrize("n", [1, 5, 300])  # of few rows faiss adds up differences, of many it takes products
@pytest.mark.parametrize("dim", [1, 7, 200])
def test_equals_all_pairs(n, dim):
    rng = np.random.default_rng(dim)
    rows, others = rng.normal(size=(n, dim)).astype("f4"), rng.normal(size=(40, dim)).astype("f4")
    distances, found = by_faiss(rows, others)
    expected, which = by_pairs(rows, others)
    assert (distances.dtype, found.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(distances, expected, rtol=1e-4, atol=1e-5)
    assert (found == which).mean() > 0.99
    again, same = by_faiss(np.asfortranarray(rows), np.asfortranarray(others))
    assert np.array_equal(found, same)
    assert np.array_equal(distances, again)


def test_the_distances_of_a_gpu_are_computed_again(monkeypatch):
    """There the products may have few digits: a stand-in for it, as no GPU is needed for this."""
    import faiss

    class Coarse:
        def __init__(self, index):
            self.index = index

        def add(self, rows):
            self.index.add(rows)

        def search(self, rows, k):
            distances, found = self.index.search(rows, k)
            return distances * np.float32(0.9), found

    monkeypatch.setattr(module, "has_gpu", lambda faiss: True)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", Coarse, raising=False)
    rng = np.random.default_rng(0)
    rows, others = rng.normal(size=(50, 9)).astype("f4"), rng.normal(size=(40, 9)).astype("f4")
    distances, found = by_faiss(rows, others)
    expected, which = by_pairs(rows, others)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    assert np.array_equal(found, which)


def test_a_build_for_cpus_has_no_gpu():
    class Build:
        StandardGpuResources = object

        def __init__(self, gpus):
            self.gpus = gpus

        def get_num_gpus(self):
            return self.gpus

    assert has_gpu(Build(2))
    assert not has_gpu(Build(0))
    assert not has_gpu(object())


def test_threads_are_those_of_torch_meanwhile():
    import faiss

    def threads_of_blas():
        return {one["filepath"]: one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        before, blas = faiss.omp_get_max_threads(), threads_of_blas()
        with faiss_module() as found:
            assert found is faiss
            assert faiss.omp_get_max_threads() == torch.get_num_threads() == 1  # as tests/conftest.py says
            assert set(threads_of_blas().values()) == {1}
        assert faiss.omp_get_max_threads() == before
        assert threads_of_blas() == blas != dict.fromkeys(blas, 1)
