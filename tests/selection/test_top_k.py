# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.selection import merge_alternating, ranks, top_k

INF = math.inf
SCORES = st.lists(st.sampled_from([-INF, -2.0, 0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=25)


@st.composite
def problems(draw):
    """Scores with many ties, some labeled, and a budget that fits."""
    scores = draw(SCORES)
    labeled = draw(st.lists(st.integers(0, len(scores) - 1), unique=True, max_size=len(scores)))
    budget = draw(st.integers(0, len(scores) - len(labeled)))
    return scores, budget, labeled, draw(st.integers(0, 1000))


def ranking(scores, labeled, rng) -> list[int]:
    """All unlabeled items in order: sorted by score, then index; the rest as drawn."""
    free = [i for i in range(len(scores)) if i not in set(labeled)]
    finite = sorted((i for i in free if scores[i] > -INF), key=lambda i: (-scores[i], i))
    return finite + rng.permutation([i for i in free if scores[i] == -INF]).astype(int).tolist()


@settings(deadline=None, max_examples=40)
@given(problem=problems())
def test_equals_a_sorted_list(problem):
    scores, budget, labeled, seed = problem
    chosen = top_k(scores, budget, labeled, np.random.default_rng(seed))
    full = ranking(scores, labeled, np.random.default_rng(seed))
    n_finite = sum(scores[i] > -INF for i in full)
    assert chosen.dtype == np.int64
    assert chosen[:n_finite].tolist() == full[: min(budget, n_finite)]
    assert len(set(chosen.tolist())) == len(chosen) == budget
    assert not set(chosen.tolist()) & set(labeled)
    assert set(chosen.tolist()) <= set(full)


def test_items_without_a_score_come_last_in_a_drawn_order():
    scores = np.full(30, -INF)
    scores[[4, 7]] = [1.0, 2.0]
    orders = [top_k(scores, 30, rng=np.random.default_rng(seed)).tolist() for seed in range(3)]
    assert all(order[:2] == [7, 4] for order in orders)
    assert all(sorted(order) == list(range(30)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert orders[0][2:] != sorted(orders[0][2:])
    assert top_k(scores, 30).tolist() == top_k(scores, 30).tolist() == orders[0]


def test_the_choice_among_items_without_a_score_is_uniform():
    scores = [-INF] * 4
    rng = np.random.default_rng(0)
    counts = np.bincount([top_k(scores, 1, rng=rng)[0] for _ in range(2000)], minlength=4)
    assert (np.abs(counts - 500) < 100).all()


def test_permuted_pool_gives_the_same_items():
    rng = np.random.default_rng(0)
    scores = rng.permutation(200).astype(float)
    order = rng.permutation(200)
    assert np.array_equal(order[top_k(scores[order], 20)], top_k(scores, 20))


def test_equal_scores_break_by_index_also_at_the_cut():
    assert top_k([1.0, 2.0, 1.0, 1.0, 2.0], 4).tolist() == [1, 4, 0, 2]
    assert top_k(np.zeros(1000), 3, labeled=[0, 2]).tolist() == [1, 3, 4]


def test_input_is_not_changed_and_float32_is_taken():
    scores = np.array([0.0, -INF, 2.0], dtype=np.float32)
    before = scores.copy()
    assert top_k(scores, 3).tolist() == [2, 0, 1]
    assert np.array_equal(scores, before)


@pytest.mark.parametrize("budget", [0, np.int64(2), 3])
def test_whole_number_budgets(budget):
    assert len(top_k([1.0, 2.0, 3.0], budget)) == budget


ERRORS = [
    ([], 0, (), "empty"),
    ([1.0, math.nan], 1, (), r"\[1\] is nan"),
    ([1.0, 2.0, INF], 1, (), r"\[2\] is inf"),
    ([math.nan, 2.0], 1, (0,), r"\[0\] is nan"),
    ([[1.0], [2.0]], 1, (), "shape"),
    ([1.0, 2.0], 3, (), "budget 3 is more than the 2 unlabeled items"),
    ([1.0, 2.0], 2, (0,), "budget 2 is more than the 1 unlabeled items"),
    ([1.0, 2.0], -1, (), "negative, got -1"),
    ([1.0, 2.0], 0.5, (), "whole number of items, got 0.5"),
    ([1.0, 2.0], True, (), "whole number"),
    ([1.0, 2.0, 3.0], 1, (1, 1), "labeled index 1 occurs twice"),
    ([1.0, 2.0, 3.0], 1, (0, 3), "labeled index 3 is out of range"),
    ([1.0, 2.0, 3.0], 1, (-1,), "labeled index -1 is out of range"),
    ([1.0, 2.0, 3.0], 1, (0.5,), "integers"),
]


@pytest.mark.parametrize(("scores", "budget", "labeled", "message"), ERRORS)
def test_errors(scores, budget, labeled, message):
    with pytest.raises(ValueError, match=message):
        top_k(scores, budget, labeled)
    with pytest.raises(ValueError, match=message):
        merge_alternating(scores, scores, budget, labeled)


def test_merge_worked_example():
    a, b, c, d, e, f = range(6)
    target, boundary = np.zeros(6), np.zeros(6)
    target[[a, b, c, d]] = [9, 8, 7, 6]
    boundary[[b, a, e, f]] = [9, 8, 7, 6]
    assert merge_alternating(target, boundary, 5).tolist() == [a, b, c, e, d]


@settings(deadline=None, max_examples=40)
@given(problem=problems(), seed=st.integers(0, 1000))
def test_merge_equals_the_rule_on_whole_rankings(problem, seed):
    first, budget, labeled, _ = problem
    # distinct scores: whole rankings need no drawn order
    rng = np.random.default_rng(seed)
    lists = [rng.permutation(len(first)).astype(float) for _ in range(2)]
    rankings = [ranking(scores, labeled, rng) for scores in lists]
    expected: list[int] = []
    while len(expected) < budget:
        turn = rankings[len(expected) % 2]
        expected.append(next(i for i in turn if i not in expected))
    assert merge_alternating(*lists, budget, labeled).tolist() == expected


@settings(deadline=None, max_examples=40)
@given(problem=problems(), seed=st.integers(0, 1000))
def test_merge_is_exact_and_distinct_with_ties_and_empty_regions(problem, seed):
    first, budget, labeled, _ = problem
    second = np.random.default_rng(seed).permutation(first)
    chosen = merge_alternating(first, second, budget, labeled, np.random.default_rng(seed))
    again = merge_alternating(first, second, budget, labeled, np.random.default_rng(seed))
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == len(chosen) == budget
    assert not set(chosen.tolist()) & set(labeled)
    assert chosen.tolist() == again.tolist()


def test_merge_of_one_ranking_with_itself_is_that_ranking():
    scores = np.random.default_rng(0).random(50)
    assert merge_alternating(scores, scores, 20, labeled=[3]).tolist() == top_k(scores, 20, labeled=[3]).tolist()


def test_merge_puts_empty_regions_last_in_each_list():
    first = [-INF, 3.0, -INF, 2.0, -INF]
    second = [1.0, -INF, -INF, -INF, 2.0]
    assert merge_alternating(first, second, 4).tolist() == [1, 4, 3, 0]
    assert merge_alternating([-INF] * 6, [-INF] * 6, 6).tolist() != list(range(6))


def test_merge_errors_name_the_list():
    with pytest.raises(ValueError, match=r"second\[1\] is nan"):
        merge_alternating([1.0, 2.0], [1.0, math.nan], 1)
    with pytest.raises(ValueError, match="same items, got 2 and 3"):
        merge_alternating([1.0, 2.0], [1.0, 2.0, 3.0], 1)


@settings(deadline=None, max_examples=40)
@given(problem=problems())
def test_ranks_are_the_places_in_the_order_of_top_k(problem):
    scores, _, labeled, _ = problem
    found = ranks(scores, labeled)
    finite = [i for i in ranking(scores, labeled, np.random.default_rng(0)) if scores[i] > -INF]
    assert found.dtype == np.int64
    assert found.tolist() == [finite.index(i) + 1 if i in finite else 0 for i in range(len(scores))]


def test_ranks_refuse_what_top_k_refuses():
    with pytest.raises(ValueError, match=r"scores\[1\] is nan"):
        ranks([0.0, math.nan])
    with pytest.raises(ValueError, match="occurs twice"):
        ranks([0.0, 1.0], labeled=[1, 1])
