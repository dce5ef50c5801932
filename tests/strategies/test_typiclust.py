# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from monai_al.data import Item, Pool, Round
from monai_al.selection import typical_of_clusters
from monai_al.strategies import TypiClust


def a_round(rows, labeled=(), number=1, seed=0, name="encoder") -> Round:
    pool = Pool([Item(f"i{i:02d}", "", "v", "p") for i in range(len(rows))])
    return Round(number, pool, np.asarray(labeled, dtype=np.int64), seed, embeddings={name: rows})


def picks(query) -> list[int]:
    return [int(item.id[1:]) for item in query.items]


def directions(*sizes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Narrow bundles of vectors of any length, bundle j about axis j; and which bundle each belongs to."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.eye(len(sizes))[kind] + 0.02 * rng.normal(size=(len(kind), len(sizes)))
    return rows * rng.uniform(0.1, 10, size=(len(kind), 1)), kind


def test_the_initial_set_has_an_item_of_each_cluster_largest_first():
    rows, kind = directions(10, 25, 7, 15)
    query = TypiClust().query(a_round(rows, number=0), 4)
    assert kind[picks(query)].tolist() == [1, 3, 0, 2]
    assert [item.reason for item in query.items] == [
        f"typical of a cluster with few labeled items, pick {n}" for n in (1, 2, 3, 4)
    ]


def test_clusters_without_labels_come_first():
    rows, kind = directions(10, 12, 11, 9, 14)
    labeled = [int(np.flatnonzero(kind == one)[0]) for one in (1, 4)]
    query = TypiClust().query(a_round(rows, labeled), 3)
    assert set(kind[picks(query)]) == {0, 2, 3}


def test_a_pick_is_the_most_typical_of_its_cluster():
    rows, kind = directions(12, 9)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for pick in picks(TypiClust().query(a_round(rows), 2)):
        members = np.flatnonzero(kind == kind[pick])
        n = min(20, len(members) // 2)
        typicality = {}
        for one in members:
            nearest = sorted(np.linalg.norm(unit[one] - unit[other]) for other in members if other != one)[:n]
            typicality[one] = 1 / (np.mean(nearest) + 1e-5)
        assert pick == max(typicality, key=typicality.get)


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_selection_with_the_rounds_draws(seed):
    rows = np.random.default_rng(0).normal(size=(50, 6))
    round = a_round(rows, labeled=[3, 8], seed=seed)
    expected = typical_of_clusters(rows, 9, [3, 8], round.rng("typiclust"))
    assert picks(TypiClust().query(round, 9)) == expected.tolist()


def test_the_length_of_an_embedding_does_not_matter():
    rows, _ = directions(10, 12, 11)
    factors = 2.0 ** np.random.default_rng(1).integers(-3, 4, size=(len(rows), 1))
    assert TypiClust().query(a_round(rows), 9) == TypiClust().query(a_round(rows * factors), 9)


def test_budgets_beyond_the_clusters_go_round():
    rows, kind = directions(8, 8, 8)
    counts = Counter(kind[picks(TypiClust().query(a_round(rows), 24))].tolist())
    assert counts == {0: 8, 1: 8, 2: 8}


def test_patients_take_turns_and_small_clusters_may_be_dropped():
    rows = np.random.default_rng(0).normal(size=(60, 4))
    pool = Pool([Item(f"i{i:02d}", "", f"v{i % 9}", f"p{i % 9 // 2}") for i in range(60)])
    round = Round(1, pool, np.array([3, 8, 40]), 0, embeddings={"encoder": rows})
    for settings, options in (
        ({"stratified": True}, {"groups": [item.patient for item in pool]}),
        ({"stratified": "volume"}, {"groups": [item.volume for item in pool]}),
    ):
        query = TypiClust(**settings).query(round, 25)
        assert picks(query) == typical_of_clusters(rows, 25, [3, 8, 40], round.rng("typiclust"), **options).tolist()
        assert picks(query) != picks(TypiClust().query(round, 25))
    rows, kind = directions(20, 3, 15, 4)
    assert set(kind[picks(TypiClust().query(a_round(rows), 4))]) == {0, 1, 2, 3}
    assert kind[picks(TypiClust(small_clusters="drop").query(a_round(rows), 4))].tolist() == [0, 2, 0, 2]
    assert TypiClust(stratified=True).name == "typiclust, stratified by patient"
    with pytest.raises(ValueError, match="small_clusters 'keep' is none of lower, drop"):
        TypiClust(small_clusters="keep")
    with pytest.raises(ValueError, match="stratified must be True, False, patient or volume, got 'slice'"):
        TypiClust(stratified="slice")


def test_what_it_needs():
    assert TypiClust().name == "typiclust"
    assert TypiClust().needs() == TypiClust().initial_needs() == {"encoder": "encoder"}
    assert TypiClust("pixels:64").initial_needs() == {"pixels:64": "pixels:64"}
    assert TypiClust("bottleneck").initial_needs() is None
    assert TypiClust("bottleneck").name == "typiclust (bottleneck)"
