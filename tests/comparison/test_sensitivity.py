# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Curves over costs by several models: the part that they share, and how fast scribbles are drawn."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.comparison import Comparison, comparison_table, comparison_text, write_comparison_figure
from monai_al.comparison.metric import aubc, common_interval
from monai_al.records import DataError
from monai_al.records.cost_model import AreaScale, CostSettings
from monai_al.records.item import slices_of
from monai_al.sources import annotation_cost

CURVE = st.lists(st.tuples(st.integers(1, 30), st.floats(0, 1)), min_size=2, max_size=6)


def cost_of(n, kind, settings=None, *, known=True):
    """What so many labels of one kind cost, as a run writes it."""
    items = slices_of(n, image="a", volume="a", patient="a")
    return annotation_cost(
        items, [kind] * n, lambda item: (64, 8), lambda item: 1, areas=lambda item, kind: (8,) if known else None,
        settings=settings, scale=AreaScale(8.0, "the pool") if known else None,
    )  # fmt: skip


@pytest.fixture
def runs_of(tmp_path, write_run):
    """Write runs of one seed, name -> (kind, numbers of labels, scores), and compare them."""

    def compare(runs, *, settings=None, known=None, old=(), **more):
        options = {
            name: {"overlays": (), "options": {"budget": list(numbers)}} for name, (_, numbers, _) in runs.items()
        }
        comparison = Comparison("Mine", "al.yaml", runs=options, seeds=(0,), **{"axis": "cost_area", **more})
        for name, (kind, numbers, scores) in runs.items():
            folder = tmp_path / name / "seed_0"
            sizes = [after - before for before, after in zip([0, *numbers], numbers, strict=False)]
            write_run(folder, scores, sizes=sizes)
            for number, n in enumerate(numbers if name not in old else ()):
                path = folder / f"round_{number:02d}" / "metrics.json"
                cost = cost_of(n, kind, (settings or {}).get(name), known=(known or {}).get(name, True))
                path.write_text(json.dumps(json.loads(path.read_text()) | {"cost": cost}))
        return comparison, comparison_table(comparison, tmp_path)

    return compare


SCRIBBLES, MASKS = ("weak", [30, 60, 120], [0.3, 0.5, 0.6]), ("full", [2, 6, 12], [0.4, 0.6, 0.7])


def by_steps(x, y, low, high, n=40_000):
    """The mean of a curve by many small steps."""
    total = 0.0
    for i in range(n):
        at = low + (high - low) * (i + 0.5) / n
        j = next(j for j in range(len(x) - 1) if x[j] <= at <= x[j + 1])
        total += y[j] + (y[j + 1] - y[j]) * (at - x[j]) / (x[j + 1] - x[j])
    return total / n


def test_the_area_over_a_part_equals_many_small_steps():
    x, y = [1, 4, 9, 10], [0.2, 0.9, 0.4, 0.8]
    for low, high in ((1, 10), (2, 9.5), (4, 9), (5, 6)):
        assert aubc(x, y, (low, high)) == pytest.approx(by_steps(x, y, low, high), abs=1e-6)


@given(curve=CURVE, cut=st.floats(0, 1))
def test_parts_make_the_whole(curve, cut):
    x, y = [0], [curve[0][1]]
    for step, score in curve:
        x, y = [*x, x[-1] + step], [*y, score]
    middle = cut * x[-1]
    parts = [aubc(x, y, part) * (part[1] - part[0]) for part in ((0, middle), (middle, x[-1]))]
    assert sum(parts) == pytest.approx(aubc(x, y) * x[-1], abs=1e-9)


def test_parts_that_jump_or_are_none():
    assert aubc([1, 2, 2, 3], [0.0, 0.0, 1.0, 1.0], (1, 2)) == 0  # labels that cost nothing
    assert aubc([1, 2, 2, 3], [0.0, 0.0, 1.0, 1.0], (2, 3)) == 1
    assert aubc([1, 3], [0.0, 1.0], (2, 2)) == 0.5
    with pytest.raises(ValueError, match="from 0 to 2 is no part of a curve from 1 to 3"):
        aubc([1, 3], [0.0, 1.0], (0, 2))
    undefined = [[{"cost_area": None}], [{}]]
    assert common_interval(undefined, "cost_area") is None


def test_areas_are_over_what_all_curves_share(runs_of):
    comparison, table = runs_of({"scribbles": SCRIBBLES, "masks": MASKS}, summary="aubc")
    assert table["interval"] == pytest.approx((2, 8))
    text = comparison_text(comparison, table)
    assert "from 2 to 8, linearly interpolated" in text
    expected = [by_steps([2, 4, 8], SCRIBBLES[2], 2, 8), by_steps([2, 6, 12], MASKS[2], 2, 8)]
    assert f"| 3D Dice | {expected[0]:.3f} | {expected[1]:.3f} |" in text
    assert "r = 15 (scribble_speed): a figure of the literature" in text
    assert "By area a slice with 8 pixels of foreground costs 1, the mean over the pool." in text
    assert "round 0 (2)" in text  # the runs' shares of the pool differ


def test_the_order_depends_on_the_speed(runs_of):
    comparison, table = runs_of({"scribbles": ("weak", [30, 60, 120], [0.5, 0.55, 0.8]), "masks": MASKS})
    speeds = {at.speed: at for at in table["sensitivity"]}
    assert list(speeds) == [5.0, 10.0, 15.0, 20.0]
    assert speeds[5.0].interval == pytest.approx((6, 12))
    assert speeds[20.0].interval == pytest.approx((2, 6))
    assert speeds[5.0].areas["scribbles"] == pytest.approx(by_steps([6, 12, 24], [0.5, 0.55, 0.8], 6, 12), abs=1e-6)
    assert speeds[20.0].areas["scribbles"] == pytest.approx(by_steps([1.5, 3, 6], [0.5, 0.55, 0.8], 2, 6), abs=1e-6)
    assert [at.ranks(higher_is_better=True)["scribbles"] for at in speeds.values()] == [2, 1, 1, 1]
    assert "The order changes with r." in comparison_text(comparison, table)
    same = ("full", [2, 6, 12], [0.4, 0.5, 0.6])
    assert runs_of({"a": MASKS, "b": same})[1]["sensitivity"] is None  # nothing depends on it


def test_undefined_costs_and_runs_from_before_there_were_any(runs_of, tmp_path):
    three = {"scribbles": SCRIBBLES, "masks": MASKS, "old": MASKS}
    comparison, table = runs_of(three, known={"scribbles": False}, old=("old",), summary="aubc", log_axis=True)
    text = comparison_text(comparison, table)
    assert "Not all rounds of these tell their cost by this model: scribbles, old." in text
    assert "| 3D Dice | – | 0.590 | – |" in text
    write_comparison_figure(comparison, table, tmp_path / "mine.png")
    assert (tmp_path / "mine.png").is_file()
    comparison, table = runs_of(three, old=("old",), axis="cost")  # which they have
    assert table["no_cost"] == []


def test_curves_that_share_nothing_have_no_areas(runs_of):
    few = ("weak", [3, 6, 9], [0.1, 0.2, 0.3])
    comparison, table = runs_of({"scribbles": few, "masks": MASKS}, summary="aubc")
    text = comparison_text(comparison, table)
    assert "No part of the axis is shared by all curves: one begins at 2, one ends at 0.6; no areas." in text
    assert "| 3D Dice | – | – |" in text


@pytest.mark.parametrize(
    ("axis", "other", "message"),
    [
        ("cost", {"scribble_speed": 10}, "with scribble_speed 15 and .*scribbles/seed_0 with 10"),
        ("cost_area", {"slice_overhead": 0.5}, "with slice_overhead 0.2 and .* with 0.5"),
        ("cost_volumes", {"opening_cost": 4}, "with opening_cost 1 and .* with 4"),
    ],
)
def test_costs_that_assume_other_things_are_refused(runs_of, axis, other, message):
    runs = {"scribbles": SCRIBBLES, "masks": MASKS}
    settings = {"scribbles": CostSettings(**other)}
    with pytest.raises(DataError, match=message):
        runs_of(runs, settings=settings, axis=axis)
    elsewhere = "cost_slices" if axis != "cost" else "labeled"
    same = ("weak", MASKS[1], MASKS[2])
    runs_of({"scribbles": same, "masks": MASKS}, settings=settings, axis=elsewhere)  # where it plays no part
