# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.selection import centroid_distances, cluster_quota, fewer_clusters, k_means, nearest_by_quota


def slow(clusters, distances, budget, labeled=(), total=None) -> list[int]:
    """The rule, one item after the other: quotas, what is lacking, what is dropped, and the turns."""
    clusters, total = list(clusters), len(labeled) + budget if total is None else total
    ids = sorted(set(clusters))
    members = {c: sorted((distances[i], i) for i in range(len(clusters)) if clusters[i] == c) for c in ids}
    chosen: dict[int, list[int]] = {}
    for c in ids:
        quota = math.ceil(Fraction(total * len(members[c]), len(clusters)))
        free = [i for _, i in members[c] if i not in labeled]
        chosen[c] = free[: max(0, quota - (len(members[c]) - len(free)))]
    assert sum(map(len, chosen.values())) >= total - len(labeled)  # nothing ever has to be topped up
    by_size = sorted(ids, key=lambda c: -len(members[c]))
    while sum(map(len, chosen.values())) > total - len(labeled):
        for c in by_size:
            if chosen[c] and sum(map(len, chosen.values())) > total - len(labeled):
                chosen[c].pop()
    places = []
    for c in ids:
        before = sum(i in labeled for _, i in members[c])
        for j, i in enumerate(chosen[c], before + 1):
            places.append((Fraction(2 * j - 1, 2 * (before + len(chosen[c]))), -len(members[c]), c, i))
    return [i for *_, i in sorted(places)][:budget]


def problem(seed) -> tuple[np.ndarray, np.ndarray, int, list[int]]:
    """Clusters of any sizes and ids, distances with ties, a budget that fits, and labeled items in every other one."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 80)), int(rng.integers(1, 13))
    clusters = 3 * rng.choice(k, size=n, p=rng.dirichlet(np.full(k, rng.choice([0.3, 1, 10])))) - 5
    labeled = rng.permutation(n)[: int(rng.integers(0, n)) if seed % 2 else 0].tolist()
    return clusters, rng.integers(0, 9, size=n) / 4, int(rng.integers(0, n - len(labeled) + 1)), labeled


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_rule_step_by_step(seed):
    clusters, distances, budget, labeled = problem(seed)
    picks = nearest_by_quota(clusters, distances, budget, labeled)
    assert picks.dtype == np.int64
    assert picks.tolist() == slow(clusters, distances, budget, labeled)
    for total in {len(clusters), (len(labeled) + budget + len(clusters)) // 2}:
        found = nearest_by_quota(clusters, distances, budget, labeled, total=total).tolist()
        assert found == slow(clusters, distances, budget, labeled, total)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_always_holds(data):
    clusters = np.array(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=40)))
    n, size = len(clusters), np.bincount(clusters)
    distances = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    labeled = data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n))
    budget = data.draw(st.integers(0, n - len(labeled)))
    picks = nearest_by_quota(clusters, distances, budget, labeled).tolist()
    assert len(set(picks)) == len(picks) == budget
    assert not set(picks) & set(labeled)
    for cluster in set(clusters.tolist()):
        free = sorted((d, i) for i, d in enumerate(distances) if clusters[i] == cluster and i not in labeled)
        own = [i for i in picks if clusters[i] == cluster]
        assert own == [i for _, i in free[: len(own)]]  # the nearest of its own cluster, the nearest first
        quota = -(-(budget + len(labeled)) * size[cluster] // n)
        assert len(own) <= max(0, quota - int((clusters[labeled] == cluster).sum() if labeled else 0))


def test_quotas_are_whole_numbers():
    """In floating point, 300 * (112 / 1600) is a little more than 21, which would round up to 22."""
    assert math.ceil(300 * (112 / 1600)) == 22
    clusters = np.repeat([0, 1], [112, 1488])
    counts = np.bincount(clusters[nearest_by_quota(clusters, np.zeros(1600), 300)])
    assert counts.tolist() == [21, 279]


def test_the_largest_clusters_give_up_what_is_too_much():
    clusters = np.repeat([0, 1, 2, 3], [5, 7, 7, 6])  # quotas for 10 of 25: 2, 3, 3, 3
    picks = nearest_by_quota(clusters, np.arange(25.0), 10)
    assert np.bincount(clusters[picks]).tolist() == [2, 2, 3, 3]
    assert sorted(picks[clusters[picks] == 1]) == [5, 6]  # the farthest one was dropped


def test_one_tiny_cluster_gives_its_item():
    """A share of 0.03 items is one item, not none; rounded quotas and a remainder that is left over give none."""
    clusters = np.repeat(np.arange(10), [*[1000] * 9, 1])
    counts = np.bincount(clusters[nearest_by_quota(clusters, np.arange(9001.0), 300)])
    assert counts.sum() == 300
    assert counts.tolist() == [*[33] * 7, 34, 34, 1]


def test_labeled_items_count_and_clusters_go_on_where_they_stopped():
    clusters, distances = np.repeat([0, 1], 10), np.tile(np.arange(10.0), 2)
    assert nearest_by_quota(clusters, distances, 4).tolist() == [0, 10, 1, 11]
    assert nearest_by_quota(clusters, distances, 4, [0, 10, 1, 11]).tolist() == [2, 12, 3, 13]
    assert nearest_by_quota(clusters, distances, 4, [4, 7]).tolist() == [10, 11, 0, 12]  # chosen otherwise
    assert nearest_by_quota(clusters, distances, 2, range(6)).tolist() == [10, 11]  # nothing of a cluster with too many


@pytest.mark.parametrize("seed", range(10))
def test_rounds_end_at_what_one_query_chooses(seed):
    """In parts of a known total exactly; where each round knows only its own, in the same clusters or next to it."""
    rng = np.random.default_rng(seed)
    clusters, distances = rng.choice(7, size=300, p=rng.dirichlet(np.ones(7))), rng.random(300)
    budgets = [int(n) for n in rng.integers(7, 30, size=5)]
    at_once = nearest_by_quota(clusters, distances, sum(budgets)).tolist()
    parts: list[int] = []
    rounds: list[int] = []
    for budget in budgets:
        parts += nearest_by_quota(clusters, distances, budget, parts, total=sum(budgets)).tolist()
        rounds += nearest_by_quota(clusters, distances, budget, rounds).tolist()
    assert parts == at_once
    difference = np.bincount(clusters[rounds], minlength=7) - np.bincount(clusters[at_once], minlength=7)
    assert np.abs(difference).max() <= 1


def test_the_first_picks_are_spread_in_proportion():
    clusters = np.repeat([0, 1, 2], [600, 300, 100])
    picks = nearest_by_quota(clusters, np.random.default_rng(0).random(1000), 100)
    for n in range(10, 101, 10):
        assert np.abs(np.bincount(clusters[picks[:n]], minlength=3) - n * np.array([0.6, 0.3, 0.1])).max() <= 1


def test_about_equal_distances_are_equal_and_the_first_item_comes_first():
    third = 1 / 3
    distances = [third * (1 + 4e-16), third, 0.2, third * (1 - 4e-16)]
    assert nearest_by_quota([0] * 4, distances, 4).tolist() == [2, 0, 1, 3]
    assert nearest_by_quota([0] * 4, [1 + 1e-9, 1.0, 0.0, 0.0], 4).tolist() == [2, 3, 1, 0]


# -- with clusters of embeddings ---------------------------------------------------------------------------------------


def blobs(*sizes, dim=6, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Well separated blobs, mixed, and the blob of each item."""
    rng = np.random.default_rng(seed)
    blob = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return 30 * rng.normal(size=(len(sizes), dim))[blob] + rng.normal(size=(len(blob), dim)), blob


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-3, 1e6), (1e-200, 0), (1e30, 0)])
@pytest.mark.parametrize("sizes", [(40, 40, 40), (90, 20, 5, 1), (3, 4, 60)])
def test_equals_a_search_by_hand_where_clusters_are_clear(sizes, scale, offset):
    rows, blob = blobs(*sizes)
    x = offset + scale * rows
    n, budget = len(x), 12
    picks = cluster_quota(x, budget, len(sizes)).tolist()
    assert len(set(picks)) == budget
    by_size = sorted(range(len(sizes)), key=lambda c: -sizes[c])
    quota = {c: -(-budget * sizes[c] // n) for c in by_size}
    surplus = sum(quota.values()) - budget
    for c in by_size[:surplus]:
        quota[c] -= 1
    expected: set[int] = set()
    for c in by_size:
        mean = rows[blob == c].mean(0)
        own = sorted(np.flatnonzero(blob == c).tolist(), key=lambda i: math.dist(rows[i], mean))
        expected |= set(own[: quota[c]])
    assert set(picks) == expected


def test_distances_are_to_the_mean_of_the_own_cluster():
    rng = np.random.default_rng(0)
    for dtype in ("f2", "f4", "f8"):
        x, clusters = rng.normal(size=(50, 3)).astype(dtype), rng.integers(4, size=50) * 2 - 1
        means = {c: x[clusters == c].astype(float).mean(0) for c in set(clusters.tolist())}
        expected = [math.dist(row, means[c]) for row, c in zip(x.astype(float), clusters.tolist(), strict=True)]
        np.testing.assert_allclose(centroid_distances(x, clusters), expected, rtol=1e-12)
    assert centroid_distances([[5.0]], [0]).tolist() == [0]


def test_later_calls_keep_the_clusters_and_the_ranking():
    x, _ = blobs(70, 30, 50, seed=3)
    x += 20 * np.random.default_rng(1).normal(size=x.shape)  # not clear at all
    _, clusters = k_means(x, 6, np.random.default_rng(5), n_init=10)
    distances = centroid_distances(x, clusters)
    labeled: list[int] = []
    for budget in (20, 9, 9):
        picks = cluster_quota(x, budget, 6, labeled, np.random.default_rng(5)).tolist()
        assert picks == slow(clusters, distances, budget, labeled)
        labeled += picks
    others = [cluster_quota(x, 20, 6, (), np.random.default_rng(seed)).tolist() for seed in range(4)]
    assert any(one != others[0] for one in others)


def test_the_kind_of_array_and_the_file_do_not_matter(tmp_path):
    x, _ = blobs(20, 30, 40)
    x = x.astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    before = x.copy()
    expected = cluster_quota(x, 15, 5).tolist()
    assert cluster_quota(np.load(tmp_path / "x.npy", mmap_mode="r"), 15, 5).tolist() == expected
    assert cluster_quota(x.tolist(), 15, 5).tolist() == expected
    assert np.array_equal(x, before)


def test_equal_rows_and_fewer_different_ones_than_clusters():
    assert cluster_quota(np.ones((6, 3)), 4, 3).tolist() == [0, 1, 2, 3]
    picks = cluster_quota(np.repeat([[0.0], [5.0]], [6, 2], axis=0), 4, 4)
    assert sorted(picks.tolist()) == [0, 1, 2, 6]


def test_more_clusters_than_items_to_label():
    x, blob = blobs(40, 40, 40)
    with pytest.warns(UserWarning, match="10 clusters are more than the 3 items to be labeled: 3 clusters are made"):
        picks = cluster_quota(x, 3)
    assert set(blob[picks]) == {0, 1, 2}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cluster_quota(x, 3, labeled=range(7))  # ten in the end
        cluster_quota(x, 3, total=10)
        assert cluster_quota(x, 0).tolist() == []
        assert fewer_clusters(10, 10) == 10


def test_errors():
    x = np.eye(4)
    for budget, labeled, message in (
        (5, (), "budget 5 is more than the 4 unlabeled items"),
        (4, (1,), "budget 4 is more than the 3 unlabeled items"),
        (-1, (), "negative, got -1"),
        (1, (0, 4), "labeled index 4 is out of range"),
        (1, (2, 2), "labeled index 2 occurs twice"),
    ):
        with pytest.raises(ValueError, match=message):
            cluster_quota(x, budget, 1, labeled)
        with pytest.raises(ValueError, match=message):
            nearest_by_quota([0] * 4, [0.0] * 4, budget, labeled)
    for total, message in (
        (2, "total 2 is less than the 3 items that are labeled or to be chosen"),
        (5, "total must be a whole number of at most 4 items, the pool, got 5"),
        (3.5, "total must be a whole number of at most 4 items"),
    ):
        with pytest.raises(ValueError, match=message):
            cluster_quota(x, 2, 1, [0], total=total)
        with pytest.raises(ValueError, match=message):
            nearest_by_quota([0] * 4, [0.0] * 4, 2, [0], total=total)
    for n_clusters in (0, 2.5, True, "3"):
        with pytest.raises(ValueError, match="n_clusters must be a whole number of at least 1"):
            cluster_quota(x, 3, n_clusters)
    with pytest.raises(ValueError, match=r"embeddings\[1\] is not finite"):
        cluster_quota([[1.0], [math.nan]], 1, 1)
    with pytest.raises(ValueError, match=r"distances\[1\] is nan: a distance must be finite and at least 0"):
        nearest_by_quota([0, 0], [0.0, math.nan], 1)
    with pytest.raises(ValueError, match=r"distances\[0\] is -1.0"):
        nearest_by_quota([0, 0], [-1.0, 0.0], 1)
    with pytest.raises(ValueError, match=r"clusters must be whole numbers of the shape \(2,\), got float64"):
        nearest_by_quota([0.5, 1.0], [0.0, 0.0], 1)
    with pytest.raises(ValueError, match=r"clusters must be whole numbers of the shape \(3,\)"):
        centroid_distances(np.eye(3), [0, 1])
    with pytest.raises(ValueError, match="at least one item"):
        nearest_by_quota([], [], 0)
