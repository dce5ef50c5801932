# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.comparison import Comparison, comparison_table, comparison_text
from monai_al.data import DataError
from monai_al.records import UNDEFINED

N_ITEMS = 400
SIZES = [20, 20, 40]
PUBLISHED = {"source": "a paper", "columns": ["10 %", "best"], "rows": {"random": ["0.70", 0.8], "else": ["–", 12]}}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def comparison_of(*names, seeds=(0, 1, 2), everything=None, published=None):
    runs = {name: {} for name in names}
    return Comparison("Mine", "al.yaml", seeds=seeds, runs=runs, everything=everything, published=published)


def cells_of(text):
    """Name -> cells, of the first Markdown table in a text; the head under its first cell."""
    lines = text.split("\n\n")[1].splitlines()
    assert set(lines[1]) <= set("| -")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]
    assert len({len(row) for row in rows}) == 1
    return {name: cells for name, *cells in rows}


# -- against plain loops -----------------------------------------------------------------------------------------------

dices = st.one_of(st.none(), st.floats(0, 1, allow_nan=False))
names = ("random", "entropy")


@given(
    seeds=st.lists(st.integers(0, 20), min_size=1, max_size=3, unique=True),
    values=st.lists(dices, min_size=18, max_size=18),
    targets=st.lists(dices, min_size=3, max_size=3),
)
@settings(deadline=None, max_examples=40)
def test_table_equals_plain_loops(seeds, values, targets, write_all):
    curves, target, left = {}, {}, list(values)
    for seed, value in zip(seeds, targets, strict=False):
        target[seed] = value
        curves["all", seed] = [value]
        for name in names:
            curves[name, seed], left = left[:3], left[3:]
    comparison = comparison_of(*names, "all", seeds=tuple(seeds), everything="all")
    with tempfile.TemporaryDirectory() as root:
        write_all(Path(root), curves)
        table = comparison_table(comparison, root)
    assert table["missing"] == table["otherwise"] == 0
    assert table["everything"] == target
    assert table["columns"] == [((20, 20), 0.05), ((40, 40), 0.1), ((80, 80), 0.2)]
    assert list(table["rows"]) == list(names)
    shown = cells_of(comparison_text(comparison, table))
    for name in names:
        row = table["rows"][name]
        assert row["seeds"] == seeds
        for column in range(3):
            expected = []
            for seed in seeds:
                expected.append(curves[name, seed][column])
            assert row["values"][column] == expected
            assert shown[name][column] == cell(expected)
        best, labels = [], []
        for seed in seeds:
            highest, reached = None, None
            for labeled, value in zip((20, 40, 80), curves[name, seed], strict=True):
                if value is not None and (highest is None or value > highest):
                    highest = value
                if reached is None and value is not None and target[seed] is not None and value >= target[seed]:
                    reached = labeled
            best.append(highest)
            labels.append(reached)
        assert (row["best"], row["labels"]) == (best, labels)
        assert shown[name][3] == cell(best)
        assert (shown[name][4] == UNDEFINED) == (labels == [None] * len(seeds))


def cell(values):
    """A cell as the reader expects it; where one value is undefined there is no mean."""
    total, smallest, largest = 0.0, 2.0, -1.0
    for value in values:
        if value is None:
            return "–"
        total, smallest, largest = total + value, min(smallest, value), max(largest, value)
    mean = f"{total / len(values):.3f}"
    return mean if len(values) == 1 else f"{mean} [{smallest:.3f}, {largest:.3f}]"


# -- the whole text ----------------------------------------------------------------------------------------------------


def test_whole_text(tmp_path, write_all):
    curves = {
        ("random", 0): [0.5, 0.6, 0.75], ("random", 1): [0.3, 0.8, 0.7],
        ("two words", 0): [0.5, 0.625, 0.65], ("two words", 1): [0.3, None, 0.65],
        ("all", 0): [0.7], ("all", 1): [0.8],
    }  # fmt: skip
    write_all(tmp_path, {(name.replace(" ", "_"), seed): dice for (name, seed), dice in curves.items()})
    comparison = comparison_of(
        "random", "two words", "all", seeds=(0, 1, 2), everything="all", published=PUBLISHED
    )  # fmt: skip
    assert comparison_text(comparison, comparison_table(comparison, tmp_path)).splitlines() == [
        "Mine. Mean over 2 seeds [smallest, largest]. Trained on everything: 0.750 [0.700, 0.800]. "
        "Runs not done yet: 3.",
        "",
        "| 3D Dice | 5.0 % (20) | 10.0 % (40) | 20.0 % (80) | best | labels |",
        "| --- | --- | --- | --- | --- | --- |",
        "| random | 0.400 [0.300, 0.500] | 0.700 [0.600, 0.800] | 0.725 [0.700, 0.750] | 0.775 [0.750, 0.800] "
        "| 40 to 80 |",
        "| two words | 0.400 [0.300, 0.500] | – | 0.650 [0.650, 0.650] | 0.650 [0.650, 0.650] | – |",
        "",
        "Published (a paper):",
        "",
        "| published | 10 % | best |",
        "| --- | --- | --- |",
        "| random | 0.70 | 0.8 |",
        "| else | – | 12 |",
    ]


def test_labels_count_only_seeds_whose_run_on_everything_is_done(tmp_path, write_all):
    comparison = comparison_of("random", "all", everything="all")
    curves = {("random", seed): [0.5, 0.6, 0.7] for seed in range(3)}
    write_all(tmp_path, curves)
    table = comparison_table(comparison, tmp_path)
    assert (table["rows"]["random"]["labels"], table["missing"], table["everything"]) == ([], 3, {})
    text = comparison_text(comparison, table)
    assert cells_of(text)["random"][-1] == UNDEFINED
    assert "everything" not in text
    for dice, expected in (([0.6], "40"), ([0.65], "40 to 80"), ([0.9], "40 to 80 (2 of 3 seeds)")):
        write_all(tmp_path, {("all", len(comparison_table(comparison, tmp_path)["everything"])): dice})
        assert cells_of(comparison_text(comparison, comparison_table(comparison, tmp_path)))["random"][-1] == expected


def test_reaching_means_at_least(tmp_path, write_all):
    write_all(tmp_path, {("random", 0): [0.5, 0.6, 0.7], ("all", 0): [0.6]})
    table = comparison_table(comparison_of("random", "all", seeds=(0,), everything="all"), tmp_path)
    assert table["rows"]["random"]["labels"] == [40]


def test_an_undefined_run_on_everything_is_reached_by_none(tmp_path, write_all):
    write_all(tmp_path, {("random", 0): [0.5, 0.6, 0.7], ("all", 0): [None]})
    comparison = comparison_of("random", "all", seeds=(0,), everything="all")
    text = comparison_text(comparison, comparison_table(comparison, tmp_path))
    assert cells_of(text)["random"][-1] == UNDEFINED
    assert f"Trained on everything: {UNDEFINED}." in text


@pytest.mark.parametrize("unit", ["nan", "None", "null", "inf"])
def test_undefined_numbers_are_dashes(tmp_path, unit, write_all):
    write_all(tmp_path, {("random", 0): [None, None, None], ("all", 0): [None]})
    comparison = comparison_of("random", "all", seeds=(0,), everything="all")
    text = comparison_text(comparison, comparison_table(comparison, tmp_path))
    assert unit not in text
    assert cells_of(text)["random"] == [UNDEFINED] * 5


@pytest.mark.parametrize(
    ("record", "marked"),
    [
        ({"config": {"learner": {"uses_truth": True}}, "strategy": "mine"}, True),
        ({"config": {"learner": {"uses_truth": False}}, "strategy": "mine"}, False),
        ({"config": {"learner": {}}, "strategy": "mine"}, False),
        ({"strategy": "mine (uses the truth)"}, False),
    ],
)
def test_a_strategy_that_uses_the_truth_is_marked(tmp_path, write_run, record, marked):
    write_run(tmp_path / "mine" / "seed_0", [0.5] * 3, **record)
    comparison = comparison_of("mine", seeds=(0,))
    table = comparison_table(comparison, tmp_path)
    assert table["truth"] == ({"mine"} if marked else set())
    assert ("| mine † |" in comparison_text(comparison, table)) == marked


# -- what is not there -------------------------------------------------------------------------------------------------


def test_runs_that_are_not_done_are_left_out_and_counted(tmp_path, write_run):
    comparison = comparison_of("random", "entropy", seeds=(0, 1))
    assert comparison_text(comparison, comparison_table(comparison, tmp_path)) == (
        "Mine: nothing to show yet, runs to come: 4"
    )
    write_run(tmp_path / "random" / "seed_0", [0.5, 0.6], sizes=SIZES)  # one round is missing
    assert comparison_table(comparison, tmp_path)["missing"] == 4
    write_run(tmp_path / "random" / "seed_1", [0.5, 0.6, 0.7])
    table = comparison_table(comparison, tmp_path)
    assert (table["missing"], list(table["rows"]), table["rows"]["random"]["seeds"]) == (3, ["random"], [1])
    assert comparison_text(comparison, table).startswith(
        "Mine. Mean over 1 seed [smallest, largest]. Runs not done yet: 3."
    )
    write_run(tmp_path / "random" / "seed_0", [0.5, 0.6, 0.7])
    write_run(tmp_path / "entropy" / "seed_1", [0.5, 0.6, 0.7])
    text = comparison_text(comparison, comparison_table(comparison, tmp_path))
    assert "Mean over 1 to 2 seeds" in text


def test_a_run_that_shall_have_more_rounds_is_not_done(tmp_path, write_run):
    comparison = comparison_of("random", seeds=(0,))
    folder = tmp_path / "random" / "seed_0"
    write_run(folder, [0.5, 0.6, 0.7])
    assert comparison_table(comparison, tmp_path)["missing"] == 0
    write(folder / "extension_00.json", {"rounds": 4, "budget": 20, "sizes": [*SIZES, 40]})
    assert comparison_table(comparison, tmp_path)["missing"] == 1


def test_other_seeds_and_other_folders_are_not_read(tmp_path, write_all):
    write_all(tmp_path, {("random", 0): [0.1] * 3, ("random", 5): [0.9] * 3, ("margin", 0): [0.8] * 3})
    table = comparison_table(comparison_of("random", seeds=(5,)), tmp_path)
    assert (table["rows"]["random"]["values"], table["missing"]) == ([[0.9]] * 3, 0)


def test_nothing_is_written(tmp_path, write_all):
    write_all(tmp_path, {("random", 0): [0.5] * 3})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    comparison_table(comparison_of("random", "entropy"), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# -- what cannot be compared -------------------------------------------------------------------------------------------


def test_different_initial_sets_are_refused(tmp_path, write_run):
    comparison = comparison_of("random", "entropy", seeds=(0, 1))
    write_run(tmp_path / "random" / "seed_0", [0.5] * 3)
    write_run(tmp_path / "random" / "seed_1", [0.5] * 3, initial=("z/0009",))  # another seed may differ
    write_run(tmp_path / "entropy" / "seed_0", [0.5] * 3)
    assert comparison_table(comparison, tmp_path)["missing"] == 1
    write_run(tmp_path / "entropy" / "seed_1", [0.5] * 3, initial=("z/0008",))
    with pytest.raises(DataError, match="entropy and random of seed 1 differ in their initial set, .*entropy/seed_1"):
        comparison_table(comparison, tmp_path)


def test_different_rounds_are_refused(tmp_path, write_run):
    comparison = comparison_of("random", "entropy", seeds=(0, 1))
    write_run(tmp_path / "random" / "seed_0", [0.5] * 3)
    write_run(tmp_path / "entropy" / "seed_0", [0.5] * 3, sizes=[20, 20, 20])
    with pytest.raises(DataError, match="entropy and random of seed 0 differ in how many items their rounds ask for"):
        comparison_table(comparison, tmp_path)
    write_run(tmp_path / "entropy" / "seed_0", [0.5] * 3)
    write_run(tmp_path / "entropy" / "seed_1", [0.5] * 2)
    with pytest.raises(DataError, match=r"entropy/seed_1 holds 2 rounds and .*random/seed_0 3"):
        comparison_table(comparison, tmp_path)


def test_the_run_on_everything_has_rounds_of_its_own(tmp_path, write_all, write_run):
    write_all(tmp_path, {("random", 0): [0.5] * 3})
    write_run(tmp_path / "all" / "seed_0", [0.4, 0.9], sizes=[200, 200], initial=("z/0000",))
    table = comparison_table(comparison_of("all", "random", seeds=(0,), everything="all"), tmp_path)
    assert table["everything"] == {0: 0.9}  # after its last round
    assert list(table["rows"]) == ["random"]


def test_pools_of_different_size_over_the_seeds_show_both_numbers(tmp_path, write_run):
    write_run(tmp_path / "random" / "seed_0", [0.5] * 2, sizes=[20, 20])
    write_run(tmp_path / "random" / "seed_1", [0.5] * 2, sizes=[20, 21])
    comparison = comparison_of("random", seeds=(0, 1))
    table = comparison_table(comparison, tmp_path)
    assert table["columns"] == [((20, 20), 0.05), ((40, 41), 0.1)]
    assert cells_of(comparison_text(comparison, table))["3D Dice"][:2] == ["5.0 % (20)", "10.0 % (40 to 41)"]


def test_a_broken_file_is_named(tmp_path, write_all):
    write_all(tmp_path, {("random", 0): [0.5] * 3})
    (tmp_path / "random" / "seed_0" / "round_01" / "metrics.json").write_text('{"labeled": ')
    with pytest.raises(ValueError, match=r"round_01/metrics\.json is not valid JSON"):
        comparison_table(comparison_of("random"), tmp_path)
