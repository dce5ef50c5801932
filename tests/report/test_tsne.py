# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import warnings

import numpy as np
import pytest

from monai_al.report.tsne import group_silhouette, shown_points, tsne_coordinates


def blobs(n_groups, each, dimensions=16, spread=0.05, seed=0):
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), each)
    return generator.normal(size=(n_groups, dimensions))[groups] + spread * generator.normal(
        size=(len(groups), dimensions)
    ), groups


class TestCoordinates:
    @pytest.mark.parametrize("dimensions", [1, 2, 3, 80])
    @pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7])
    def test_few_items(self, n, dimensions):
        values = np.random.default_rng(n).normal(size=(n, dimensions)).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            places = tsne_coordinates(values)
        assert places.shape == (n, 2)
        assert np.isfinite(places).all()
        assert len(np.unique(places, axis=0)) == n

    @pytest.mark.parametrize("value", [0.0, 1.0, -3e30, 0.1])
    def test_items_that_are_all_the_same(self, value):
        assert (tsne_coordinates(np.full((9, 5), value, dtype=np.float32)) == 0).all()

    def test_two_places_only(self):
        places = tsne_coordinates(np.repeat([[0.0, 0.0], [1.0, 1.0]], 6, axis=0))
        assert np.isfinite(places).all()

    @pytest.mark.parametrize("scale", [1e-20, 1.0, 1e25])
    def test_neighbors_stay_neighbors(self, scale):
        values, groups = blobs(4, 12)
        places = tsne_coordinates(values * scale)
        distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
        assert (groups[distances.argmin(axis=1)] == groups).all()

    def test_the_seed_alone_decides(self):
        values, _ = blobs(3, 10)
        first = tsne_coordinates(values, seed=1)
        assert np.array_equal(first, tsne_coordinates(values.copy(), seed=1))

    def test_what_is_refused(self):
        with pytest.raises(ValueError, match=r"shape \(N, D\), got \(3,\)"):
            tsne_coordinates([1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match=r"embeddings\[1\] is not finite"):
            tsne_coordinates([[1.0], [np.inf]])


class TestShownPoints:
    def test_all_where_they_fit(self):
        assert shown_points(5, 5, always=[3]).tolist() == [0, 1, 2, 3, 4]
        assert shown_points(0, 5).tolist() == []

    @pytest.mark.parametrize("seed", range(3))
    def test_a_subset_and_those_that_matter(self, seed):
        found = shown_points(1000, 50, always=[7, 7, 999], seed=seed)
        assert len(found) == len(set(found)) == 52
        assert {7, 999} <= set(found.tolist())
        assert (np.diff(found) > 0).all()
        assert found.tolist() == shown_points(1000, 50, always=[7, 999], seed=seed).tolist()
        assert found.tolist() != shown_points(1000, 50, always=[7, 999], seed=seed + 1).tolist()

    def test_all_matter(self):
        assert shown_points(6, 2, always=range(6)).tolist() == list(range(6))


def slow_silhouette(values, groups):
    """By the definition: (b - a) / max(a, b), 0 for a group of one."""
    scores = []
    for i, value in enumerate(values):
        distances = {
            g: [np.linalg.norm(value - other) for j, other in enumerate(values) if groups[j] == g and j != i]
            for g in set(groups)
        }
        own = distances.pop(groups[i])
        if not own:
            scores.append(0.0)
            continue
        a, b = np.mean(own), min(map(np.mean, distances.values()))
        scores.append((b - a) / max(a, b) if max(a, b) else 0.0)
    return np.mean(scores)


class TestSilhouette:
    @pytest.mark.parametrize("seed", range(4))
    def test_against_the_definition(self, seed):
        generator = np.random.default_rng(seed)
        values, groups = generator.normal(size=(25, 3)), [f"p{i}" for i in generator.integers(0, 5, 25)]
        assert group_silhouette(values, groups) == pytest.approx(slow_silhouette(values, groups))

    def test_undefined(self):
        assert group_silhouette(np.zeros((3, 2)), "aaa") is None
        assert group_silhouette(np.eye(3), "abc") is None
        assert group_silhouette(np.zeros((1, 2)), "a") is None
        assert group_silhouette(np.zeros((0, 2)), "") is None

    def test_items_that_are_all_the_same(self):
        assert group_silhouette(np.ones((4, 2)), "aabb") == 0
