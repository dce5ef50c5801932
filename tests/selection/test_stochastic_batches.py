# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from monai_al.selection import stochastic_batches, top_k

INF = math.inf
REDUCTIONS = ["mean", "max", "sum"]


@st.composite
def problems(draw):
    """Scores with ties and without a value, some labeled, and a budget of at least 1 that fits."""
    scores = draw(st.lists(st.sampled_from([-INF, -2.0, 0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=25))
    labeled = draw(st.lists(st.integers(0, len(scores) - 1), unique=True, max_size=len(scores) - 1))
    budget = draw(st.integers(1, len(scores) - len(labeled)))
    return scores, budget, labeled, draw(st.integers(0, 1000))


def drawn_batches(free, budget, n_batches, partition, rng) -> list[list[int]]:
    """The batches that a generator gives, as lists of indices."""
    if partition:
        order = [free[i] for i in rng.permutation(len(free))]
        return [order[i * budget : (i + 1) * budget] for i in range(n_batches)]
    return [[free[i] for i in rng.choice(len(free), budget, replace=False, shuffle=False)] for _ in range(n_batches)]


def batch_score(batch, scores, free, reduction) -> float:
    """From the definition, in exact arithmetic: the scores are few binary fractions."""
    finite = [scores[i] for i in free if scores[i] > -INF]
    values = [scores[i] if scores[i] > -INF else min(finite, default=0.0) for i in batch]
    return {"max": max(values), "sum": math.fsum(values), "mean": math.fsum(values) / len(values)}[reduction]


def best_of(batches, scores, free, reduction) -> list[int]:
    best = batches[0]
    for batch in batches[1:]:
        if batch_score(batch, scores, free, reduction) > batch_score(best, scores, free, reduction):
            best = batch
    return best


@settings(deadline=None, max_examples=150)
@given(problem=problems(), partition=st.booleans(), reduction=st.sampled_from(REDUCTIONS), number=st.integers(0, 9))
def test_equals_the_definition_on_the_same_draws(problem, partition, reduction, number):
    scores, budget, labeled, seed = problem
    free = [i for i in range(len(scores)) if i not in set(labeled)]
    most = len(free) // budget
    n_batches = None if number == 0 else min(number, most) if partition else number
    chosen = stochastic_batches(
        scores, budget, labeled, np.random.default_rng(seed), n_batches=n_batches, partition=partition,
        reduction=reduction,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    batches = drawn_batches(free, budget, n_batches or most, partition, rng)
    best = best_of(batches, scores, free, reduction)
    ranked = sorted((i for i in best if scores[i] > -INF), key=lambda i: (-scores[i], i))
    assert chosen.dtype == np.int64
    assert chosen[: len(ranked)].tolist() == ranked
    assert sorted(chosen.tolist()) == sorted(best)
    assert not set(chosen.tolist()) & set(labeled)


def test_the_default_number_of_batches_is_the_pool_over_the_budget():
    """1010 and 23 items in batches of 10 and 5: 101 and 4 batches."""
    for n, budget, n_batches in ((1010, 10, 101), (23, 5, 4), (9, 5, 1)):
        scores = np.random.default_rng(n).random(n)
        for partition in (False, True):
            for seed in range(5):
                ours, same, fewer = (
                    stochastic_batches(
                        scores, budget, rng=np.random.default_rng(seed), n_batches=q, partition=partition
                    ).tolist()
                    for q in (None, n_batches, max(1, n_batches // 2))
                )
                assert ours == same
                assert scores[ours].mean() >= scores[fewer].mean()
    labeled = range(13)  # what is labeled does not count
    answers = [stochastic_batches(np.arange(23.0), 5, labeled, n_batches=q).tolist() for q in (None, 2)]
    assert answers[0] == answers[1]


# -- limits ------------------------------------------------------------------------------------------------------------


def inclusions(scores, budget, times, labeled=(), **options) -> np.ndarray:
    """How often each item is chosen."""
    rng = np.random.default_rng(0)
    chosen = [stochastic_batches(scores, budget, labeled, rng, **options) for _ in range(times)]
    return np.bincount(np.concatenate(chosen), minlength=len(scores))


@pytest.mark.parametrize("partition", [False, True])
def test_one_batch_is_random_choice(partition):
    scores = np.random.default_rng(1).random(24)
    counts = inclusions(scores, 5, 3000, labeled=[7, 20, 21], n_batches=1, partition=partition)
    assert counts[[7, 20, 21]].tolist() == [0, 0, 0]
    assert chisquare(np.delete(counts, [7, 20, 21])).pvalue > 0.01
    assert chisquare(inclusions(scores, 5, 3000)).pvalue < 1e-6  # four batches are not


def test_one_batch_is_any_set_with_equal_probability():
    rng, sets = np.random.default_rng(0), list(itertools.combinations(range(5), 2))
    found = [tuple(sorted(stochastic_batches(np.arange(5.0), 2, rng=rng, n_batches=1).tolist())) for _ in range(2000)]
    assert chisquare([found.count(one) for one in sets]).pvalue > 0.01


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("score", [0.1, -INF])
def test_equal_scores_are_random_choice(score, reduction, partition):
    counts = inclusions(np.full(24, score), 5, 3000, reduction=reduction, partition=partition)
    assert chisquare(counts).pvalue > 0.01


def test_many_batches_come_near_to_the_highest_scores():
    scores = np.random.default_rng(3).random(14)
    highest = top_k(scores, 4)
    assert stochastic_batches(scores, 4, n_batches=20_000).tolist() == highest.tolist()
    means = [
        np.mean([
            scores[stochastic_batches(scores, 4, rng=np.random.default_rng(seed), n_batches=q)].mean()
            for seed in range(50)
        ])
        for q in (1, 10, 100, 1000)
    ]  # fmt: skip
    assert means == sorted(means)
    assert means[0] == pytest.approx(scores.mean(), abs=0.05)
    assert means[-1] == pytest.approx(scores[highest].mean(), abs=0.05)


def test_reductions_differ():
    """Of two batches {3, 0} and {2, 2}, the mean and the sum take the second, the maximum the first."""
    scores = [3.0, 0.0, 2.0, 2.0]
    answers = {
        reduction: {
            tuple(
                stochastic_batches(
                    scores, 2, rng=np.random.default_rng(seed), partition=True, reduction=reduction
                ).tolist()
            )
            for seed in range(30)
        }
        for reduction in REDUCTIONS
    }
    assert (2, 3) in answers["mean"]
    assert answers["mean"] == answers["sum"]
    assert all(0 in one for one in answers["max"])


def test_a_partition_leaves_the_rest_out():
    """With as many batches as there are, each item is in one of them or left out; with two, the better one wins."""
    scores = np.arange(23.0)
    never = 0
    for seed in range(200):
        order = np.random.default_rng(seed).permutation(23)
        left_out = set(order[20:].tolist())
        chosen = stochastic_batches(scores, 5, rng=np.random.default_rng(seed), partition=True).tolist()
        assert not left_out & set(chosen)
        never += 22 in left_out
    assert never > 0  # the highest score of all is among the left out ones now and then
    every = stochastic_batches(scores[:20], 10, rng=np.random.default_rng(0), partition=True)
    assert scores[every].mean() >= scores[:20].mean()


def test_items_without_a_score_count_as_the_smallest_and_stand_last():
    scores = np.array([5.0, -INF, 2.0, -INF, 2.0, 9.0])
    everything = stochastic_batches(scores, 6).tolist()
    assert everything[:4] == [5, 0, 2, 4]
    assert set(everything[4:]) == {1, 3}
    orders = {tuple(stochastic_batches(scores, 6, rng=np.random.default_rng(s)).tolist()) for s in range(20)}
    assert len(orders) == 2
    # two batches of {-5, -5, -5, -4}: the one with -4 wins
    for seed in range(30):
        chosen = stochastic_batches([-INF, -INF, -5.0, -4.0], 2, rng=np.random.default_rng(seed), partition=True)
        assert 3 in chosen
    # the smallest finite score is that of an unlabeled item: {0: -inf, 1: 1} and {2: 1, 3: 1} are equal, so that the
    # one drawn first wins, although a labeled item scores less
    scores = np.array([-INF, 1.0, 1.0, 1.0, -50.0])
    first = set()
    for seed in range(30):
        order = np.random.default_rng(seed).permutation(4)
        chosen = stochastic_batches(scores, 2, [4], np.random.default_rng(seed), partition=True)
        assert set(chosen.tolist()) == set(order[:2].tolist())
        first.add(0 in order[:2])
    assert first == {True, False}


@pytest.mark.parametrize("partition", [False, True])
def test_labeled_items_are_never_chosen(partition):
    scores = np.random.default_rng(0).random(60)
    labeled = np.argsort(-scores)[:30]
    for seed in range(30):
        chosen = stochastic_batches(scores, 7, labeled, np.random.default_rng(seed), partition=partition)
        assert not set(chosen.tolist()) & set(labeled.tolist())


# -- the contract ------------------------------------------------------------------------------------------------------


def test_the_same_generator_gives_the_same_answer():
    scores = np.random.default_rng(0).random(100)
    before = scores.copy()
    assert stochastic_batches(scores, 9).tolist() == stochastic_batches(scores, 9).tolist()
    assert (
        stochastic_batches(scores, 9).tolist() == stochastic_batches(scores, 9, rng=np.random.default_rng(0)).tolist()
    )
    rng = np.random.default_rng(0)
    assert stochastic_batches(scores, 9, rng=rng).tolist() != stochastic_batches(scores, 9, rng=rng).tolist()
    assert np.array_equal(scores, before)


def test_no_budget_is_no_item():
    for options in ({}, {"partition": True}, {"n_batches": 3}, {"partition": True, "n_batches": 3}):
        chosen = stochastic_batches([1.0, 2.0], 0, **options)
        assert chosen.dtype == np.int64
        assert chosen.tolist() == []
    assert stochastic_batches([1.0], 0, labeled=[0]).tolist() == []


def test_the_whole_pool_is_one_batch():
    assert stochastic_batches([1.0, 3.0, 2.0, 3.0], 4).tolist() == [1, 3, 2, 0]
    assert stochastic_batches([1.0, 3.0, 2.0, 3.0], 3, [1], partition=True).tolist() == [3, 2, 0]


@pytest.mark.parametrize(
    ("scores", "budget", "labeled", "message"),
    [
        ([], 0, (), "empty"),
        ([1.0, math.nan], 1, (), r"\[1\] is nan"),
        ([1.0, 2.0, INF], 1, (), r"\[2\] is inf"),
        ([[1.0], [2.0]], 1, (), "shape"),
        ([1.0, 2.0], 3, (), "budget 3 is more than the 2 unlabeled items"),
        ([1.0, 2.0], 2, (0,), "budget 2 is more than the 1 unlabeled items"),
        ([1.0, 2.0], -1, (), "negative, got -1"),
        ([1.0, 2.0], 0.5, (), "whole number of items, got 0.5"),
        ([1.0, 2.0, 3.0], 1, (1, 1), "labeled index 1 occurs twice"),
        ([1.0, 2.0, 3.0], 1, (0, 3), "labeled index 3 is out of range"),
    ],
)
def test_errors(scores, budget, labeled, message):
    for partition in (False, True):
        with pytest.raises(ValueError, match=message):
            stochastic_batches(scores, budget, labeled, partition=partition)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_batches": 0}, "n_batches must be a whole number of at least 1, got 0"),
        ({"n_batches": -2}, "n_batches"),
        ({"n_batches": 2.0}, "n_batches"),
        ({"n_batches": True}, "n_batches"),
        ({"n_batches": 4, "partition": True}, "n_batches = 4, but 7 unlabeled items make only 3 disjoint batches of 2"),
        ({"reduction": "median"}, "reduction 'median' is none of mean, max, sum"),
    ],
)
def test_option_errors(options, message):
    with pytest.raises(ValueError, match=message):
        stochastic_batches(np.arange(8.0), 2, [0], **options)


@pytest.mark.parametrize("options", [{}, {"partition": True}, {"reduction": "max"}])
def test_memory_does_not_grow_with_the_number_of_batches(options):
    scores = np.random.default_rng(0).random(1_000_000)
    peaks = []
    for n_batches in (10, 999):
        tracemalloc.start()
        try:
            chosen = stochastic_batches(scores, 1000, np.arange(100), n_batches=n_batches, **options)
            peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        finally:
            tracemalloc.stop()
        assert len(set(chosen.tolist())) == 1000
    assert max(peaks) < 100
    assert peaks[1] < peaks[0] + 2  # the batches themselves would be 8 MB


def test_batches_that_are_a_large_share_are_as_good():
    scores = np.random.default_rng(0).random(30_000)
    chosen = stochastic_batches(scores, 12_000, n_batches=5)
    assert len(set(chosen.tolist())) == 12_000
    assert (np.diff(scores[chosen]) <= 0).all()
