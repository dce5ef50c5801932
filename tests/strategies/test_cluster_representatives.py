# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import warnings

import numpy as np
import pytest

from monai_al.data import Item, Pool, Round
from monai_al.selection import clusters_of_all, nearest_by_quota
from monai_al.strategies import ClusterRepresentatives

module = importlib.import_module("monai_al.strategies.cluster_representatives")


def a_round(rows, labeled=(), number=0, seed=0, name="encoder", **plan) -> Round:
    pool = Pool([Item(f"i{i:03d}", "", "v", "p") for i in range(len(rows))])
    return Round(number, pool, np.asarray(labeled, dtype=np.int64), seed, embeddings={name: rows}, **plan)


def picks(query) -> list[int]:
    return [int(item.id[1:]) for item in query.items]


def rows_of(*sizes, spread=1.0, dim=5, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Mixed blobs, and the blob of each item."""
    rng = np.random.default_rng(seed)
    blob = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return 20 * rng.normal(size=(len(sizes), dim))[blob] + spread * rng.normal(size=(len(blob), dim)), blob


@pytest.fixture
def clusterings(monkeypatch):
    """The clusters that the choices were made from, in order."""
    seen: list[np.ndarray] = []

    def watched(*arguments):
        found = clusters_of_all(*arguments)
        seen.append(found[0])
        return found

    monkeypatch.setattr(module, "clusters_of_all", watched)
    return seen


def test_the_nearest_of_each_blob_by_its_share():
    rows, blob = rows_of(60, 30, 10)
    query = ClusterRepresentatives(k=3).query(a_round(rows), 20)
    assert np.bincount(blob[picks(query)]).tolist() == [12, 6, 2]
    for cluster in range(3):
        own = np.flatnonzero(blob == cluster)
        distances = np.linalg.norm(rows[own] - rows[own].mean(0), axis=1)
        order = np.argsort(distances)
        chosen = [
            (int(item.id[1:]), item.score, item.reason) for item in query.items if blob[int(item.id[1:])] == cluster
        ]
        assert [i for i, *_ in chosen] == own[order][: len(chosen)].tolist()
        assert [-score for _, score, _ in chosen] == pytest.approx(distances[order][: len(chosen)])
        assert {reason for *_, reason in chosen} == {f"near the centroid of {len(own)} items"}


def test_clusters_are_kept_in_all_rounds_and_each_goes_on_where_it_stopped(clusterings):
    """Another strategy, as in a run that goes on, and nothing but the round to tell it what was before."""
    rows, _ = rows_of(50, 40, 60, spread=15)
    labeled: list[int] = []
    budgets = [12, 5, 5, 30]
    for number, budget in enumerate(budgets):
        round = a_round(rows, labeled, number, seed=4, first_budget=12, rounds=4, total_budget=52)
        labeled += picks(ClusterRepresentatives().query(round, budget))
    assert all(np.array_equal(one, clusterings[0]) for one in clusterings)
    clusters = clusterings[0]
    assert len(set(clusters.tolist())) == 10
    distances = np.array(
        [np.linalg.norm(row - rows[clusters == c].mean(0)) for row, c in zip(rows, clusters, strict=True)]
    )
    expected: list[int] = []
    for budget in budgets:
        expected += nearest_by_quota(clusters, distances, budget, expected).tolist()
    assert labeled == expected
    for cluster in range(10):
        own = [i for i in labeled if clusters[i] == cluster]
        assert own == sorted(np.flatnonzero(clusters == cluster), key=lambda i: distances[i])[: len(own)]
    ClusterRepresentatives().query(a_round(rows, seed=5), 12)
    assert not np.array_equal(clusterings[-1], clusters)


def test_one_stop_hands_out_in_parts_what_is_chosen_at_once():
    rows, _ = rows_of(50, 40, 60, spread=15)
    at_once = picks(ClusterRepresentatives().query(a_round(rows), 52))
    strategy, labeled = ClusterRepresentatives(mode="one_stop"), []
    for number, budget in enumerate([12, 5, 35]):
        round = a_round(rows, labeled, number, first_budget=12, total_budget=52)
        labeled += picks(strategy.query(round, budget))
    assert labeled == at_once
    after = a_round(rows, labeled, 3, first_budget=12, total_budget=52)
    assert picks(strategy.query(after, 8)) == picks(ClusterRepresentatives().query(after, 8))
    unknown = a_round(rows)
    assert picks(strategy.query(unknown, 20)) == picks(ClusterRepresentatives().query(unknown, 20))
    assert len(picks(strategy.query(a_round(rows, total_budget=1000), 150))) == 150


def test_an_embedding_that_changes_makes_new_clusters(clusterings):
    """Labeled items count for the clusters that they are in now."""
    rows, blob = rows_of(40, 40)
    labeled = np.flatnonzero(blob == 0)[:10].tolist()
    query = ClusterRepresentatives("bottleneck:2", k=2).query(a_round(rows, labeled, 1, name="bottleneck:2"), 10)
    assert set(blob[picks(query)]) == {1}
    ClusterRepresentatives("bottleneck:2", k=2).query(a_round(rows[::-1], labeled, 2, name="bottleneck:2"), 10)
    assert not np.array_equal(clusterings[0], clusterings[1])


@pytest.mark.parametrize(
    ("embedding", "mode", "budgets", "clusters"),
    [
        ("encoder", "iterative", [4, 20], [4, 4]),  # the second query keeps the clusters of the first
        ("encoder", "one_stop", [4, 20], [10, 10]),
        ("bottleneck", "iterative", [4, 20], [4, 10]),
    ],
)
def test_k_is_lowered_where_few_items_are_asked_for(embedding, mode, budgets, clusters, clusterings):
    rows, _ = rows_of(50, 40, 60, spread=15)
    labeled: list[int] = []
    for number, (budget, k) in enumerate(zip(budgets, clusters, strict=True)):
        round = a_round(rows, labeled, number, name=embedding, first_budget=4, total_budget=24)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            labeled += picks(ClusterRepresentatives(embedding, mode=mode).query(round, budget))
        assert len(set(clusterings[-1].tolist())) == k
        assert [str(one.message) for one in told] == (
            [f"10 clusters are more than the {k} items to be labeled: {k} clusters are made"] if k < 10 else []
        )


def test_what_it_needs_and_what_it_refuses():
    assert ClusterRepresentatives().name == "cluster representatives"
    assert ClusterRepresentatives().needs() == ClusterRepresentatives().initial_needs() == {"encoder": "encoder"}
    assert ClusterRepresentatives("pixels:64").initial_needs() == {"pixels:64": "pixels:64"}
    changing = ClusterRepresentatives("bottleneck:2")
    assert changing.initial_needs() is None
    assert changing.name == "cluster representatives (bottleneck:2)"
    for wrong in (0, 2.5, True, "3"):
        with pytest.raises(ValueError, match="k must be a number of clusters, at least 1"):
            ClusterRepresentatives(k=wrong)
    with pytest.raises(ValueError, match="mode 'onestop' is none of iterative, one_stop"):
        ClusterRepresentatives(mode="onestop")
    with pytest.raises(ValueError, match="one_stop needs an embedding that stays the same, .* got 'bottleneck:2'"):
        ClusterRepresentatives("bottleneck:2", mode="one_stop")
