# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.records.cost_model import (
    AreaScale,
    CostSettings,
    PricedLabel,
    cost_assumptions,
    cost_at_speed,
    cost_in_column,
    modelled_costs,
)

areas = st.lists(st.integers(0, 500), min_size=1, max_size=5)
priced = st.builds(
    lambda kind, volume, own: PricedLabel(kind, volume, len(own), own),
    st.sampled_from(["full", "weak"]),
    st.sampled_from("abcd"),
    areas,
)
some = st.lists(priced, min_size=1, max_size=12)
assumed = st.builds(CostSettings, st.floats(1, 50), st.floats(0, 1), st.floats(0, 20))


def by_loops(labels, settings, mean):
    """One slice after the other, as the formulas are written."""
    total = slices = area = 0.0
    volumes = []
    for label in labels:
        share = 1 / settings.scribble_speed if label.kind == "weak" else 1
        total += share
        for foreground in label.areas:
            slices += share
            a = settings.slice_overhead
            b = (1 - a) / mean
            area += share * (a + b * foreground)
        if label.volume not in volumes:
            volumes.append(label.volume)
    return {"total": total, "slices": slices, "area": area, "volumes": settings.opening_cost * len(volumes) + slices}


@given(labels=some, settings=assumed, mean=st.floats(1, 500))
def test_costs_equal_loops(labels, settings, mean):
    found = modelled_costs(labels, settings, AreaScale(mean, "the pool"))
    assert found == pytest.approx(by_loops(labels, settings, mean))


@given(own=st.lists(areas, min_size=1, max_size=8), settings=assumed)
def test_an_average_slice_costs_1_and_an_empty_one_its_overhead(own, settings):
    slices = [area for volume in own for area in volume]
    scale = AreaScale.over(slices, "the pool")
    labels = [PricedLabel("full", "a", 1, (area,)) for area in slices]
    costs = [modelled_costs([label], settings, scale)["area"] for label in labels]
    assert [cost for cost, area in zip(costs, slices, strict=True) if not area] == pytest.approx(
        [settings.slice_overhead] * slices.count(0)
    )
    positive = [cost for cost, area in zip(costs, slices, strict=True) if area]
    if positive:
        assert sum(positive) / len(positive) == pytest.approx(1)


@given(labels=some, more=some, settings=assumed, speed=st.floats(1, 50))
def test_costs_never_fall_and_weak_ones_go_with_the_speed(labels, more, settings, speed):
    scale = AreaScale(70.0, "the pool")
    before, after = (modelled_costs(found, settings, scale) for found in (labels, labels + more))
    assert all(before[model] <= after[model] * (1 + 1e-12) for model in before)
    weak = [label._replace(kind="weak") for label in labels]
    full = [label._replace(kind="full") for label in labels]
    slow, fast = (modelled_costs(found, replace(settings, scribble_speed=speed), scale) for found in (full, weak))
    for model in ("total", "slices", "area"):
        assert fast[model] == pytest.approx(slow[model] / speed)
    opened = settings.opening_cost * len({label.volume for label in labels})  # however fast somebody draws
    assert fast["volumes"] - opened == pytest.approx((slow["volumes"] - opened) / speed)


def test_what_is_not_known_is_undefined():
    full, drawn = PricedLabel("full", "a", 1, (9,)), PricedLabel("weak", "a", 1, None)
    costs = modelled_costs([full, drawn], CostSettings(), AreaScale(9.0, "the pool"))
    assert costs["area"] is None
    assert costs["slices"] == pytest.approx(16 / 15)
    assert modelled_costs([full], CostSettings())["area"] is None
    assert modelled_costs([PricedLabel("full", "a", 2, (0, 0))], CostSettings())["area"] == pytest.approx(0.4)
    counted = modelled_costs([PricedLabel("full", "a", None)], CostSettings())
    assert counted == {"total": 1.0, "slices": None, "area": None, "volumes": None}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"scribble_speed": 0.5}, "scribble_speed must be a number of at least 1, got 0.5"),
        ({"scribble_speed": float("nan")}, "scribble_speed must be a number"),
        ({"slice_overhead": 1.1}, "slice_overhead must be a number of at least 0 and at most 1, got 1.1"),
        ({"opening_cost": True}, "opening_cost must be a number of at least 0, got True"),
    ],
)
def test_assumptions_out_of_range(setting, message):
    with pytest.raises(ValueError, match=message):
        CostSettings(**setting)


def test_a_pseudo_label_has_no_cost():
    with pytest.raises(ValueError, match="'pseudo' has no cost"):
        CostSettings().weight("pseudo")


def test_costs_of_any_version_are_read():
    old = {"total": 2.2, "per_kind": {"full": {"items": 2, "cost": 2.0}, "weak": {"items": 3, "cost": 0.2}}}
    assert [cost_in_column(old, name) for name in ("cost", "cost_slices", "cost_area")] == [2.2, None, None]
    assert [cost_at_speed(old, "cost", speed) for speed in (5.0, 15.0)] == [pytest.approx(2.6), 2.2]
    assert cost_at_speed(old, "cost_slices", 5.0) is None
    assert cost_at_speed({"total": 2.2}, "cost", 5.0) is None
    assert cost_assumptions(old, "cost_volumes") == {"scribble_speed": 15.0, "opening_cost": 1.0}
    parameters = {"scribble_speed": 10.0, "slice_overhead": 0.5, "mean_area": 80.0, "mean_area_of": "the pool"}
    now = {"total": 2.3, "models": {"area": 3.0}, "parameters": parameters, "sensitivity": {"5": {"area": 4.0}}}
    assert [cost_at_speed(now, "cost_area", speed) for speed in (5.0, 10.0, 20.0)] == [4.0, 3.0, None]
    assert cost_assumptions(now, "cost_area") == {"scribble_speed": 10.0, "slice_overhead": 0.5, "mean_area": 80.0}
    assert AreaScale.of_cost(now) == AreaScale(80.0, "the pool")
    assert AreaScale.of_cost(old) is None
