# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.data import (
    Item,
    Pool,
    Query,
    QueryItem,
    Round,
    derived_seed,
    rng,
    slice_id,
    slices_of,
    split_by_patient,
)


def items_of(*volumes_per_patient: int, slices: int = 3) -> list[Item]:
    """Slices of several patients with several volumes each."""
    items = []
    for p, volumes in enumerate(volumes_per_patient):
        for v in range(volumes):
            items += slices_of(
                slices, image=f"p{p}v{v}.nii", volume=f"p{p}v{v}", patient=f"p{p}", label=f"p{p}v{v}l.nii"
            )
    return items


def test_ids_count_from_zero_with_four_digits():
    items = slices_of(12, image="a.nii.gz", volume="a/b", patient="p", label="l.nii.gz")
    assert [item.id for item in items] == [f"a/b/00{z:02d}" for z in range(12)]
    assert [item.slice for item in items] == list(range(12))
    assert {(i.image, i.label, i.volume, i.patient, i.split) for i in items} == {
        ("a.nii.gz", "l.nii.gz", "a/b", "p", "train")
    }
    assert slice_id("v", 12345) == "v/12345"


def test_label_values_that_come_from_json():
    assert Pool([], label_values={"0": 0, "7": 1, 9: 255}).label_values == {0: 0, 7: 1, 9: 255}
    for wrong in ({"a": 1}, {"1.5": 1}, {1.5: 1}, {1: None}, {1: 0.5}):
        with pytest.raises(ValueError, match="label_values .*: give whole numbers"):
            Pool([], label_values=wrong)


def test_a_pool_is_a_sequence_in_its_order():
    items = items_of(2, 1)
    pool = Pool(iter(items), classes=("background", "liver"), root="r", notes=["n"])
    assert list(pool) == items
    assert (pool[0], pool[-1], pool[1:3]) == (items[0], items[-1], tuple(items[1:3]))
    assert [pool.index(item.id) for item in items] == list(range(9))
    assert items[3] in pool
    assert pool.volumes == ("p0v0", "p0v1", "p1v0")
    assert pool.patients == ("p0", "p1")
    assert pool.label_values == {0: 0, 1: 1}
    assert repr(pool) == "Pool(9 items, 3 volumes, 2 patients)"
    other = pool.with_items(items[:2])
    assert (other.classes, other.root, other.notes, len(other)) == (("background", "liver"), "r", ("n",), 2)


def test_unknown_id_split_and_duplicates_are_named():
    with pytest.raises(KeyError, match="no item 'x' in this pool of 0 items"):
        Pool([]).index("x")
    with pytest.raises(ValueError, match="'a' occurs twice"):
        Pool([Item("b", "", "", ""), Item("a", "", "", ""), Item("a", "", "", "")])
    with pytest.raises(ValueError, match="'a': split 'val' is none of train, validation, test"):
        Pool([Item("a", "", "", "", split="val")])
    with pytest.raises(ValueError, match="patient 'p' lies in two splits, train and test"):
        Pool([Item("a", "", "v", "p"), Item("b", "", "w", "p", split="test")])
    with pytest.raises(ValueError, match="'val'"):
        Pool([]).part("val")


def test_a_patient_may_lie_in_two_splits_where_that_is_known():
    items = [Item("a", "", "v", "p"), Item("b", "", "w", "p", split="test")]
    pool = Pool(items, patients_shared=True)
    assert [part.patients for part in (pool.part("train"), pool.part("test"))] == [("p",), ("p",)]
    assert pool.with_items(items).patients_shared


def test_parts_divide_the_pool():
    pool = split_by_patient(Pool(items_of(1, 2, 1, 1, 3)), test=0.4, validation=0.2)
    parts = {split: pool.part(split) for split in ("train", "validation", "test")}
    assert {split: len(part.patients) for split, part in parts.items()} == {"train": 2, "validation": 1, "test": 2}
    assert sorted(item.id for part in parts.values() for item in part) == sorted(item.id for item in pool)
    for split, part in parts.items():
        assert [item.id for item in part] == [item.id for item in pool if item.split == split]


@settings(deadline=None, max_examples=40)
@given(
    patients=st.integers(3, 30),
    test=st.floats(0, 0.5),
    validation=st.floats(0, 0.3),
    seed=st.integers(0, 5),
)
def test_split_is_by_patient_and_independent_of_order(patients, test, validation, seed):
    items = items_of(*(1 + p % 3 for p in range(patients)))
    n_test, n_validation = (max(1, round(f * patients)) if f else 0 for f in (test, validation))
    if n_test + n_validation >= patients:
        with pytest.raises(ValueError, match="cannot take"):
            split_by_patient(Pool(items), test=test, validation=validation, seed=seed)
        return
    pool = split_by_patient(Pool(items), test=test, validation=validation, seed=seed)
    turned = split_by_patient(Pool(items[::-1]), test=test, validation=validation, seed=seed)
    assert [i.id for i in pool] == [i.id for i in items]
    assert {i.id: i.split for i in pool} == {i.id: i.split for i in turned}
    split_of = {}
    for item in pool:
        assert split_of.setdefault(item.patient, item.split) == item.split
    counts = [list(split_of.values()).count(s) for s in ("train", "validation", "test")]
    assert counts == [patients - n_test - n_validation, n_validation, n_test]


def test_split_seeds_differ_and_bad_fractions_are_refused():
    pool = Pool(items_of(*[1] * 20))
    splits = {tuple(i.split for i in split_by_patient(pool, seed=seed)) for seed in range(5)}
    assert len(splits) == 5
    for bad in ({"test": 1.0}, {"test": -0.1}, {"validation": float("nan")}):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\)"):
            split_by_patient(pool, **bad)
    with pytest.raises(ValueError, match="only one patient"):
        split_by_patient(Pool(items_of(2)))


@settings(deadline=None, max_examples=40)
@given(
    placed=st.lists(st.sampled_from(["train", "train", "validation", "test"]), min_size=6, max_size=20),
    test=st.floats(0, 0.4),
    validation=st.floats(0, 0.3),
    seed=st.integers(0, 5),
)
def test_parts_that_the_data_set_has_stay(placed, test, validation, seed):
    items = [replace(item, split=placed[int(item.patient[1:])]) for item in items_of(*[2] * len(placed))]
    free = placed.count("train")
    n_test = 0 if "test" in placed or not test else max(1, round(test * free))
    n_validation = 0 if "validation" in placed or not validation else max(1, round(validation * free))
    if n_test + n_validation >= free and (n_test + n_validation or set(placed) == {"train"}):
        with pytest.raises(ValueError, match="cannot take"):
            split_by_patient(Pool(items), test=test, validation=validation, seed=seed)
        return
    pool = split_by_patient(Pool(items), test=test, validation=validation, seed=seed)
    found = {item.patient: item.split for item in pool}
    for number, split in enumerate(placed):
        assert split == "train" or found[f"p{number}"] == split
    counts = [list(found.values()).count(split) for split in ("validation", "test")]
    assert counts == [placed.count("validation") + n_validation, placed.count("test") + n_test]
    again = split_by_patient(pool, test=test, validation=validation, seed=seed + 1)
    if "test" in found.values() and "validation" in found.values():
        assert again.items == pool.items


def test_query_survives_json():
    query = Query(3, "entropy", 7, (QueryItem("a", 0.5, "why"), QueryItem("b")))
    content = query.to_json()
    assert content["items"] == [{"id": "a", "score": 0.5, "reason": "why"}, {"id": "b", "score": None}]
    assert Query.from_json(content) == query


def test_round_knows_what_is_unlabeled():
    round = Round(2, Pool(items_of(1, slices=6)), labeled=[4, 0], seed=3)
    assert round.labeled.dtype == round.unlabeled.dtype == np.int64
    assert round.labeled.tolist() == [4, 0]
    assert round.unlabeled.tolist() == [1, 2, 3, 5]
    assert round.rng("x").integers(1 << 30) == rng(3, 2, "x").integers(1 << 30)
    assert Round(0, Pool(items_of(1)), labeled=[], seed=0).unlabeled.tolist() == [0, 1, 2]


def test_seeds_differ_by_each_argument_and_not_by_process():
    grid = [(s, r, p) for s in range(5) for r in range(5) for p in ("a", "b", "1/a")]
    seeds = [derived_seed(*arguments) for arguments in grid]
    assert len(set(seeds)) == len(grid)
    assert all(0 <= seed < 2**32 for seed in seeds)
    code = "from monai_al.records.randomness import derived_seed; print(derived_seed(4, 2, 'b'))"
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert int(other.stdout) == derived_seed(4, 2, "b")
