# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re

import pytest

from monai_al.records import (
    DataError,
    Item,
    Pool,
    pool_difference,
    pool_from_json,
    pool_record,
    pool_to_json,
    slices_of,
)
from monai_al.records import pool_file as module
from monai_al.records.open_round import doubts
from monai_al.records.pool_file import read_pool, write_pool


def a_pool(**changed):
    items = [
        *slices_of(4, image="/d/a.nii", volume="a", patient="p", label="/d/al.nii", slice_axis=1),
        *slices_of(3, image="/d/b.nii", volume="b", patient="q")[1:],
        Item("c", "/d/c.png", "c", "c", split="test"),
        Item("own", "/d/c.png", "e", "c", split="test", slice=7),
    ]
    return Pool(items, ["background", "liver"], {0: 0, 7: 1}, root="/d", slice_axis=1, **changed)


HASHES = {"/d/a.nii": "1a", "/d/al.nii": "1b", "/d/b.nii": "2a", "/d/c.png": "3a"}


@pytest.fixture(params=["few", "many"])
def written(request, monkeypatch, tmp_path):
    if request.param == "many":
        monkeypatch.setattr(module, "_MANY", 3)
    write_pool(tmp_path, pool_record(a_pool(), HASHES))
    return tmp_path


def test_both_forms_tell_the_same(written):
    record, told = read_pool(written), pool_to_json(a_pool(), HASHES)
    assert [dict(item) for item in record["items"]] == told["items"]
    assert {key: record[key] for key in told if key != "items"} == {key: told[key] for key in told if key != "items"}
    again, pool = pool_from_json(record), pool_from_json(told)
    assert again.items == pool.items
    assert (again.classes, again.label_values, again.slice_axis) == (pool.classes, pool.label_values, 1)
    assert pool_difference(record, pool_record(a_pool(), HASHES)) is None
    assert pool_difference(record, told) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pool, hashes: (pool, hashes | {"/d/b.nii": "x"}), "other images: that of 'b/0001' has changed"),
        (lambda pool, hashes: (pool.with_items(pool.items[1:]), hashes), "item 'a/0000' is missing"),
        (lambda pool, hashes: (pool.with_items(reversed(pool.items)), hashes), "another order of items, from 'own' on"),
        (
            lambda pool, hashes: (Pool(pool.items, ["background", "x"], {0: 0, 7: 1}, root="/d"), hashes),
            "other classes",
        ),
    ],
)
def test_a_difference_is_told_alike(written, change, message):
    pool, hashes = change(a_pool(), HASHES)
    found = pool_difference(read_pool(written), pool_record(pool, hashes))
    assert message in found
    assert found == pool_difference(pool_to_json(a_pool(), HASHES), pool_to_json(pool, hashes))


def test_neighboring_slices_share_a_line(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_MANY", 3)
    write_pool(tmp_path, pool_record(a_pool(), HASHES))
    lines = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    assert [(line["volume"], line.get("slices"), line.get("id")) for line in lines] == [
        ("a", [0, 3], None),
        ("b", [1, 2], None),
        ("c", None, None),
        ("e", [7, 7], "own"),
    ]
    assert lines[0]["image"] == "a.nii"
    assert (lines[0]["label_sha256"], lines[1]["label_sha256"]) == ("1b", None)
    assert json.loads((tmp_path / "pool.json").read_text())["n_items"] == 8


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-40], "line 4: tells of no items"),
        (lambda text: text[: text.rindex("{")], "holds 7 items, and pool.json tells of 8"),
        (lambda text: text.replace('"volume": "b"', '"volum": "b"'), "line 2: tells of no items .*volume"),
        (lambda text: "[]\n" + text, "line 1: tells of no items"),
    ],
)
def test_a_damaged_file_is_named(monkeypatch, tmp_path, damage, message):
    monkeypatch.setattr(module, "_MANY", 3)
    write_pool(tmp_path, pool_record(a_pool(), HASHES))
    path = tmp_path / "pool.jsonl"
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=message):
        read_pool(tmp_path)
    ((file, what, since),) = doubts(tmp_path, since=0)
    assert (file, since) == ("pool.jsonl", None)
    assert re.search(message, what)
    path.unlink()
    assert list(doubts(tmp_path, since=0)) == [("pool.jsonl", "is missing", None)]
