# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.metrics import bootstrap_means, bootstrap_spread


def slow_means(runs, resamples, seed):
    """The published procedure, written out: draw, average each run, average the runs."""
    n = len(runs[0])
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    means = []
    for draw in drawn:
        of_runs = []
        for run in runs:
            chosen = [run[i] for i in draw if not np.isnan(run[i])]
            of_runs.append(sum(chosen) / len(chosen) if chosen else float("nan"))
        means.append(sum(of_runs) / len(of_runs))
    return means


@pytest.mark.parametrize("n", [1, 2, 7, 40])
@pytest.mark.parametrize("runs", [1, 2, 5])
@pytest.mark.parametrize("undefined", [0.0, 0.3])
def test_equals_the_procedure_written_out(n, runs, undefined):
    draw = np.random.default_rng(n + runs)
    values = draw.uniform(size=(runs, n))
    values[draw.uniform(size=values.shape) < undefined] = np.nan
    expected = slow_means(values.tolist(), 50, seed=3)
    np.testing.assert_allclose(bootstrap_means(values, 50, seed=3).mean(axis=1), expected, rtol=1e-12)
    found = bootstrap_spread(values, 50, seed=3)
    if np.isnan(expected).any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(2 * statistics.stdev(expected), abs=1e-12)


def test_all_runs_rounds_and_metrics_share_their_draws():
    values = np.random.default_rng(0).uniform(size=(3, 4, 9))
    together = bootstrap_means(values, 20)
    assert together.shape == (20, 3, 4)
    for run in range(3):
        for round in range(4):
            np.testing.assert_allclose(together[:, run, round], bootstrap_means(values[run, round], 20), rtol=1e-12)


def test_is_near_two_standard_errors():
    """Of the mean of n volumes: the standard deviation (ddof = 0) over the root of n."""
    values = np.random.default_rng(1).normal(0.8, 0.1, size=(1, 200))
    assert bootstrap_spread(values, 4000) == pytest.approx(2 * values.std() / np.sqrt(200), rel=0.05)


def test_runs_that_are_wrong_on_different_volumes_vary_less_than_those_wrong_on_the_same():
    one = np.random.default_rng(2).normal(0.8, 0.1, size=30)
    assert bootstrap_spread([one, one]) == pytest.approx(bootstrap_spread([one]))
    assert bootstrap_spread([one, 1.6 - one]) == pytest.approx(0, abs=1e-12)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=8), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
@settings(deadline=None, max_examples=30)
def test_it_scales_and_does_not_move(values, scale, shift):
    found, other = (bootstrap_spread([one], 20) for one in (values, (np.array(values) * scale + shift).tolist()))
    assert found >= 0
    assert other == pytest.approx(found * scale, abs=1e-9)


def test_the_seed_fixes_the_draws():
    values = np.random.default_rng(3).uniform(size=(2, 10))
    assert bootstrap_spread(values, seed=4) == bootstrap_spread(values, seed=4) != bootstrap_spread(values, seed=5)


@pytest.mark.parametrize(
    ("values", "resamples", "match"),
    [([[]], 10, r"one or more volumes, got the shape \(1, 0\)"), (0.5, 10, "got the shape"), ([[1]], 1, "at least 2")],
)
def test_wrong_arguments(values, resamples, match):
    with pytest.raises(ValueError, match=match):
        bootstrap_spread(values, resamples)
