# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import monai_al.strategies.graph as graph
from monai_al.data import Item, Pool, Round
from monai_al.passes import train_graph_encoder
from monai_al.strategies import CoreGCN, UncertainGCN

FAST = {"hidden": 16, "epochs": 10, "progress": False}
each_strategy = pytest.mark.parametrize("make", [CoreGCN, UncertainGCN])


def a_round(n=30, labeled=(2, 29, 11), number=1, seed=0, name="bottleneck") -> Round:
    rows = np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32)
    pool = Pool([Item(f"i{i:02d}", "", "v", "p") for i in range(n)])
    return Round(number, pool, np.asarray(labeled, dtype=np.int64), seed, embeddings={name: rows})


def picks(query) -> list[int]:
    return [int(item.id[1:]) for item in query.items]


def trained(round: Round, positions, **settings) -> tuple[np.ndarray, np.ndarray]:
    rows = round.embeddings["bottleneck"][positions]
    seed = int(round.rng("graph").integers(2**62))
    return train_graph_encoder(rows, np.isin(positions, round.labeled), seed=seed, **{**FAST, **settings})


def test_core_gcn_equals_a_search_over_all_pairs_of_activations():
    round = a_round()
    positions = [*round.labeled, *round.unlabeled]
    _, activations = trained(round, positions)
    rows = dict(zip(positions, activations.astype(np.float64), strict=True))
    centers, distances = list(round.labeled), []
    for _ in range(8):
        nearest = {
            i: min(np.linalg.norm(rows[i] - rows[c]) for c in centers) for i in round.unlabeled if i not in centers
        }
        centers.append(max(nearest, key=nearest.get))
        distances.append(nearest[centers[-1]])
    query = CoreGCN(**FAST).query(round, 8)
    assert picks(query) == centers[3:]
    np.testing.assert_allclose([item.score for item in query.items], distances, rtol=1e-4)
    assert query.items[1].reason == "k-center of the graph's activations, pick 2"


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_uncertain_gcn_takes_the_probabilities_nearest_to_its_margin(margin):
    round = a_round()
    positions = [*round.labeled, *round.unlabeled]
    probabilities, _ = trained(round, positions)
    distance = {i: abs(p - margin) for i, p in zip(positions, probabilities, strict=True) if i not in round.labeled}
    query = UncertainGCN(margin=margin, **FAST).query(round, 6)
    expected = sorted(distance, key=distance.get)[:6]
    assert picks(query) == expected
    np.testing.assert_allclose([item.score for item in query.items], [-distance[i] for i in expected])


@pytest.mark.parametrize("subset", [8, 10000])
@pytest.mark.parametrize("level", ["patient", "volume"])
@each_strategy
def test_patients_or_volumes_take_turns(make, level, subset):
    pool = Pool([Item(f"i{i:02d}", "", f"v{i % 8}", f"p{i % 8 // 2}") for i in range(30)])
    round = replace(a_round(), pool=pool)
    strategy = make(stratified=level, subset=subset, **FAST)
    group = [getattr(item, level) for item in pool]
    chosen = picks(strategy.query(round, 8))
    if subset == 10000:
        for n, pick in enumerate(chosen):
            counts = Counter(group[i] for i in [*round.labeled, *chosen[:n]])
            assert counts[group[pick]] == min(counts[name] for name in group)
    assert chosen != picks(make(subset=subset, **FAST).query(round, 8)) or subset == 8
    assert strategy.name == f"{make.name}, stratified by {level}"


def test_core_gcn_takes_a_group_that_nobody_labeled_before_what_is_like_the_labeled():
    round = a_round(n=40, labeled=range(6))
    rows = np.random.default_rng(1).normal(scale=0.05, size=(40, 6)).astype(np.float32)
    rows[:20, 0] += 1
    rows[20:, 1] += 1
    query = CoreGCN(progress=False).query(replace(round, embeddings={"bottleneck": rows}), 1)
    assert picks(query)[0] >= 20


@each_strategy
@pytest.mark.parametrize("subset", [1, 4, 10, 27])
@pytest.mark.parametrize("budget", [1, 6, 27])
def test_a_large_pool_gives_a_random_part_and_never_fewer_than_are_asked_for(make, subset, budget, monkeypatch):
    seen = []
    plain = graph.train_graph_encoder
    monkeypatch.setattr(
        graph, "train_graph_encoder", lambda rows, *a, **k: (seen.append(rows), plain(rows, *a, **k))[1]
    )
    round = a_round()
    query = make(subset=subset, **FAST).query(round, budget)
    (rows,) = seen
    np.testing.assert_array_equal(rows[:3], round.embeddings["bottleneck"][round.labeled])
    assert len(rows) == 3 + min(27, max(subset, budget))
    assert len(set(picks(query))) == budget
    assert not set(picks(query)) & set(round.labeled)
    chosen = round.embeddings["bottleneck"][picks(query)]
    assert all((rows[3:] == row).all(1).any() for row in chosen)


def test_the_part_is_another_one_in_another_round():
    parts = {tuple(sorted(picks(CoreGCN(subset=5, **FAST).query(a_round(number=n), 5)))) for n in range(6)}
    assert len(parts) > 3


@each_strategy
def test_without_a_labeled_item_the_start_is_random(make):
    assert make().initial_needs() is None
    starts = [make(**FAST).query(a_round(labeled=(), number=0, seed=seed), 4) for seed in range(6)]
    assert len({tuple(picks(query)) for query in starts}) == 6
    assert {item.reason for item in starts[0].items} == {"drawn: nothing is labeled"}
    assert starts[0] == make(**FAST).query(a_round(labeled=(), number=0), 4)


@each_strategy
def test_no_training_for_nothing(make, monkeypatch):
    monkeypatch.setattr(graph, "train_graph_encoder", lambda *a, **k: pytest.fail("trained"))
    assert make().query(a_round(), 0).ids == ()
    with pytest.raises(ValueError, match="more than the 27 unlabeled"):
        make().query(a_round(), 28)


def test_the_order_of_the_pool_does_not_matter_without_draws():
    """First weights do not depend on the order either, dropout does."""
    round = a_round()
    order = np.random.default_rng(3).permutation(30)
    moved = Round(
        1, Pool([round.pool[int(i)] for i in order]), np.flatnonzero(np.isin(order, round.labeled)), 0,
        embeddings={"bottleneck": round.embeddings["bottleneck"][order]},
    )  # fmt: skip
    strategy = CoreGCN(**FAST, dropout=0.0)
    assert strategy.query(moved, 8).ids == strategy.query(round, 8).ids


@each_strategy
def test_settings_and_names(make):
    name = {CoreGCN: "core gcn", UncertainGCN: "uncertain gcn"}[make]
    assert make().name == name
    assert make("encoder").name == f"{name} (encoder)"
    assert make().name == name
    assert make("encoder").needs() == {"encoder": "encoder"}
    assert make().training == {
        "hidden": 128, "dropout": 0.3, "weight": 1.2, "epochs": 200, "learning_rate": 1e-3, "weight_decay": 5e-4,
    }  # fmt: skip
    assert make().subset == 10000
    assert UncertainGCN().margin == 0.1


@each_strategy
@pytest.mark.parametrize("subset", [0, -1, 2.5, True])
def test_arguments_are_checked(make, subset):
    with pytest.raises(ValueError, match="subset must be a whole number of at least 1"):
        make(subset=subset)
