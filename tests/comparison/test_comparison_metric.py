# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.comparison.metric import METRICS, SUMMARIES, aubc, summarized

scores = st.one_of(st.none(), st.floats(0, 1, allow_nan=False))
curves = st.lists(st.tuples(st.integers(1, 50), scores), min_size=1, max_size=8)


def rows(curve):
    """Rounds of so many new items each."""
    labeled, found = 0, []
    for new, score in curve:
        labeled += new
        found.append({"labeled": labeled, "dice_3d": score, "hd95_3d": score})
    return found


def area_by_loops(labeled, values):
    area = 0.0
    for i in range(1, len(values)):
        area += (values[i - 1] + values[i]) / 2 * (labeled[i] - labeled[i - 1])
    return area / (labeled[-1] - labeled[0]) if len(values) > 1 else values[0]


@given(curve=curves)
def test_summaries_equal_loops(curve):
    found = rows(curve)
    values = [score for _, score in curve]
    defined = [value for value in values if value is not None]
    is_whole = len(defined) == len(values)
    assert summarized(found, "dice_3d", "final") == values[-1]
    assert summarized(found, "dice_3d", "best") == (max(defined) if defined else None)
    assert summarized(found, "hd95_3d", "best") == (min(defined) if defined else None)
    mean, area = (summarized(found, "dice_3d", kind) for kind in ("mean", "aubc"))
    assert (mean is None) == (area is None) == (not is_whole)
    if is_whole:
        assert mean == pytest.approx(sum(values) / len(values))
        assert area == pytest.approx(area_by_loops([row["labeled"] for row in found], values))


@given(curve=st.lists(st.integers(1, 50), min_size=1, max_size=8), score=st.floats(0, 1, allow_nan=False))
def test_a_constant_curve_gives_its_constant(curve, score):
    found = rows([(new, score) for new in curve])
    for kind in SUMMARIES:
        assert summarized(found, "dice_3d", kind) == pytest.approx(score)


def test_the_area_counts_what_was_labeled_not_the_rounds():
    assert aubc([0, 10, 100], [0.0, 1.0, 1.0]) == pytest.approx(0.95)
    assert aubc([0, 90, 100], [0.0, 1.0, 1.0]) == pytest.approx(0.55)


def test_what_is_no_curve():
    with pytest.raises(ValueError, match="'worst' is no summary of a curve; take mean, final"):
        summarized(rows([(1, 0.5)]), "dice_3d", "worst")
    with pytest.raises(ValueError, match="at least one round"):
        summarized([], "dice_3d", "mean")
    for labeled, values in (([], []), ([1, 2], [0.5])):
        with pytest.raises(ValueError, match="one score for each"):
            aubc(labeled, values)
    with pytest.raises(ValueError, match="must not fall"):
        aubc([3, 2], [0.1, 0.2])
    assert aubc([2, 2], [0.1, 0.3]) == pytest.approx(0.2)  # nothing was added
    assert aubc([2, 2, 4], [0.1, 0.3, 0.5]) == pytest.approx(0.4)


def test_distances_are_better_when_lower():
    dice, distance = METRICS["dice_3d"], METRICS["hd95_3d"]
    assert [dice.reaches(0.7, target) for target in (0.6, 0.7, 0.8)] == [True, True, False]
    assert [distance.reaches(7, target) for target in (6, 7, 8)] == [False, True, True]
    assert (dice.shown(0.71239), distance.shown(7.1239)) == ("0.712", "7.12")
