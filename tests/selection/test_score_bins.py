# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.selection import largest_remainder, lowest_highest_middle, modal_bin


@given(st.integers(0, 200), st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any))
def test_largest_remainder(total, quotas):
    parts = largest_remainder(total, quotas)
    assert sum(parts) == total
    exact = [Fraction(total * quota, sum(quotas)) for quota in quotas]
    lost = [value - part for value, part in zip(exact, parts, strict=True)]
    assert all(-1 < value < 1 for value in lost)
    more = [value - math.floor(value) for value, loss in zip(exact, lost, strict=True) if loss < 0]  # got one more
    less = [value - math.floor(value) for value, loss in zip(exact, lost, strict=True) if loss >= 0]
    assert not more or not less or min(more) >= max(less)


def slow_parts(scores: list[float], free: list[int], budget: int) -> tuple[list[int], list[int], set[int], int]:
    """The lowest and the highest items, those that the middle is drawn from, and how many."""
    ranked = [i for i in free if scores[i] > -math.inf]
    n = largest_remainder(min(budget, len(ranked)), [10, 10, 15])
    lowest = sorted(ranked, key=lambda i: (scores[i], i))[: n[0]]
    left = [i for i in ranked if i not in lowest]
    highest = sorted(left, key=lambda i: (-scores[i], i))[: n[1]]
    left = [i for i in left if i not in highest]
    counts, edges = np.histogram([scores[i] for i in ranked], 80)
    mode = int(np.argmax(counts))
    for wider in range(81):
        low, end = max(mode + 6 - wider, 0), min(80 - 33 + wider, 80)
        inside = {i for i in left if low < end and edges[low] <= scores[i] and (scores[i] < edges[end] or end == 80)}
        if len(inside) >= n[2]:
            return lowest, highest, inside, n[2]
    raise AssertionError("the whole histogram holds too few")


@given(
    st.lists(st.one_of(st.integers(0, 79), st.just(-math.inf)), min_size=2, max_size=60),
    st.integers(0, 60),
    st.integers(0, 5),
)
@settings(deadline=None)
def test_as_the_slow_reference(values, budget, n_labeled):
    """Whole numbers from 0 to 80 stand in bins of their own, wherever rounding lets the edges fall."""
    scores = [*(float(value) + 0.5 for value in values), 0.0, 80.0]
    labeled = list(range(min(n_labeled, len(values))))
    free = [i for i in range(len(scores)) if i not in labeled]
    budget = min(budget, len(free))
    lowest, highest, inside, n_middle = slow_parts(scores, free, budget)
    chosen = lowest_highest_middle(scores, budget, labeled=labeled, rng=np.random.default_rng(1)).tolist()
    assert len(set(chosen)) == len(chosen) == budget
    assert set(chosen) <= set(free)
    assert chosen[: len(lowest) + len(highest)] == [*lowest, *highest]
    middle = chosen[len(lowest) + len(highest) :]
    assert set(middle[:n_middle]) <= inside
    assert all(scores[i] == -math.inf for i in middle[n_middle:])


def test_the_middle_leaves_out_what_lies_near_the_mode_and_the_end():
    scores = [*[10.0] * 20, *range(80), 80.0]  # the mode is bin 10; the middle holds 16 to 46
    drawn = set()
    for seed in range(50):
        drawn |= set(lowest_highest_middle(scores, 35, rng=np.random.default_rng(seed))[20:].tolist())
    assert {scores[i] for i in drawn} == set(range(16, 47))


def test_the_middle_is_drawn_anew_and_the_rest_is_not():
    scores = np.random.default_rng(0).random(200)
    answers = [lowest_highest_middle(scores, 35, rng=np.random.default_rng(seed)).tolist() for seed in (0, 1)]
    assert answers[0][:20] == answers[1][:20]
    assert answers[0][20:] != answers[1][20:]


@given(st.lists(st.integers(0, 79), min_size=1, max_size=50))
@settings(deadline=None)
def test_the_fullest_bin(values):
    scores = [*(value + 0.5 for value in values), 0.0, 80.0, -math.inf]
    counts, edges = np.histogram(scores[:-1], 80)
    mode = int(np.argmax(counts))
    inside = [
        i for i, score in enumerate(scores) if edges[mode] <= score < edges[mode + 1] or (mode == 79 and score >= 79)
    ]
    assert modal_bin(scores).tolist() == inside


def test_equal_scores_stand_in_one_bin():
    assert modal_bin([2.0, 2.0, 2.0], labeled=[1]).tolist() == [0, 2]
    assert modal_bin([-math.inf, 1.0], labeled=[1]).tolist() == []
    assert sorted(lowest_highest_middle([2.0] * 5, 5).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("quotas", [[], [0, 0, 0], [1, -1, 2], [1.5, 1, 1], [True, 1, 1]])
def test_wrong_quotas(quotas):
    with pytest.raises(ValueError, match="quotas must be whole numbers"):
        largest_remainder(10, quotas)
