# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How scores spread over patients, and where rounds bring nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.report.patient_spread import patient_dice, quartiles, spread_text
from monai_al.report.plateau import plateau_hint

SCORE = st.one_of(st.none(), st.floats(0, 1))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(SCORE, min_size=1, max_size=3)), max_size=8))
def test_patients_count_alike_whatever_their_volumes(volumes):
    per_volume = {f"{n}": dict(enumerate(scores)) for n, (_, scores) in enumerate(volumes)}
    patients = {f"{n}": patient for n, (patient, _) in enumerate(volumes)}
    expected = {}
    for patient in "abc":
        means = []
        for own, scores in volumes:
            defined = [score for score in scores if score is not None]
            if own == patient and defined:
                means.append(math.fsum(defined) / len(defined))
        if means:
            expected[patient] = math.fsum(means) / len(means)
    assert patient_dice(per_volume, patients) == pytest.approx(expected)


def test_few_patients_have_no_quartiles():
    assert quartiles([0.1, 0.2, 0.3]) is None
    assert spread_text(dict.fromkeys("abc", 0.5)) == ""
    assert quartiles([0.4, 0.1, 0.3, 0.2]) == pytest.approx((0.175, 0.325))


def rows(*dice):
    return [{"labeled": 10 * n, "dice_3d": score} for n, score in enumerate(dice, start=1)]


@pytest.mark.parametrize(
    ("dice", "told"),
    [
        ((0.5, 0.6), ""),
        ((0.5, 0.6, 0.7), ""),
        ((0.6, 0.602, 0.604), "+0.004 3D Dice for 20 more labels"),
        ((0.6, 0.602, 0.606), ""),
        ((0.6, 0.5, 0.55), "-0.050 3D Dice for 20 more labels"),
        ((0.6, None, 0.6, 0.59), "+0.000 3D Dice for 30 more labels"),
        ((None, None, None), ""),
    ],
)
def test_a_hint_where_the_last_rounds_brought_nothing(dice, told):
    hint = plateau_hint(rows(*dice))
    assert (told in hint) if told else hint == ""
