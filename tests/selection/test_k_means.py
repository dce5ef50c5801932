# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from monai_al.selection import k_means

module = sys.modules[k_means.__module__]
HAS_FAISS = importlib.util.find_spec("faiss") is not None
BACKENDS = [
    pytest.param("faiss", marks=pytest.mark.skipif(not HAS_FAISS, reason="faiss is not installed")),
    "sklearn",
]


def blobs(n, dim, centers, spread, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Points and the blob of each."""
    rng = np.random.default_rng(seed)
    blob = rng.integers(centers, size=n)
    return (spread * rng.normal(size=(centers, dim)))[blob] + rng.normal(size=(n, dim)), blob


def squared_distances(x, centroids) -> np.ndarray:
    return np.stack([((np.asarray(x, float) - c) ** 2).sum(-1) for c in centroids.astype(float)], axis=1)


def check(x, n_clusters, centroids, clusters) -> None:
    """Shapes, and every cluster has members."""
    assert centroids.dtype == np.float32
    assert clusters.dtype == np.int64
    assert clusters.shape == (len(x),)
    assert np.isfinite(centroids).all()
    assert sorted(set(clusters.tolist())) == list(range(len(centroids)))
    assert len(centroids) == min(n_clusters, len(np.unique(np.asarray(x), axis=0)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("n", "dim", "centers", "spread", "k"),
    [(600, 2, 30, 10, 30), (600, 16, 20, 4, 15), (800, 40, 10, 1, 25), (500, 1, 5, 3, 8), (300, 5, 1, 0, 299)],
)
def test_is_as_good_as_scikit_learn(backend, n, dim, centers, spread, k):
    x, _ = blobs(n, dim, centers, spread)
    centroids, clusters = k_means(x, k, backend=backend)
    check(x, k, centroids, clusters)
    distances = squared_distances(x, centroids)
    inertia = distances[np.arange(n), clusters].sum()
    assert inertia == pytest.approx(distances.min(1).sum(), rel=1e-4)
    reference = KMeans(k, n_init=5, random_state=0).fit(x).inertia_
    assert inertia <= 1.04 * reference + 1e-9


@pytest.mark.parametrize("backend", BACKENDS)
def test_finds_blobs_that_are_far_apart(backend):
    x, blob = blobs(700, 10, 12, 20)
    for dtype in ("f2", "f4", "f8"):
        centroids, clusters = k_means(x.astype(dtype), 12, backend=backend)
        assert adjusted_rand_score(blob, clusters) == 1
        for i in range(12):
            assert np.allclose(centroids[i], x[clusters == i].mean(0), atol=0.02)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("offset", "scale"), [(1e6, 1e-3), (0, 1e-20), (0, 1e20), (0, 1e-300), (-1e9, 1e2)])
def test_neither_scale_nor_offset_matters(backend, offset, scale):
    x, blob = blobs(300, 4, 6, 20)
    centroids, clusters = k_means(offset + scale * x, 6, backend=backend)
    assert adjusted_rand_score(blob, clusters) == 1
    assert np.isfinite(centroids).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_generator_gives_the_same_answer(backend):
    x = np.random.default_rng(0).normal(size=(400, 6))
    before = x.copy()
    first, second = (k_means(x, 30, np.random.default_rng(1), n_init=1, backend=backend) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    other = k_means(x, 30, np.random.default_rng(2), n_init=1, backend=backend)
    assert not np.array_equal(first[1], other[1])
    assert np.array_equal(
        k_means(x, 9, backend=backend)[1], k_means(x, 9, np.random.default_rng(0), backend=backend)[1]
    )
    assert np.array_equal(x, before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_starts_are_no_worse(backend):
    x, _ = blobs(400, 2, 40, 10)

    def inertia(n_init):
        rng = np.random.default_rng(5)
        return squared_distances(x, k_means(x, 40, rng, n_init=n_init, backend=backend)[0]).min(1).sum()

    assert inertia(8) < inertia(1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_duplicates_and_few_rows(backend):
    x = np.repeat([[1.0, 2.0], [3.0, 4.0], [0.0, -0.0], [-0.0, 0.0]], [5, 3, 2, 2], axis=0)
    for k in (3, 4, 50):
        centroids, clusters = k_means(x, k, backend=backend)
        assert centroids.tolist() == [[1, 2], [3, 4], [0, 0]]
        assert clusters.tolist() == [0] * 5 + [1] * 3 + [2] * 4
    centroids, clusters = k_means(x, 2, backend=backend)
    check(x, 2, centroids, clusters)
    centroids, clusters = k_means(np.full((9, 3), 7.5), 4, backend=backend)
    assert centroids.tolist() == [[7.5, 7.5, 7.5]]
    assert clusters.tolist() == [0] * 9
    centroids, clusters = k_means([[3.0], [1.0]], 5, backend=backend)
    assert centroids.tolist() == [[3.0], [1.0]]
    assert clusters.tolist() == [0, 1]


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_every_cluster_has_members(backend, data):
    rows = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
    x = np.array(data.draw(st.lists(rows, min_size=1, max_size=30)), dtype=np.float32)
    k = data.draw(st.integers(1, 12))
    check(x, k, *k_means(x, k, np.random.default_rng(data.draw(st.integers(0, 99))), n_init=1, backend=backend))


def test_an_empty_cluster_moves_to_the_farthest_row():
    points = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [20.0]], dtype=np.float32)
    centroids = np.array([[1.0], [99.0], [50.0], [98.0]], dtype=np.float32)
    clusters = np.array([0, 0, 0, 2, 2, 0])
    centroids, clusters = module._without_empty(points, centroids, clusters)
    assert clusters.tolist() == [3, 0, 0, 2, 2, 1]  # 20 is the farthest, then the first of those at distance 1
    assert centroids[1].tolist() == [20.0]
    assert sorted(set(clusters.tolist())) == [0, 1, 2, 3]
    same = np.zeros((4, 1), dtype=np.float32)
    centroids, clusters = module._without_empty(same, same[:3].copy(), np.array([2, 2, 2, 2]))
    assert len(centroids) == 1
    assert clusters.tolist() == [0, 0, 0, 0]


def test_a_large_pool_is_clustered_as_a_whole(monkeypatch):
    """Where the starts come from a part of the pool, the iterations still see all of it."""
    monkeypatch.setattr(module, "_START_ROWS", 50)
    monkeypatch.setattr(module, "_FEW", 100)
    x, blob = blobs(3000, 6, 5, 20)
    for backend in ("faiss", "sklearn") if HAS_FAISS else ("sklearn",):
        centroids, clusters = k_means(x, 5, backend=backend)
        assert adjusted_rand_score(blob, clusters) == 1
        for i in range(5):
            assert np.allclose(centroids[i], x[clusters == i].mean(0), atol=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_iterations_that_begin_with_some_of_the_items(backend, monkeypatch):
    x, _ = blobs(9000, 8, 40, 2.0)
    whole = [k_means(x, 30, np.random.default_rng(seed), n_init=1, backend=backend) for seed in range(3)]
    monkeypatch.setattr(module, "_SOME", 1000)
    monkeypatch.setattr(module, "_SOME_PER_CLUSTER", 100)
    some = [k_means(x, 30, np.random.default_rng(seed), n_init=1, backend=backend) for seed in range(3)]
    for centroids, clusters in some:
        check(x, 30, centroids, clusters)
    inertia = [[squared_distances(x, c)[np.arange(len(x)), own].sum() for c, own in found] for found in (some, whole)]
    assert np.mean(inertia[0]) < 1.03 * np.mean(inertia[1])
    assert any((a[1] != b[1]).any() for a, b in zip(some, whole, strict=True))  # it did begin otherwise


@pytest.mark.skipif(not HAS_FAISS, reason="faiss is not installed")
def test_faiss_takes_the_threads_of_torch_and_gives_its_own_back(monkeypatch):
    import faiss

    before, during = faiss.omp_get_max_threads(), []
    train = faiss.Kmeans.train

    def watched(self, *args, **options):
        during.append(faiss.omp_get_max_threads())
        return train(self, *args, **options)

    monkeypatch.setattr(faiss.Kmeans, "train", watched)
    k_means(np.random.default_rng(0).normal(size=(50, 2)), 3)
    assert during == [torch.get_num_threads()] * 5
    assert faiss.omp_get_max_threads() == before


def test_scikit_learn_takes_over_where_faiss_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    x = np.random.default_rng(0).normal(size=(50, 2))
    default, sklearn = (k_means(x, 4, backend=backend) for backend in (None, "sklearn"))
    assert np.array_equal(default[1], sklearn[1])
    with pytest.raises(ValueError, match="not installed: pip install"):
        k_means(x, 4, backend="faiss")


def test_errors():
    x = np.eye(3)
    wrong: list[Any] = [0, -1, 1.5, True]
    for value in wrong:
        for name in ("n_clusters", "n_init", "max_iter"):
            options: dict[str, Any] = {"n_clusters": 2, name: value}
            with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got {value}"):
                k_means(x, **options)
    with pytest.raises(ValueError, match="backend 'torch' is none of faiss, sklearn"):
        k_means(x, 2, backend="torch")
    with pytest.raises(ValueError, match=r"embeddings\[2\] is not finite: column 0 holds nan"):
        k_means([[1.0], [2.0], [math.nan]], 2)
    with pytest.raises(ValueError, match="are empty"):
        k_means(np.empty((0, 2)), 1)
