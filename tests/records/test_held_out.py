# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monai_al.records import Item, Pool, held_out, split_by_patient


def items_of(patients):
    """One item per entry of a list of patients' numbers."""
    return [Item(f"i{n}", "image", f"v{patient}", f"p{patient}") for n, patient in enumerate(patients)]


PATIENTS = st.lists(st.integers(0, 12), min_size=1, max_size=40)


@given(PATIENTS, st.floats(0, 0.95), st.integers(0, 3))
def test_whole_patients_are_held_out(patients, share, seed):
    items, n = items_of(patients), len(set(patients))
    number = 0 if share == 0 or n == 1 else max(1, round(share * n))
    assume(number < n)
    train, validation = held_out(items, share, seed=seed)
    assert sorted(train + validation, key=items.index) == items
    assert all(part == sorted(part, key=items.index) for part in (train, validation))
    assert not {item.patient for item in train} & {item.patient for item in validation}
    assert len({item.patient for item in validation}) == number


@given(PATIENTS, st.integers(0, 3))
def test_the_draw_depends_on_names_and_seed_alone(patients, seed):
    items = items_of(patients)
    shuffled = random.Random(seed).sample(items, len(items))
    expected = {item.patient for item in held_out(items, 0.3, seed=seed)[1]}
    assert {item.patient for item in held_out(shuffled, 0.3, seed=seed)[1]} == expected


def test_seeds_draw_others():
    items = items_of(range(20))
    drawn = {frozenset(item.id for item in held_out(items, 0.2, seed=seed)[1]) for seed in range(10)}
    assert len(drawn) == 10


@given(st.integers(0, 5))
def test_no_item_of_the_test_part_is_among_them(seed):
    """As the pretraining's config draws, from what may be annotated."""
    pool = split_by_patient(Pool(items_of([n // 2 for n in range(40)])), test=0.2, validation=0.2, seed=seed)
    parts = held_out(pool.part("train").items, 0.2, seed=seed)
    others = {item.patient for split in ("test", "validation") for item in pool.part(split).items}
    assert others
    assert not others & {item.patient for part in parts for item in part}


def test_one_patient_is_trained_on():
    items = items_of([0, 0, 0])
    assert held_out(items, 0.9) == (items, [])


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_a_share_that_is_none(share):
    with pytest.raises(ValueError, match=r"the share of patients that are held out must be in \[0, 1\), got"):
        held_out(items_of([0, 1]), share)


def test_a_share_that_leaves_nobody():
    with pytest.raises(ValueError, match="a share of 0.9 holds out all 2 patients: lower --pretrain_validation"):
        held_out(items_of([0, 1]), 0.9)
