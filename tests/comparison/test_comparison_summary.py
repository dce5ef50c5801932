# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Summaries of curves and their paired tests, as numbers and as text."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.comparison import Comparison, comparison_table, comparison_text, pair_tests, seeds_warning
from monai_al.comparison.metric import summarized
from monai_al.comparison.summary import ALPHA, PairTest, mean_and_spread
from monai_al.metrics import holm, paired_tests, seeds_needed, smallest_p

METRICS = ("dice_3d", "dice_2d", "hd95_3d")


def comparison_of(*names, **more):
    more = {"metrics": METRICS, "seeds": tuple(range(8)), **more}
    return Comparison("Mine", "al.yaml", runs={name: {} for name in names}, **more)


def curve(*scores):
    """3D Dice of each round; 2D Dice half of it and HD95 ten times it."""
    halves = [None if s is None else s / 2 for s in scores]
    tens = [None if s is None else 10 * s for s in scores]
    return [
        {"labeled": 10 * (i + 1), "dice_3d": s, "dice_2d": h, "hd95_3d": t}
        for i, (s, h, t) in enumerate(zip(scores, halves, tens, strict=True))
    ]


# -- what is tested ----------------------------------------------------------------------------------------------------


def test_which_runs_are_tested_against_which():
    names = ("random", "entropy", "entropy_batches", "all")
    assert comparison_of(*names).tested == ()
    assert comparison_of(*names, baseline="random", everything="all").tested == (
        ("entropy", "random"), ("entropy_batches", "random")
    )  # fmt: skip
    against = {"entropy_batches": "entropy", "entropy": "random"}
    assert comparison_of(*names, against=against).tested == (("entropy", "random"), ("entropy_batches", "entropy"))
    assert comparison_of(*names, against=against, baseline="random", everything="all").tested == (
        ("entropy", "random"), ("entropy_batches", "entropy"), ("entropy_batches", "random")
    )  # fmt: skip


@pytest.mark.parametrize(("corrected", "expected"), [(0.0499, True), (ALPHA, True), (0.0501, False), (None, False)])
def test_at_most_alpha_is_significant(corrected, expected):
    assert PairTest("a", "b", "dice_3d", (0, 1), corrected=corrected).is_significant is expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, False),
        ({"summary": "mean"}, True),
        ({"baseline": "a"}, True),
        ({"against": {"a": "b"}}, True),
        ({"metrics": ("hd95_3d",)}, True),
        ({"spread": "all"}, True),
    ],
)
def test_when_there_is_a_summary(asked, expected):
    assert Comparison("a", "al.yaml", runs={"a": {}, "b": {}}, **asked).has_summary == expected


# -- numbers, against plain loops --------------------------------------------------------------------------------------

scores = st.one_of(st.none(), st.floats(0.001, 1, allow_nan=False))
of_run = st.dictionaries(st.integers(0, 5), st.lists(scores, min_size=3, max_size=3), max_size=5)


@given(a=of_run, b=of_run, kind=st.sampled_from(["mean", "final", "best", "aubc"]))
@settings(deadline=None)
def test_pairs_are_made_by_seed_and_what_is_undefined_is_left_out(a, b, kind):
    comparison = comparison_of("a", "b", against={"b": "a"}, summary=kind)
    curves = {"a": {seed: curve(*own) for seed, own in a.items()}}
    curves["b"] = {seed: curve(*own) for seed, own in reversed(b.items())}  # another order of the seeds
    tests = pair_tests(comparison, curves)
    assert [(test.run, test.against, test.metric) for test in tests] == [("b", "a", metric) for metric in METRICS]
    for test in tests:
        seeds, undefined, alone, differences = [], [], [], []
        for seed in range(6):
            if (seed in a) != (seed in b):
                alone.append(seed)
            if seed in a and seed in b:
                ours, theirs = (summarized(curves[name][seed], test.metric, kind) for name in "ba")
                if ours is None or theirs is None:
                    undefined.append(seed)
                else:
                    seeds.append(seed)
                    differences.append(ours - theirs)
        assert (list(test.seeds), list(test.undefined), list(test.alone)) == (seeds, undefined, alone)
        if len(differences) < 2:
            assert test.found is test.corrected is None
            assert not test.is_gain
            assert not test.is_significant
        else:
            assert test.found == paired_tests(differences)
            gain = test.found.mean < 0 if test.metric == "hd95_3d" else test.found.mean > 0
            assert test.is_gain == gain
            assert test.corrected == test.found.sign_flip  # one test of each metric


def test_the_tests_of_one_metric_are_corrected_together():
    names, generator = "abcd", np.random.default_rng(0)
    curves = {
        name: {seed: curve(*(generator.random(3) + 0.2 * place)) for seed in range(6)}
        for place, name in enumerate(names)
    }
    tests = pair_tests(comparison_of(*names, baseline="a"), curves)
    for metric in METRICS:
        own = [test for test in tests if test.metric == metric]
        assert [test.run for test in own] == ["b", "c", "d"]
        assert [test.corrected for test in own] == list(holm([test.found.sign_flip for test in own]))
    assert any(test.corrected > test.found.sign_flip for test in tests)


@given(a=of_run, kind=st.sampled_from(["mean", "final", "best", "aubc"]), spread=st.sampled_from(["seeds", "all"]))
@settings(deadline=None)
def test_mean_and_spread_equal_loops(a, kind, spread):
    curves = {"a": {seed: curve(*own) for seed, own in a.items()}}
    for metric, cells in mean_and_spread(comparison_of("a", summary=kind, spread=spread), curves).items():
        values = []
        for own in curves["a"].values():
            values += [row[metric] for row in own] if spread == "all" else [summarized(own, metric, kind)]
        cell = cells["a"]
        assert cell.n == len(values)
        if not values or None in values:
            assert cell.mean is cell.sd is None
        else:
            assert cell.mean == pytest.approx(statistics.mean(values))
            assert cell.sd == (pytest.approx(statistics.stdev(values), abs=1e-12) if len(values) > 1 else None)


# -- too few seeds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_runs", [2, 3, 5])
@pytest.mark.parametrize("n_seeds", range(12))
def test_a_warning_where_and_only_where_no_difference_could_be_significant(n_runs, n_seeds):
    comparison = comparison_of(*"abcde"[:n_runs], baseline="a")
    n_tests = n_runs - 1
    warning = seeds_warning(comparison, n_seeds)
    could_be = n_seeds > 0 and holm([smallest_p(n_seeds)] + [1.0] * (n_tests - 1))[0] <= 0.05
    assert (warning is None) == could_be
    if warning is not None:
        assert warning.startswith(f"With {n_seeds} seed{'' if n_seeds == 1 else 's'} no difference")
        assert (f"when {n_tests} tests of a metric are corrected" in warning) == (n_tests > 1)
        assert warning.endswith(f"take at least {seeds_needed(n_tests)} seeds.")


def test_no_warning_where_nothing_is_tested():
    assert seeds_warning(comparison_of("a", "b"), 1) is None
    one = Comparison("a", "al.yaml", runs={"a": {}, "b": {}}, baseline="a")
    assert seeds_warning(one, 5) == (
        "With 5 seeds no difference can be significant: the smallest p-value of the exact tests is 0.0625; take at "
        "least 6 seeds."
    )
    assert seeds_warning(one, 6) is None


# -- the whole text ----------------------------------------------------------------------------------------------------


def score(dice, hd95=None):
    return {"dice_3d": dice, "dice_2d": dice / 2, "hd95_3d": hd95}


def test_whole_text(tmp_path, write_run):
    comparison = comparison_of(
        "random", "entropy", "entropy batches", "all", everything="all", against={"entropy batches": "entropy"},
        metrics=("dice_3d", "hd95_3d"),
    )  # fmt: skip
    for seed in range(8):
        noise = seed / 500
        for name, gain in (("random", -0.1), ("entropy", 0), ("entropy batches", 0.1)):
            own = 0 if name == "entropy" else noise
            hd95 = None if name == "random" else 8 - 10 * (gain + own)
            rounds = [score(0.5, 8), score(0.6 + 2 * (gain + own), hd95)]
            truth = {"config": {"learner": {"uses_truth": True}}} if name == "entropy" else {}
            if (name, seed) != ("entropy batches", 7):
                write_run(tmp_path / name.replace(" ", "_") / f"seed_{seed}", rounds, **truth)
        write_run(tmp_path / "all" / f"seed_{seed}", [score(0.7)], sizes=[400])
    assert comparison_text(comparison, comparison_table(comparison, tmp_path)).splitlines() == [
        "Mine. † chooses by the truth of items that nobody has labeled: a reference, no strategy for real use. "
        "Runs not done yet: 1.",
        "",
        "Mean of all rounds: mean (standard deviation) over 7 to 8 seeds. Lower is better for HD95. "
        "* significantly better than every run that it is tested against.",
        "",
        "| summary | random | entropy † | entropy batches |",
        "| --- | --- | --- | --- |",
        "| 3D Dice | 0.457 (0.005) | 0.550 (0.000) | 0.656* (0.004) |",
        "| 3D HD95 (mm) | – | 8.00 (0.00) | 7.47* (0.02) |",
        "",
        "Paired tests, two-sided, over the seeds that both runs have. The sign-flip test decides, its p-values "
        "corrected by Holm for the 1 test of a metric: * at most 0.05. No pair of entropy batches and entropy: seed 7.",
        "",
        "| run | against | metric | pairs | difference | sd | p Wilcoxon | p sign-flip | p t | p corrected |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| entropy batches | entropy † | 3D Dice | 7 | +0.106 | 0.004 | 0.0156 | 0.0156 | < 0.0001 | 0.0156* |",
        "| entropy batches | entropy † | 3D HD95 (mm) | 7 | -0.53 | 0.02 | 0.0156 | 0.0156 | < 0.0001 | 0.0156* |",
        "",
        "3D Dice after each round. Mean over 7 to 8 seeds [smallest, largest]. "
        "Trained on everything: 0.700 [0.700, 0.700].",
        "",
        "| 3D Dice | 5.0 % (20) | 10.0 % (40) | best | labels |",
        "| --- | --- | --- | --- | --- |",
        "| random | 0.500 [0.500, 0.500] | 0.414 [0.400, 0.428] | 0.500 [0.500, 0.500] | – |",
        "| entropy † | 0.500 [0.500, 0.500] | 0.600 [0.600, 0.600] | 0.600 [0.600, 0.600] | – |",
        "| entropy batches | 0.500 [0.500, 0.500] | 0.812 [0.800, 0.824] | 0.812 [0.800, 0.824] | 40 |",
    ]


def test_a_distance_is_best_when_lowest_and_reached_from_above(tmp_path, write_run):
    comparison = comparison_of("random", "all", everything="all", metrics=("hd95_3d",), seeds=(0,))
    write_run(tmp_path / "random" / "seed_0", [score(0.5, 9), score(0.5, 5), score(0.5, 7)])
    write_run(tmp_path / "all" / "seed_0", [score(0.5, 6)], sizes=[400])
    text = comparison_text(comparison, comparison_table(comparison, tmp_path))
    assert text.splitlines()[-1] == "| random | 9.00 | 5.00 | 7.00 | 5.00 | 40 |"
    assert "| 3D HD95 (mm) | 7.00 |" in text  # one seed has no spread


def test_a_star_needs_a_gain_over_every_run_it_is_tested_against(tmp_path, write_run):
    for seed in range(8):
        for name, dice in (("random", 0.5), ("entropy", 0.6), ("batches", 0.55), ("worse", 0.4)):
            write_run(tmp_path / name / f"seed_{seed}", [0.5, dice + seed / 100])
    comparison = comparison_of(
        "random", "entropy", "batches", "worse", baseline="random", against={"batches": "entropy"},
        metrics=("dice_3d",), summary="final",
    )  # fmt: skip
    lines = comparison_text(comparison, comparison_table(comparison, tmp_path)).splitlines()
    assert lines[2].startswith("Score after the last round: mean (standard deviation) over 8 seeds. * signif")
    assert [cell.strip() for cell in lines[6].split("|")[2:-1]] == [
        "0.535 (0.024)", "0.635* (0.024)", "0.585 (0.024)", "0.435 (0.024)"
    ]  # fmt: skip
    tests = [line for line in lines if line.endswith("* |")]
    assert len(tests) == 4  # also the losses are significant
    assert [line for line in tests if "-0.100" in line][0].startswith("| worse | random |")


def test_what_is_undefined_is_a_dash_and_told(tmp_path, write_run):
    for seed in range(3):
        write_run(tmp_path / "random" / f"seed_{seed}", [score(0.5, 9), score(0.6, None if seed else 7)])
        write_run(tmp_path / "entropy" / f"seed_{seed}", [score(0.5, 9), score(0.7, 6)])
    comparison = comparison_of("random", "entropy", baseline="random", seeds=(0, 1, 2))
    text = comparison_text(comparison, comparison_table(comparison, tmp_path))
    assert "| 3D HD95 (mm) | – | 7.50 (0.00) |" in text
    assert "3D HD95 (mm) of entropy or random is undefined: seeds 1, 2." in text
    assert "| entropy | random | 3D HD95 (mm) | 1 | – | – | – | – | – | – |" in text
    assert "for the 1 test" in text
    assert "With 3 seeds no difference can be significant" in text
    for word in ("nan", "None", "inf"):
        assert word not in text


def test_the_spread_of_all_rounds(tmp_path, write_run):
    for seed in range(2):
        write_run(tmp_path / "random" / f"seed_{seed}", [0.5, 0.7])
    comparison = comparison_of("random", metrics=("dice_3d",), spread="all", seeds=(0, 1))
    text = comparison_text(comparison, comparison_table(comparison, tmp_path))
    assert "Mean (standard deviation) over all rounds of all seeds, 4 values each." in text
    assert f"| 3D Dice | 0.600 ({statistics.stdev([0.5, 0.7, 0.5, 0.7]):.3f}) |" in text


def test_many_rounds_stand_in_rows(tmp_path, write_run):
    write_run(tmp_path / "random" / "seed_0", [0.5] * 11, sizes=[10] * 11)
    comparison = comparison_of("random", metrics=("dice_3d",), seeds=(0,))
    lines = comparison_text(comparison, comparison_table(comparison, tmp_path)).splitlines()
    assert lines[2] == "| 3D Dice | random |"
    assert lines[4] == "| 2.5 % (10) | 0.500 |"
    assert lines[-3:] == ["| 27.5 % (110) | 0.500 |", "| best | 0.500 |", "| labels | – |"]
