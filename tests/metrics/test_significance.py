# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monai_al.metrics import holm, paired_tests, seeds_needed, sign_flip_p, smallest_p, wilcoxon_p

whole = st.lists(st.integers(-5, 5), min_size=1, max_size=9)
sizes = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
some = st.lists(sizes, min_size=2, max_size=12)


def sign_flip_by_loops(differences):
    """In whole numbers, so that no two sums differ by rounding alone."""
    found, hits, ways = abs(sum(differences)), 0, 0
    for signs in itertools.product((-1, 1), repeat=len(differences)):
        ways += 1
        hits += abs(sum(sign * d for sign, d in zip(signs, differences, strict=True))) >= found
    return hits / ways


def wilcoxon_by_loops(differences):
    kept = [d for d in differences if d != 0]
    if not kept:
        return 1.0
    doubled = []  # twice the mean rank, a whole number
    for d in kept:
        smaller = sum(abs(e) < abs(d) for e in kept)
        same = sum(abs(e) == abs(d) for e in kept)
        doubled.append((2 * smaller + same + 1) * (1 if d > 0 else -1))
    return sign_flip_by_loops(doubled)


# -- sign-flip ---------------------------------------------------------------------------------------------------------


@given(differences=whole, unit=st.sampled_from([1, 0.1, 1e-9, 1e200, 5e-324]))
@settings(deadline=None)
def test_sign_flip_equals_loops(differences, unit):
    assert sign_flip_p([d * unit for d in differences]) == sign_flip_by_loops(differences)


@pytest.mark.parametrize("n", [2, 5, 8, 12])
@pytest.mark.parametrize("seed", range(3))
def test_sign_flip_equals_scipy(n, seed):
    differences = np.random.default_rng(seed).normal(0.5, 1, n)
    theirs = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(differences) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_sign_flip_is_exact_for_many_differences():
    ones = np.ones(40)
    for wrong in (0, 3, 10):
        differences = np.where(np.arange(40) < wrong, -1, 1) * ones
        assert sign_flip_p(differences) == pytest.approx(stats.binomtest(wrong, 40).pvalue, rel=1e-12)


def test_sign_flip_of_more_is_estimated_alike_every_time():
    differences = np.random.default_rng(1).normal(0.25, 1, 60)
    p = sign_flip_p(differences)
    assert p == sign_flip_p(differences)
    share = stats.norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum())) * 2
    assert p == pytest.approx(share, rel=0.1)
    assert sign_flip_p(np.ones(60)) == pytest.approx(1e-5, rel=1e-4)  # never 0


@given(differences=some, seed=st.integers(0, 99))
@settings(deadline=None)
def test_sign_flip_knows_no_order_and_no_direction(differences, seed):
    p = sign_flip_p(differences)
    assert smallest_p(len(differences)) <= p <= 1
    assert sign_flip_p([-d for d in differences]) == p
    order = np.random.default_rng(seed).permutation(len(differences))
    assert sign_flip_p(np.asarray(differences)[order]) == p


# -- Wilcoxon ----------------------------------------------------------------------------------------------------------


@given(differences=whole)
@settings(deadline=None)
def test_wilcoxon_equals_loops_also_with_ties_and_zeros(differences):
    assert wilcoxon_p(differences) == wilcoxon_by_loops(differences)


@pytest.mark.parametrize("n", [1, 4, 7, 15, 30])
@pytest.mark.parametrize("seed", range(3))
def test_wilcoxon_equals_scipy_without_ties(n, seed):
    differences = np.random.default_rng(seed).normal(0.4, 1, n)
    theirs = stats.wilcoxon(differences, method="exact").pvalue
    assert wilcoxon_p(differences) == pytest.approx(theirs, rel=1e-9)
    assert wilcoxon_p([*differences, 0.0, 0.0]) == wilcoxon_p(differences)


# -- all together ------------------------------------------------------------------------------------------------------


@given(differences=some)
@settings(deadline=None)
def test_paired_tests_equal_scipy(differences):
    found = paired_tests(differences)
    assert found.n == len(differences)
    assert found.mean == pytest.approx(np.mean(differences), rel=1e-9, abs=1e-9)
    assert found.sd == pytest.approx(np.std(differences, ddof=1), rel=1e-9, abs=1e-9)
    assert (found.wilcoxon, found.sign_flip) == (wilcoxon_p(differences), sign_flip_p(differences))
    assert all(0 <= p <= 1 for p in found[3:])
    if np.ptp(differences) > 1e-6 * np.abs(differences).max():
        assert found.t == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=1e-6)


@pytest.mark.parametrize("n", [2, 6])
def test_without_spread(n):
    assert paired_tests([0.0] * n) == (n, 0, 0, 1, 1, 1)
    for value in (0.1, -0.1, 1e-300, 1e300):
        found = paired_tests([value] * n)
        assert (found.n, found.mean, found.sd, found.t) == (n, pytest.approx(value), 0, 0)
        assert found.wilcoxon == found.sign_flip == smallest_p(n)


def test_what_cannot_be_tested():
    for test in (paired_tests, sign_flip_p, wilcoxon_p):
        for wrong in ([], 3.0, [[1.0, 2.0]]):
            with pytest.raises(ValueError, match="one axis and at least one entry"):
                test(wrong)
        for wrong in (math.nan, math.inf):
            with pytest.raises(ValueError, match="difference 1 is (nan|inf): leave out pairs"):
                test([1.0, wrong])
    with pytest.raises(ValueError, match="at least two pairs"):
        paired_tests([1.0])


# -- how many seeds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 12))
def test_smallest_p_is_reached_and_never_passed(n):
    assert sign_flip_p(np.arange(1, n + 1)) == wilcoxon_p(np.arange(1, n + 1)) == smallest_p(n)


def test_known_numbers_of_seeds():
    known = {1: 6, 3: 7, 6: 8, 10: 9, 15: 10, 30: 11, 60: 12}
    assert {m: seeds_needed(m) for m in known} == known


@given(m=st.integers(1, 500), alpha=st.floats(1e-4, 0.99))
def test_seeds_needed_suffice_and_one_less_does_not(m, alpha):
    n = seeds_needed(m, alpha)
    assert min(holm([smallest_p(n)] + [1.0] * (m - 1))) <= alpha
    assert n == 1 or smallest_p(n - 1) * m > alpha
    assert n == max(1, math.ceil(1 + math.log2(m / alpha) - 1e-9))


def test_what_is_no_number_of_seeds():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        smallest_p(0)
    for m, alpha in ((0, 0.05), (1, 0), (1, 1), (1, math.nan)):
        with pytest.raises(ValueError, match="comparisons >= 1 and alpha"):
            seeds_needed(m, alpha)


# -- Holm --------------------------------------------------------------------------------------------------------------


def rejected_by_holm(p_values, alpha):
    """Step by step, until the first that is not rejected."""
    rejected = set()
    for step, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] > alpha / (len(p_values) - step):
            break
        rejected.add(i)
    return rejected


@given(p=st.lists(st.integers(0, 1000), max_size=12), alpha=st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_its_steps_reject(p, alpha):
    p = [value / 1000 + 1e-7 for value in p if value < 1000]  # away from alpha / m
    corrected = holm(p)
    assert {i for i, value in enumerate(corrected) if value <= alpha} == rejected_by_holm(p, alpha)
    assert all(before <= after <= 1 for before, after in zip(p, corrected, strict=True))


def test_holm_refuses_what_is_no_p_value():
    assert holm([]).tolist() == []
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="p-value 1 is .* not in"):
            holm([0.5, wrong])
    with pytest.raises(ValueError, match="one axis"):
        holm(0.5)
