# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.selection import Coverage, spread, stratified, top_k

INF = math.inf


@st.composite
def problems(draw):
    """Scores with many ties, groups of any size, some labeled, and a budget that fits."""
    scores = draw(st.lists(st.sampled_from([-INF, -2.0, 0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=25))
    names = st.sampled_from(draw(st.sampled_from([["a"], ["b", "a"], ["p10", "p9", "p1", "", "p2"]])))
    groups = draw(st.lists(names, min_size=len(scores), max_size=len(scores)))
    labeled = draw(st.lists(st.integers(0, len(scores) - 1), unique=True, max_size=len(scores)))
    budget = draw(st.integers(0, len(scores) - len(labeled)))
    return scores, budget, groups, labeled, draw(st.integers(0, 1000))


def plain(scores, budget, groups, labeled, drawn) -> list[int]:
    """The definition, pick by pick; ``drawn`` is the order of the items without a score."""
    taken, chosen = set(labeled), []

    def rank(i):
        return (0, -scores[i], i) if scores[i] > -INF else (1, drawn.index(i), i)

    for _ in range(budget):
        counts = Counter(groups[i] for i in taken)
        free = [i for i in range(len(scores)) if i not in taken]
        fewest = min(counts[groups[i]] for i in free)
        chosen.append(min((i for i in free if counts[groups[i]] == fewest), key=rank))
        taken.add(chosen[-1])
    return chosen


@settings(deadline=None, max_examples=150)
@given(problem=problems())
def test_equals_the_definition(problem):
    scores, budget, groups, labeled, seed = problem
    chosen = stratified(scores, budget, groups, labeled, np.random.default_rng(seed))
    unscored = [i for i in range(len(scores)) if i not in labeled and scores[i] == -INF]
    drawn = np.random.default_rng(seed).permutation(unscored).tolist()
    assert chosen.dtype == np.int64
    assert chosen.tolist() == plain(scores, budget, groups, labeled, drawn)


@settings(deadline=None, max_examples=100)
@given(problem=problems())
def test_what_it_promises(problem):
    scores, budget, groups, labeled, seed = problem
    chosen = stratified(scores, budget, groups, labeled, np.random.default_rng(seed)).tolist()
    assert len(set(chosen)) == len(chosen) == budget
    assert not set(chosen) & set(labeled)
    counts, size = Counter(groups[i] for i in (*labeled, *chosen)), Counter(groups)
    left = [group for group in size if counts[group] < size[group]]
    grew = [group for group in size if counts[group] > Counter(groups[i] for i in labeled)[group]]
    for group in grew:  # a group that got items is ahead of none that has some left by more than 1
        assert all(counts[group] - counts[other] <= 1 for other in left)
    for group in size:
        given_ = [scores[i] for i in chosen if groups[i] == group]
        assert given_ == sorted(given_, reverse=True)


def test_with_one_group_it_is_top_k_and_with_one_item_each_too():
    rng = np.random.default_rng(0)
    scores = np.where(rng.random(40) < 0.3, -INF, rng.integers(5, size=40))
    labeled = [3, 30]
    for groups in (np.zeros(40, int), np.arange(40), np.full(40, "p")):
        chosen = stratified(scores, 38, groups, labeled, np.random.default_rng(1))
        assert chosen.tolist() == top_k(scores, 38, labeled, np.random.default_rng(1)).tolist()


def test_the_scores_choose_among_groups_with_equally_many():
    groups = ["a", "a", "b", "b", "c", "c"]
    assert stratified([1, 2, 9, 3, 5, 5], 6, groups).tolist() == [2, 4, 1, 5, 3, 0]
    assert stratified([1, 2, -INF, -INF, 5, 5], 4, groups).tolist()[:2] == [4, 1]  # a patient comes before a score
    assert stratified([1, 2, -INF, -INF, 5, 5], 3, groups).tolist()[2] in (2, 3)


def test_items_without_a_score_stand_in_a_drawn_order():
    orders = {tuple(stratified([-INF] * 6, 6, [0, 0, 0, 1, 1, 1], rng=np.random.default_rng(s))) for s in range(40)}
    assert len(orders) > 20
    assert stratified([-INF] * 6, 6, [0] * 6).tolist() == stratified([-INF] * 6, 6, [0] * 6).tolist()
    first = np.bincount([stratified([-INF] * 4, 1, [0, 0, 1, 1], rng=np.random.default_rng(s))[0] for s in range(2000)])
    assert (np.abs(first - 500) < 100).all()


@settings(deadline=None, max_examples=50)
@given(problem=problems())
def test_coverage_allows_what_the_order_takes(problem):
    scores, budget, groups, labeled, _ = problem
    coverage = Coverage(groups, len(groups), labeled)
    for i in stratified(scores, budget, groups, labeled):
        assert coverage.behind()[i]
        coverage.add(int(i))
    full = Coverage([0, 0], 2, [0, 1])
    assert not full.behind().any()


def test_a_ranking_of_some_items_is_enough():
    assert spread(np.array([5, 4, 1]), [0, 0, 0, 0, 0, 1], 6, labeled=[2]).tolist() == [5, 4, 1]
    assert spread(np.array([], dtype=int), [0, 0], 2, labeled=[0, 1]).tolist() == []


@pytest.mark.parametrize(
    ("scores", "budget", "groups", "labeled", "message"),
    [
        ([0.5, math.nan], 1, [0, 0], (), r"scores\[1\] is nan"),
        ([INF, 0.5], 1, [0, 0], (), r"scores\[0\] is inf"),
        ([], 0, [], (), "empty"),
        ([0.5, 1.0], 2, [0, 0], [0], "budget 2 is more than the 1 unlabeled"),
        ([0.5, 1.0], -1, [0, 0], (), "negative"),
        ([0.5, 1.0], 1, [0, 0], [2], "labeled index 2 is out of range"),
        ([0.5, 1.0], 0, [0, 0], [1, 1], "labeled index 1 occurs twice"),
        ([0.5, 1.0], 0, [0], (), r"groups must have the shape \(2,\), one for each item, got \(1,\)"),
        ([0.5, 1.0], 1, [[0], [1]], (), r"groups must have the shape \(2,\)"),
        ([0.5, 1.0], 1, ["p", None], (), "that of item 1 is None"),
        ([0.5, 1.0], 1, [0.5, 1.0], (), "that of item 0 is .*0.5"),
    ],
)
def test_errors(scores, budget, groups, labeled, message):
    with pytest.raises(ValueError, match=message):
        stratified(scores, budget, groups, labeled)
