# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.data import Item, Pool, Round
from monai_al.selection import k_center_greedy
from monai_al.strategies import Coreset
from monai_al.strategies.coreset import distances_to_centers


def a_round(labeled=(), number=1, seed=0, **embeddings) -> Round:
    n = len(next(iter(embeddings.values())))
    pool = Pool([Item(f"i{i:02d}", "", "v", "p") for i in range(n)])
    return Round(number, pool, np.asarray(labeled, dtype=np.int64), seed, embeddings=embeddings)


def picks(query) -> list[int]:
    return [int(item.id[1:]) for item in query.items]


def brute_force(rows: np.ndarray, budget: int, labeled: list[int]) -> tuple[list[int], list[float]]:
    """Every distance of every item to every center, anew for each pick."""
    chosen: list[int] = []
    distances: list[float] = []
    for _ in range(budget):
        centers = [*labeled, *chosen]
        best, farthest = -1, -math.inf
        for i in range(len(rows)):
            if i in centers:
                continue
            nearest = min((math.dist(rows[i], rows[c]) for c in centers), default=math.inf)
            value = nearest if centers else -math.dist(rows[i], rows.mean(0))
            if value > farthest:
                best, farthest = i, value
        chosen.append(best)
        distances.append(min((math.dist(rows[best], rows[c]) for c in centers), default=math.inf))
    return chosen, distances


@pytest.mark.parametrize("labeled", [[], [7], [3, 0, 19], list(range(12))])
@pytest.mark.parametrize("dim", [1, 2, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_a_search_over_all_pairs(labeled, dim, dtype):
    rows = np.random.default_rng(dim).normal(size=(20, dim)).astype(dtype)
    query = Coreset().query(a_round(labeled, bottleneck=rows), 8)
    expected, distances = brute_force(rows.astype(np.float64), 8, labeled)
    assert picks(query) == expected
    for item, distance in zip(query.items, distances, strict=True):
        assert item.score == (None if math.isinf(distance) else pytest.approx(distance, rel=1e-5))
    assert [item.reason for item in query.items] == [f"k-center, pick {n}" for n in range(1, 9)]


def test_worked_example_on_the_line():
    rows = np.array([[0.0], [1.0], [5.0], [6.0], [10.0]])
    query = Coreset("pixels").query(a_round([0], pixels=rows), 3)
    assert picks(query) == [4, 2, 1]  # 1 and 6 tie at distance 1: the first in the pool
    assert [item.score for item in query.items] == [10, 5, 1]
    cold = Coreset("pixels").query(a_round(pixels=rows, number=0), 3)
    assert picks(cold) == [2, 0, 4]
    assert [item.score for item in cold.items] == [None, 5, 5]


def test_equal_embeddings_give_no_item_twice():
    query = Coreset().query(a_round([4], bottleneck=np.ones((10, 3))), 9)
    assert sorted(picks(query)) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert {item.score for item in query.items} == {0}


@settings(deadline=None, max_examples=50)
@given(data=st.data(), n=st.integers(1, 12))
def test_scores_never_rise(data, n):
    """The farthest item comes first, so distances to the nearest center only fall."""
    rows = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(n, 2))
    labeled = data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n))
    query = Coreset("encoder").query(a_round(labeled, encoder=rows), n - len(labeled))
    scores = [math.inf if item.score is None else item.score for item in query.items]
    assert all(one >= other * (1 - 1e-9) for one, other in zip(scores[len(labeled) == 0 :], scores[1:], strict=False))


@pytest.mark.parametrize(
    ("strategy", "needs", "initial"),
    [
        (Coreset(), "bottleneck", "pixels"),
        (Coreset("model.down.0"), "model.down.0", "pixels"),
        (Coreset("bottleneck", initial="encoder"), "bottleneck", "encoder"),
        (Coreset("encoder"), "encoder", "encoder"),
        (Coreset("pixels:32"), "pixels:32", "pixels:32"),
        (Coreset("encoder", initial="pixels"), "encoder", "encoder"),
    ],
)
def test_what_it_needs(strategy, needs, initial):
    assert strategy.needs() == {needs: needs}
    assert strategy.initial_needs() == {initial: initial}
    assert strategy.name == f"coreset ({needs})"


def test_the_initial_set_is_by_the_pixels_and_later_ones_by_the_network():
    pixels, bottleneck = np.array([[9.0], [5.0], [1.0]]), np.array([[5.0], [1.0], [9.0]])
    assert picks(Coreset().query(a_round(number=0, pixels=pixels), 1)) == [1]
    assert picks(Coreset().query(a_round([1], bottleneck=bottleneck, pixels=pixels), 1)) == [2]
    assert picks(Coreset().query(a_round(bottleneck=bottleneck, pixels=pixels), 1)) == [0]
    with pytest.raises(ValueError, match="needs the embeddings 'bottleneck'"):
        Coreset().query(a_round([1], pixels=pixels), 1)


@pytest.mark.parametrize(("stratified", "level"), [(True, "patient"), ("volume", "volume")])
def test_patients_or_volumes_take_turns(stratified, level):
    rng = np.random.default_rng(1)
    pool = Pool([Item(f"i{i}", "", f"v{i % 7}", f"p{i % 7 // 2}") for i in range(40)])
    rows = rng.normal(size=(40, 3))
    groups = [getattr(item, level) for item in pool]
    strategy = Coreset("pixels", stratified=stratified)
    for labeled in ([], [0, 7, 5]):
        query = strategy.query(Round(1, pool, np.array(labeled, dtype=int), 0, embeddings={"pixels": rows}), 20)
        assert [int(item.id[1:]) for item in query.items] == k_center_greedy(rows, 20, labeled, groups=groups).tolist()
        assert query.items[2].reason == f"k-center, pick 3, of a {level} with the fewest items so far"
    assert query.strategy == f"coreset (pixels), stratified by {level}"
    plain = Coreset("pixels").query(Round(1, pool, np.array(labeled), 0, embeddings={"pixels": rows}), 20)
    assert plain.ids != query.ids


def test_a_random_start_follows_the_seed():
    rows = np.random.default_rng(0).normal(size=(30, 2))
    starts = [picks(Coreset("pixels", start="random").query(a_round(seed=s, pixels=rows), 1)) for s in range(20)]
    assert len({first for (first,) in starts}) > 5
    assert starts[3] == picks(Coreset("pixels", start="random").query(a_round(seed=3, pixels=rows), 1))
    means = [picks(Coreset("pixels").query(a_round(seed=seed, pixels=rows), 3)) for seed in range(5)]
    assert all(one == means[0] for one in means)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": "middle"}, "start 'middle' is none of mean, random"),
        ({"stratified": "slice"}, "stratified must be True, False, patient or volume, got 'slice'"),
        ({"initial": "bottleneck"}, "initial must need no trained network, such as 'pixels:64' or 'encoder'"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Coreset(**arguments)


@pytest.mark.parametrize("labeled", [[], [0], [5, 2, 9]])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_distances_equal_loops(labeled, dtype):
    rows = (np.random.default_rng(0).normal(size=(12, 3)) * 8).astype(dtype)
    chosen = np.array([1, 11, 4, 3])
    expected = [
        min((math.dist(rows[p], rows[c]) for c in [*labeled, *chosen[:n]]), default=math.inf)
        for n, p in enumerate(chosen)
    ]
    np.testing.assert_allclose(distances_to_centers(rows, chosen, np.array(labeled, dtype=int)), expected, rtol=1e-5)
