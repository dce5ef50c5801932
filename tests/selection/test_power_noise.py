# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from monai_al.selection import geometric, power_noise, top_k

INF = math.inf
SCORES = st.lists(st.sampled_from([-INF, -2.0, 0.0, 1e-300, 0.5, 1.0, 3.0, 1e300]), min_size=1, max_size=25)


@st.composite
def problems(draw):
    """Scores with many ties, some labeled, and a budget that fits."""
    scores = draw(SCORES)
    labeled = draw(st.lists(st.integers(0, len(scores) - 1), unique=True, max_size=len(scores)))
    budget = draw(st.integers(0, len(scores) - len(labeled)))
    return scores, budget, labeled, draw(st.integers(0, 1000))


def probability(scores, beta, picks) -> float:
    """Of these picks in this order, by drawing one after the other without replacement."""
    left, p = dict(enumerate(scores)), 1.0
    for pick in picks:
        p *= left[pick] ** beta / sum(score**beta for score in left.values())
        del left[pick]
    return p


@pytest.mark.parametrize("beta", [0.3, 1, 2.5])
@pytest.mark.parametrize("budget", [1, 2, 4])
def test_each_order_has_the_probability_of_drawing_one_after_the_other(beta, budget):
    scores, draws = [0.2, 1.5, 0.7, 0.4], 6000
    rng = np.random.default_rng(7)
    seen = Counter(tuple(power_noise(scores, budget, beta, rng=rng).tolist()) for _ in range(draws))
    orders = list(itertools.permutations(range(4), budget))
    expected = np.array([probability(scores, beta, order) for order in orders])
    assert expected.sum() == pytest.approx(1)
    assert chisquare([seen[order] for order in orders], draws * expected).pvalue > 1e-3


def test_only_the_ratio_of_scores_counts():
    rng = np.random.default_rng(0)
    scores = rng.random(50)
    for factor in (1e-200, 1e200):
        for seed in range(5):
            noisy = [power_noise(s, 20, 2, rng=np.random.default_rng(seed)) for s in (scores, factor * scores)]
            assert noisy[0].tolist() == noisy[1].tolist()


@settings(deadline=None, max_examples=60)
@given(problem=problems(), beta=st.sampled_from([1e-300, 0.1, 1, 7, 1e300]))
def test_holds_the_rules_of_selection(problem, beta):
    scores, budget, labeled, seed = problem
    chosen = power_noise(scores, budget, beta, labeled, np.random.default_rng(seed)).tolist()
    assert chosen == power_noise(scores, budget, beta, labeled, np.random.default_rng(seed)).tolist()
    assert len(chosen) == len(set(chosen)) == budget
    assert not set(chosen) & set(labeled)
    kinds = [0 if scores[i] > 0 else 1 if scores[i] > -INF else 2 for i in chosen]
    assert kinds == sorted(kinds)
    free = [i for i in range(len(scores)) if i not in labeled]
    assert kinds.count(0) == min(budget, sum(scores[i] > 0 for i in free))
    without_chance = [i for i in chosen if 0 >= scores[i] > -INF]
    assert without_chance == sorted(without_chance, key=lambda i: (-scores[i], i))


@settings(deadline=None, max_examples=40)
@given(problem=problems())
def test_without_noise_it_is_top_k(problem):
    scores, budget, labeled, _ = problem
    finite = [s if s > -INF else 0.0 for s in scores]
    assert power_noise(finite, budget, INF, labeled).tolist() == top_k(finite, budget, labeled).tolist()


def test_items_without_a_score_come_last_in_a_drawn_order():
    scores = [-INF] * 20 + [0.0, 0.5]
    orders = [power_noise(scores, 22, 1, rng=np.random.default_rng(seed)).tolist() for seed in range(3)]
    assert all(order[:2] == [21, 20] for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_the_type_of_the_answer():
    for chosen in (power_noise([1.0, 2.0], 2), power_noise([0.0, -1.0], 2), power_noise([1.0], 0)):
        assert isinstance(chosen, np.ndarray)
        assert chosen.dtype == np.int64


@pytest.mark.parametrize("beta", [0, -1, math.nan, True, None, "1", [1, 100]])
def test_a_wrong_beta(beta):
    with pytest.raises(ValueError, match="beta must be a number above 0"):
        power_noise([0.5, 1.0], 1, beta)


@pytest.mark.parametrize(
    ("scores", "budget", "labeled", "message"),
    [
        ([0.5, math.nan], 1, (), r"scores\[1\] is nan"),
        ([INF, 0.5], 1, (), r"scores\[0\] is inf"),
        ([], 0, (), "empty"),
        ([0.5, 1.0], 2, [0], "budget 2 is more than the 1 unlabeled"),
        ([0.5, 1.0], -1, (), "negative"),
        ([0.5, 1.0], 1, [2], "labeled index 2 is out of range"),
        ([0.5, 1.0], 0, [1, 1], "labeled index 1 occurs twice"),
    ],
)
def test_errors(scores, budget, labeled, message):
    with pytest.raises(ValueError, match=message):
        power_noise(scores, budget, 1, labeled)


def test_geometric_steps():
    steps = [geometric(1, 100, step, 7) for step in range(7)]
    assert steps == pytest.approx([100 ** (step / 6) for step in range(7)])
    assert steps[0] == 1.0
    assert steps[-1] == 100.0
    assert [geometric(1, 100, step, 1) for step in (-1, 0)] == [1.0, 1.0]
    assert geometric(1, 100, 9, 7) == 100.0
