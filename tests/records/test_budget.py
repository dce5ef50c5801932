# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.data import round_sizes

ACDC = {1: 14, 2: 29, 3: 43, 4: 58, 5: 72, 10: 145, 15: 218, 20: 290, 40: 581}


def test_shares_of_acdc():
    shares = [percent / 100 for percent in ACDC]
    sizes = round_sizes(shares, rounds=len(shares), n_items=1454)
    totals = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    assert totals == list(ACDC.values())
    for percent, total in ACDC.items():
        assert round_sizes(percent / 100, rounds=1, n_items=1454) == [total]


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_share_of_a_hundred_is_exact(percent):
    assert round_sizes(percent / 100, rounds=1, n_items=100) == [percent]


@pytest.mark.parametrize(
    ("budget", "rounds", "n_items", "expected"),
    [
        (5, 3, 100, [5, 5, 5]),
        ([5], 3, 100, [5, 5, 5]),
        ((1, 2), 4, 100, [1, 2, 2, 2]),
        ([20, 20, 40], 4, 100, [20, 20, 40, 20]),
        (40, 5, 100, [40, 40, 20]),
        (50, 5, 100, [50, 50]),
        (500, 5, 100, [100]),
        (1.0, 1, 7, [7]),
        ([0.5, 1.0], 2, 7, [3, 4]),
        (1, 1, 1, [1]),
    ],
)
def test_sizes(budget, rounds, n_items, expected):
    assert round_sizes(budget, rounds, n_items) == expected


@pytest.mark.parametrize(
    ("budget", "rounds", "message"),
    [
        ([1, 0.5], 2, "mixes whole numbers"),
        ([0.5, 1], 2, "mixes whole numbers"),
        (True, 1, "must be a whole number, a share"),
        ([5, True], 2, "must be a whole number, a share"),
        ("10", 2, "must be a whole number, a share"),
        (None, 2, "must be a whole number, a share"),
        ([], 2, "must be a whole number, a share"),
        ([1, 2, 3], 2, "3 entries for 2 rounds"),
        ([0.1, 0.2, 0.3], 2, "3 entries for 2 rounds"),
        (0, 2, "at least one item"),
        ([5, -1], 2, "at least one item"),
        (0.0, 1, r"\(0, 1\]"),
        (1.01, 1, r"\(0, 1\]"),
        (float("nan"), 1, r"\(0, 1\]"),
        ([0.1], 2, "1 cumulative shares for 2 rounds"),
        ([0.2, 0.1], 2, "round 1 would get -10 of 100"),
        ([0.2, 0.2], 2, "round 1 would get 0 of 100"),
        (0.001, 1, "round 0 would get 0 of 100"),
        (5, 0, "rounds must be a whole number of at least 1"),
    ],
)
def test_refused(budget, rounds, message):
    with pytest.raises(ValueError, match=message):
        round_sizes(budget, rounds, 100)


@settings(deadline=None, max_examples=40)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=6), more=st.integers(0, 4), n_items=st.integers(1, 200))
def test_counts_take_what_is_left(counts, more, n_items):
    rounds = len(counts) + more
    sizes = round_sizes(counts, rounds, n_items)
    asked = [counts[min(i, len(counts) - 1)] for i in range(rounds)]
    assert sum(sizes) == min(n_items, sum(asked))
    assert sizes[:-1] == asked[: len(sizes) - 1]
    assert 1 <= sizes[-1] <= asked[len(sizes) - 1]


@settings(deadline=None, max_examples=40)
@given(
    percents=st.lists(st.integers(1, 1000), min_size=1, max_size=8, unique=True).map(sorted),
    n_items=st.integers(1, 3000),
)
def test_shares_equal_exact_fractions(percents, n_items):
    exact = [floor(Fraction(percent, 1000) * n_items) for percent in percents]
    steps = [b - a for a, b in zip([0, *exact], exact, strict=False)]
    shares = [percent / 1000 for percent in percents]
    if min(steps) < 1:
        with pytest.raises(ValueError, match="shares must grow"):
            round_sizes(shares, len(shares), n_items)
    else:
        assert round_sizes(shares, len(shares), n_items) == steps
