# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.selection import k_means, typical_of_clusters
from monai_al.selection.typical_of_clusters import pick_in_turn

module = sys.modules[typical_of_clusters.__module__]


def typicality(i, members, x, neighbors) -> float:
    """From the definition, by loops."""
    n = max(1, min(neighbors, len(members) // 2))
    distances = sorted(math.dist(x[i], x[j]) for j in members if j != i)[:n]
    return 1 / ((sum(distances) / len(distances) if distances else 0.0) + 1e-5)


def plain(x, clusters, budget, labeled=(), neighbors=20, min_cluster_size=5, small="lower") -> list[int]:
    """The definition, item by item; the order of the clusters is made anew for every round."""
    x = np.asarray(x, dtype=np.float64)
    members = {c: [i for i in range(len(x)) if clusters[i] == c] for c in set(np.asarray(clusters).tolist())}
    labeled, chosen = set(np.asarray(labeled).tolist()), []

    def larger_than(limit):
        return [c for c in members if len(members[c]) > limit and set(members[c]) - labeled]

    def too_few_items(limit):
        return sum(len(set(members[c]) - labeled) for c in larger_than(limit)) < budget

    limit = min_cluster_size
    while small == "lower" and limit > 1 and len(larger_than(limit)) < budget:
        limit -= 1
    while limit > 0 and too_few_items(limit):
        limit -= 1
    while len(chosen) < budget:
        for c in sorted(larger_than(limit), key=lambda c: (len(labeled & set(members[c])), -len(members[c]), c)):
            values = {i: typicality(i, members[c], x, neighbors) for i in members[c] if i not in labeled}
            best = next(i for i in sorted(values) if values[i] >= max(values.values()) * (1 - 1e-12))
            chosen.append(best)
            labeled.add(best)
            if len(chosen) == budget:
                break
    return chosen


def plain_with_groups(x, clusters, budget, labeled, groups, neighbors, min_cluster_size, small) -> list[int]:
    """The definition, in the order of the clusters at the start."""
    members = {c: [i for i in range(len(x)) if clusters[i] == c] for c in set(np.asarray(clusters).tolist())}
    taken, chosen = set(np.asarray(labeled).tolist()), []
    left = {c: len(set(members[c]) - taken) for c in members}
    limit = min_cluster_size
    while small == "lower" and limit > 1 and sum(len(members[c]) > limit and left[c] > 0 for c in members) < budget:
        limit -= 1
    while limit > 0 and sum(left[c] for c in members if len(members[c]) > limit) < budget:
        limit -= 1
    order = sorted(members, key=lambda c: (len(taken & set(members[c])), -len(members[c]), c))

    def take(c) -> bool:
        having = {groups[i] for i in range(len(x)) if i not in taken}
        counts = {g: sum(groups[i] == g for i in taken) for g in having}
        values = {
            i: typicality(i, members[c], x, neighbors)
            for i in members[c]
            if i not in taken and counts[groups[i]] == min(counts.values())
        }
        if not values or len(chosen) == budget:
            return False
        chosen.append(next(i for i in sorted(values) if values[i] >= max(values.values()) * (1 - 1e-12)))
        taken.add(chosen[-1])
        return True

    while len(chosen) < budget:
        found = [take(c) for c in order if len(members[c]) > limit]
        if not any(found):
            assert any(take(c) for c in order if len(members[c]) <= limit)
    return chosen


@pytest.mark.parametrize("seed", range(24))
def test_equals_loops_on_the_same_clusters(seed):
    rng = np.random.default_rng(seed)
    n, dim = int(rng.integers(1, 90)), int(rng.integers(1, 6))
    x = rng.normal(size=(n, dim)) if seed % 2 else rng.integers(0, 3, size=(n, dim)).astype(np.float32)
    ids = rng.permutation(np.arange(-5, 400))[: rng.integers(1, 20)]  # neither from 0 nor without gaps
    clusters = rng.choice(ids, size=n, p=rng.dirichlet(np.ones(len(ids))))
    labeled = rng.permutation(n)[: int(rng.integers(0, n)) if seed % 3 else 0]
    budget = int(rng.integers(0, n - len(labeled) + 1))
    neighbors, limit = int(rng.choice([1, 2, 20])), int(rng.choice([0, 1, 2, 5, 30]))
    chosen = pick_in_turn(x, clusters, budget, labeled, neighbors=neighbors, min_cluster_size=limit)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == plain(x, clusters, budget, labeled, neighbors, limit)
    options = {"neighbors": neighbors, "min_cluster_size": limit}
    dropped = pick_in_turn(x, clusters, budget, labeled, small_clusters="drop", **options)
    assert dropped.tolist() == plain(x, clusters, budget, labeled, neighbors, limit, "drop")
    groups = rng.integers(int(rng.integers(1, 7)), size=n)
    for small in ("lower", "drop"):
        spread = pick_in_turn(x, clusters, budget, labeled, small_clusters=small, groups=groups, **options)
        assert spread.tolist() == plain_with_groups(x, clusters, budget, labeled, groups, neighbors, limit, small)
    one = pick_in_turn(x, clusters, budget, labeled, groups=np.zeros(n, int), **options)
    assert one.tolist() == chosen.tolist()


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    x, clusters = rng.normal(size=(200, 4)), rng.integers(3, size=200)
    expected = plain(x, clusters, 25, [3, 4])
    monkeypatch.setattr(module, "_NUMBERS", 300)
    assert pick_in_turn(x, clusters, 25, [3, 4]).tolist() == expected


def test_clusters_without_labels_come_first_then_the_largest():
    clusters = np.repeat([4, 8, 2, 6], [10, 20, 30, 7])
    x = np.random.default_rng(0).normal(size=(67, 3))
    labeled = [30, 31, 10]  # two of cluster 2, one of cluster 8
    chosen = pick_in_turn(x, clusters, 9, labeled)
    assert clusters[chosen].tolist() == [4, 6, 8, 2, 4, 6, 8, 2, 4]


def test_small_clusters_are_left_out_while_enough_others_remain():
    sizes = {0: 20, 1: 9, 2: 6, 3: 5, 4: 4, 5: 2, 6: 1}
    clusters = np.repeat(list(sizes), list(sizes.values()))
    x = np.random.default_rng(0).normal(size=(len(clusters), 3))

    def chosen(budget, **options):
        return clusters[pick_in_turn(x, clusters, budget, **options)].tolist()

    assert chosen(3) == [0, 1, 2]
    assert chosen(4) == [0, 1, 2, 3]  # clusters of more than 4
    assert chosen(5) == [0, 1, 2, 3, 4]
    assert chosen(7) == [0, 1, 2, 3, 4, 5, 0]  # the single item only where the others are too few
    assert chosen(46).count(6) == 0
    assert chosen(47).count(6) == 1
    assert chosen(7, min_cluster_size=0) == [0, 1, 2, 3, 4, 5, 6]
    assert chosen(7, small_clusters="drop") == [0, 1, 2, 0, 1, 2, 0]  # as the authors do
    assert set(chosen(35, small_clusters="drop")) == {0, 1, 2}
    assert set(chosen(36, small_clusters="drop")) == {0, 1, 2, 3}  # lowered where the items of the others are too few


def test_a_cold_start_drops_small_clusters_only_where_it_is_asked_to():
    """With as many clusters as items, the default lowers the size to 1."""
    sizes = [30, 12, 3, 20, 4, 9]
    x, blob = blobs(sizes), np.repeat(range(6), sizes)
    assert set(blob[typical_of_clusters(x, 6)].tolist()) == {0, 1, 2, 3, 4, 5}
    assert blob[typical_of_clusters(x, 6, small_clusters="drop")].tolist() == [0, 3, 1, 5, 0, 3]


def test_a_group_in_small_clusters_alone_gets_its_items():
    clusters, groups = np.repeat([0, 1, 2], [20, 15, 3]), np.repeat(["a", "b", "c"], [20, 15, 3])
    x = np.random.default_rng(0).normal(size=(38, 3))
    chosen = pick_in_turn(x, clusters, 6, small_clusters="drop", groups=groups)
    assert sorted(groups[chosen]) == ["a", "a", "b", "b", "c", "c"]
    assert groups[pick_in_turn(x, clusters, 6, small_clusters="drop")].tolist() == ["a", "b"] * 3


def test_typical_is_where_the_neighbors_are_near():
    x = np.array([[0.0], [1.0], [1.1], [1.3], [3.0], [9.0]])
    assert pick_in_turn(x, np.zeros(6, int), 6, neighbors=2).tolist() == [2, 1, 3, 0, 4, 5]
    assert pick_in_turn(x, np.zeros(6, int), 2, neighbors=1).tolist() == [1, 2]
    assert pick_in_turn(x, np.zeros(6, int), 1, [2]).tolist() == [1]  # what is labeled is still a neighbor


def test_duplicates_give_no_duplicate():
    x = np.ones((30, 4))
    assert pick_in_turn(x, np.zeros(30, int), 30).tolist() == list(range(30))
    assert typical_of_clusters(x, 30).tolist() == list(range(30))
    x = np.repeat(np.random.default_rng(0).normal(size=(4, 3)), 10, axis=0)
    chosen = typical_of_clusters(x, 8)
    assert sorted(chosen // 10) == [0, 0, 1, 1, 2, 2, 3, 3]


# -- with k-means ------------------------------------------------------------------------------------------------------


def blobs(sizes, seed=0) -> np.ndarray:
    """Directions in the order of the blobs."""
    rng = np.random.default_rng(seed)
    centers = np.linalg.qr(rng.normal(size=(16, 16)))[0][: len(sizes)]
    points = np.repeat(centers, sizes, axis=0)
    return points + 0.05 * rng.normal(size=points.shape)


def test_takes_one_item_of_each_blob():
    sizes = [30, 12, 20, 9, 15]
    blob = np.repeat(range(5), sizes)
    assert blob[typical_of_clusters(blobs(sizes), 5)].tolist() == [0, 2, 4, 1, 3]
    labeled = np.searchsorted(blob, [0, 2])
    assert blob[typical_of_clusters(blobs(sizes), 3, labeled)].tolist() == [4, 1, 3]


def test_clusters_unit_vectors_of_all_items_into_labeled_and_budget():
    x = blobs([40, 30, 20, 25])
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    for labeled, budget, most, expected in (((), 6, 500, 6), ([1, 2, 3], 6, 500, 9), ([1, 2, 3], 6, 4, 4)):
        _, clusters = k_means(unit, expected, np.random.default_rng(3))
        assert len(set(clusters.tolist())) == expected
        chosen = typical_of_clusters(x, budget, labeled, np.random.default_rng(3), max_clusters=most)
        assert chosen.tolist() == plain(unit, clusters, budget, labeled)
    lengths = 10.0 ** np.random.default_rng(0).integers(-30, 30, size=(len(x), 1))
    assert typical_of_clusters(lengths * x, 4).tolist() == typical_of_clusters(x, 4).tolist()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_gives_exactly_the_budget(data):
    number = st.sampled_from([0.0, 1.0, -1.0, 0.1, 3.0])
    rows = st.lists(number, min_size=2, max_size=2)
    x = np.array(data.draw(st.lists(rows, min_size=1, max_size=30)))
    labeled = data.draw(st.lists(st.integers(0, len(x) - 1), unique=True, max_size=len(x)))
    budget = data.draw(st.integers(0, len(x) - len(labeled)))
    chosen = typical_of_clusters(x, budget, labeled, max_clusters=data.draw(st.sampled_from([1, 3, 500])))
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == len(chosen) == budget
    assert not set(chosen.tolist()) & set(labeled)


def test_the_same_generator_gives_the_same_answer():
    x = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    before = x.copy()
    first, second, other = (typical_of_clusters(x, 20, [5], np.random.default_rng(s)).tolist() for s in (1, 1, 2))
    assert first == second != other
    assert typical_of_clusters(x, 9).tolist() == typical_of_clusters(x, 9, rng=np.random.default_rng(0)).tolist()
    assert np.array_equal(x, before)


def test_no_budget_is_no_item():
    chosen = typical_of_clusters(np.eye(3), 0, [1])
    assert chosen.dtype == np.int64
    assert chosen.tolist() == []
    assert typical_of_clusters(np.eye(2), 0, [0, 1]).tolist() == []
    assert typical_of_clusters([[0.0, 0.0]], 1).tolist() == [0]


@pytest.mark.parametrize(
    ("embeddings", "budget", "labeled", "options", "message"),
    [
        (np.empty((0, 3)), 0, (), {}, "are empty"),
        ([1.0, 2.0], 1, (), {}, "shape"),
        ([[1.0], [math.inf]], 1, (), {}, r"embeddings\[1\] is not finite"),
        (np.eye(2), 3, (), {}, "budget 3 is more than the 2 unlabeled items"),
        (np.eye(2), -1, (), {}, "negative"),
        (np.eye(3), 1, (1, 1), {}, "labeled index 1 occurs twice"),
        (np.eye(3), 1, (3,), {}, "labeled index 3 is out of range"),
        (np.eye(3), 1, (), {"max_clusters": 0}, "max_clusters must be a whole number of at least 1, got 0"),
        (np.eye(3), 1, (), {"neighbors": 0}, "neighbors"),
        (np.eye(3), 1, (), {"neighbors": 2.5}, "neighbors"),
        (np.eye(3), 1, (), {"min_cluster_size": -1}, "min_cluster_size"),
        (np.eye(3), 1, (), {"small_clusters": "keep"}, "small_clusters 'keep' is none of lower, drop"),
        (np.eye(3), 1, (), {"groups": ["a"]}, r"groups must have the shape \(3,\)"),
    ],
)
def test_errors(embeddings, budget, labeled, options, message):
    with pytest.raises(ValueError, match=message):
        typical_of_clusters(embeddings, budget, labeled, **options)
