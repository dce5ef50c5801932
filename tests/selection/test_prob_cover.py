# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.selection import newly_held, prob_cover, pure_radius

module = importlib.import_module("monai_al.selection.prob_cover")
INF = math.inf


def distances(embeddings) -> np.ndarray:
    """All of them, dense, between the unit vectors."""
    rows = np.asarray(embeddings, dtype=np.float64)
    norms = np.sqrt((rows**2).sum(1, keepdims=True))
    rows = (rows / np.where(norms > 0, norms, 1)).astype(np.float32).astype(np.float64)
    return np.sqrt(np.array([((rows - row) ** 2).sum(1) for row in rows]))


def between(embeddings, quantile) -> float:
    """A radius that no distance is near, so that no way of rounding matters."""
    found = np.unique(distances(embeddings).round(6))
    place = min(int(quantile * len(found)), len(found) - 2)
    gaps = np.diff(found)[place:]
    place += int((gaps > 1e-4).argmax())
    return float(found[place : place + 2].mean())


def naive(embeddings, budget, delta, labeled=()) -> list[int]:
    """One pick after the other, with the sets of a ball for each item."""
    balls = [set(np.flatnonzero(row < delta).tolist()) | {i} for i, row in enumerate(distances(embeddings))]
    centers, chosen = list(labeled), []
    while len(chosen) < budget:
        times = [sum(i in balls[c] for c in centers) for i in range(len(balls))]
        for enough in range(len(balls) + 1):
            free = [i for i in range(len(balls)) if i not in centers]
            gains = {i: sum(times[j] <= enough for j in balls[i]) for i in free}
            if max(gains.values()) > 0:
                break
        chosen.append(max(free, key=lambda i: (gains[i], -i)))
        centers.append(chosen[-1])
    return chosen


def blobs(n, dim, seed, spread=0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(4, dim))
    rows = centers[rng.integers(4, size=n)] + spread * rng.normal(size=(n, dim))
    return rows * rng.uniform(0.01, 100, size=(n, 1))


@pytest.mark.parametrize("dim", [1, 2, 300])
@pytest.mark.parametrize("n", [2, 60])
@pytest.mark.parametrize("quantile", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("n_labeled", [0, 5])
def test_equals_the_naive_way(dim, n, quantile, n_labeled, monkeypatch):
    rows = blobs(n, dim, seed=dim + n)
    delta = between(rows, quantile) if dim > 1 else 0.5
    labeled = np.random.default_rng(1).permutation(n)[: min(n_labeled, n - 1)]
    expected = naive(rows, n - len(labeled), delta, labeled)
    assert prob_cover(rows, n - len(labeled), delta, labeled).tolist() == expected
    monkeypatch.setattr(module, "_SIDE", 5)  # blocks that do not divide the pool
    half = len(expected) // 2
    assert prob_cover(rows, half, delta, labeled).tolist() == expected[:half]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_with_many_ties_and_repeated_rows(data):
    """Directions of a square, where distances are 0, sqrt(2) or 2 exactly, and rows of zeros."""
    corners = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [0, 0]], dtype=float)
    which = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=14))
    rows = corners[which] * data.draw(st.sampled_from([1e-30, 1.0, 1e30]))
    labeled = data.draw(st.lists(st.integers(0, len(which) - 1), unique=True, max_size=len(which)))
    budget = data.draw(st.integers(0, len(which) - len(labeled)))
    delta = data.draw(st.sampled_from([1e-9, 1.0, 1.2, math.sqrt(2.0), 1.8, 2.0, 2.5, INF]))
    chosen = prob_cover(rows, budget, delta, labeled).tolist()
    assert chosen == naive(rows, budget, delta, labeled)
    assert len(chosen) == len(set(chosen)) == budget
    assert not set(chosen) & set(labeled)


def test_no_row_is_left_out():
    """Not even where the number of rows is no multiple of a block: the last rows hold most."""
    n = 1203
    angles = np.where(np.arange(n) < 1150, np.arange(n) * (5 / 1150), 6.0)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert prob_cover(rows, 1, 0.05)[0] == 1150
    assert newly_held(rows, np.array([1150, 1160]), 0.05).tolist() == [53, 0]


def test_a_ball_ends_where_its_radius_ends():
    """Items at the distance of the radius lie outside, to the last digit, whatever rounds."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 700)).astype(np.float32)
    exact = distances(rows)
    for other in range(1, 20):
        delta = exact[0, other]
        assert (newly_held(rows, np.array([0]), delta) == (exact[0] < delta).sum()).all()
        assert (newly_held(rows, np.array([0]), np.nextafter(delta, 3)) == (exact[0] <= delta).sum()).all()


def test_what_each_ball_holds_first():
    rows = blobs(80, 5, seed=3)
    delta, labeled = between(rows, 0.2), [4, 9]
    picks = prob_cover(rows, 20, delta, labeled)
    balls = distances(rows) < delta
    held = balls[labeled].any(0)
    expected = []
    for pick in picks:
        expected.append((balls[pick] & ~held).sum())
        held |= balls[pick]
    assert newly_held(rows, picks, delta, labeled).tolist() == expected
    assert expected == sorted(expected, reverse=True)
    assert expected[0] > 1


def test_a_pool_that_is_covered_is_covered_again():
    """Three narrow directions: each has its second item before any has its third, also from round to round."""
    rows, kind = np.repeat(np.eye(3), [9, 6, 4], axis=0), np.repeat([0, 1, 2], [9, 6, 4])
    picks = prob_cover(rows, 10, 0.1)
    assert kind[picks].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    later = prob_cover(rows, 6, 0.1, labeled=picks[:4])
    assert later.tolist() == picks[4:].tolist()


@pytest.mark.nightly
def test_memory_does_not_grow_with_the_square_of_the_pool(monkeypatch):
    sizes = []
    between_rows = module._Distances.between

    def watched(self, some, others):
        sizes.append(between_rows(self, some, others).numel())
        return between_rows(self, some, others)

    monkeypatch.setattr(module._Distances, "between", watched)
    rows = np.random.default_rng(0).normal(size=(6000, 3)).astype(np.float32)
    prob_cover(rows, 20, 1.0)
    pure_radius(rows, np.arange(6000) % 7)
    assert max(sizes) <= 2**20 + 2**14


def test_the_process_s_threads_do_not_matter():
    rows, before = blobs(300, 40, seed=1), torch.get_num_threads()
    clusters = np.arange(300) % 5
    answers = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            delta = pure_radius(rows, clusters, 0.7)
            answers.append((delta, prob_cover(rows, 40, delta).tolist()))
    finally:
        torch.set_num_threads(before)
    assert answers[0] == answers[1]


# -- the radius --------------------------------------------------------------------------------------------------------


def pure(embeddings, clusters, delta) -> Fraction:
    """The share of the balls that hold items of one cluster."""
    rows = distances(embeddings)
    return Fraction(
        sum(len({clusters[j] for j in np.flatnonzero(row < delta)} | {clusters[i]}) == 1 for i, row in enumerate(rows)),
        len(rows),
    )


@pytest.mark.parametrize("dim", [2, 300])
@pytest.mark.parametrize("n", [2, 61])
@pytest.mark.parametrize("purity", ["0", "0.5", "0.9", "0.95", "1"])
def test_the_radius_is_the_largest_pure_one(dim, n, purity, monkeypatch):
    rows = blobs(n, dim, seed=n, spread=0.7)
    clusters = np.random.default_rng(n).choice([-3, 0, 7], size=n)
    clusters[:2] = [0, 7]
    delta = pure_radius(rows, clusters, float(purity))
    assert pure(rows, clusters, delta) >= Fraction(purity)
    if purity != "0":
        assert pure(rows, clusters, np.nextafter(delta, 3)) < Fraction(purity)
    else:
        assert delta == max(distances(rows)[clusters == one][:, clusters != one].min(1).max() for one in set(clusters))
    monkeypatch.setattr(module, "_SIDE", 4)
    assert pure_radius(rows.astype(np.float32), clusters, float(purity)) == pytest.approx(delta, abs=1e-6)


def test_the_balls_of_the_pure_radius_are_pure_in_the_choice_too():
    """The pair at whose distance the radius ends lies on the border of two balls."""
    for seed in range(20):
        rows = blobs(40, 64, seed, spread=0.8)
        clusters = np.arange(40) % 2
        delta = pure_radius(rows, clusters, 1.0)
        counts = [int(newly_held(rows, np.array([i]), delta)[0]) for i in range(40)]
        same = distances(rows)
        assert counts == [int((same[i][clusters == clusters[i]] < delta).sum()) for i in range(40)]


def test_one_cluster_has_no_border():
    rows = blobs(9, 3, seed=0)
    assert pure_radius(rows, np.zeros(9, dtype=int)) == INF
    assert prob_cover(rows, 3, INF).tolist() == [0, 1, 2]


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [0, -1, math.nan, True, None, "1"])
def test_a_wrong_radius(delta):
    for ask in (prob_cover, lambda rows, budget, delta: newly_held(rows, np.array([0]), delta)):
        with pytest.raises(ValueError, match="delta must be a radius above 0"):
            ask([[1.0, 0.0]], 1, delta)


@pytest.mark.parametrize(
    ("embeddings", "budget", "labeled", "message"),
    [
        ([[1.0], [math.nan]], 1, (), r"embeddings\[1\] is not finite"),
        ([1.0, 2.0], 1, (), "shape"),
        (np.empty((0, 3)), 0, (), "empty"),
        ([[1.0], [2.0]], 2, [0], "budget 2 is more than the 1 unlabeled"),
        ([[1.0], [2.0]], -1, (), "negative"),
        ([[1.0], [2.0]], 1, [2], "out of range"),
        ([[1.0], [2.0]], 0, [1, 1], "twice"),
    ],
)
def test_errors(embeddings, budget, labeled, message):
    with pytest.raises(ValueError, match=message):
        prob_cover(embeddings, budget, 0.5, labeled)


def test_errors_of_the_radius():
    rows = np.eye(3)
    with pytest.raises(ValueError, match=r"one cluster per item, \(3,\), got \(2,\)"):
        pure_radius(rows, [0, 1])
    with pytest.raises(ValueError, match="purity must be a number from 0 to 1, got 95"):
        pure_radius(rows, [0, 1, 1], 95)
    with pytest.raises(ValueError, match="not finite"):
        pure_radius([[math.inf, 1.0]], [0])
