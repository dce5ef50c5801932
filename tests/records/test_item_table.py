# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.records import Item, Pool
from monai_al.records.item_table import IdIndex, ItemTable

ITEMS = st.builds(
    lambda volume, z, own, split, label, axis: Item(
        own or (volume if z is None else f"{volume}/{z:04d}"),
        f"{volume}.nii",
        volume,
        volume[0],
        label,
        z,
        split,
        slice_axis=axis,
    ),
    volume=st.sampled_from(["a", "ab", "b", "b/0001", "c"]),
    z=st.none() | st.integers(0, 12_000),
    own=st.sampled_from(["", "", "", "x", "y", "a/1"]),
    split=st.sampled_from(["train", "test"]),
    label=st.sampled_from([None, "l.nii"]),
    axis=st.sampled_from([2, 2, 0]),
)
LISTS = st.lists(ITEMS, max_size=25) | st.builds(
    lambda first, n: [Item(f"a/{z:04d}", "a.nii", "a", "a", slice=z) for z in range(first, first + n)],
    st.integers(0, 5),
    st.integers(0, 9),
)


@given(LISTS, st.data())
def test_it_is_the_sequence_it_was_made_of(items, data):
    table = ItemTable.of(iter(items))
    assert table == tuple(items)
    assert [table[i] for i in range(len(items))] == items
    assert [table[i] for i in range(-len(items), 0)] == items
    assert (list(table), len(table), table[1:-1:2]) == (items, len(items), tuple(items[1:-1:2]))
    assert table.names("patient") == tuple(dict.fromkeys(item.patient for item in items))
    assert [table.names("volume")[i] for i in table.numbers("volume")] == [item.volume for item in items]
    assert table.where(lambda one: one.split == "test").tolist() == [
        i for i, item in enumerate(items) if item.split == "test"
    ]
    chosen = data.draw(st.lists(st.integers(0, len(items) - 1), max_size=30)) if items else []
    assert table.take(np.array(chosen, dtype=np.int64)) == [items[i] for i in chosen]
    changed = table.with_wholes(lambda one: replace(one, split="validation"))
    assert changed == [replace(item, split="validation") for item in items]
    assert ItemTable.of_stretches(table.stretches()) == items
    assert pickle.loads(pickle.dumps(table)) == items


@given(LISTS)
def test_ids_lead_to_their_item_and_to_no_other(items):
    twice = [id for id, n in Counter(item.id for item in items).items() if n > 1]
    if twice:
        with pytest.raises(ValueError, match="occurs twice") as told:
            IdIndex(ItemTable.of(items))
        assert any(repr(id) in str(told.value) for id in twice)
        return
    index = IdIndex(ItemTable.of(items))
    assert [index.get(item.id) for item in items] == list(range(len(items)))
    known = {item.id for item in items}
    for stranger in {"a", "a/1", "a/01", "a/0001", "a/00001", "a/-001", "a/٠٠٠١", "b/0001/0000", "", "/"} - known:
        assert index.get(stranger) is None
        assert stranger not in index


def test_an_index_out_of_range():
    table = ItemTable.of([Item("a", "a", "a", "a")])
    for index in (1, -2):
        with pytest.raises(IndexError, match="of 1"):
            table[index]


def test_tables_and_tuples_are_joined_to_tuples():
    a, b = Item("a", "a", "a", "a"), Item("b", "b", "b", "b")
    assert ItemTable.of([a]) + (b,) == (a, b)
    assert [b] + ItemTable.of([a]) == (b, a)


def test_many_slices_take_little_memory():
    whole = Item("a", "a.nii", "a", "p")
    pool = Pool(ItemTable([whole], np.zeros(1_000_000, dtype=np.int32), np.arange(1_000_000)))
    assert pool.index("a/654321") == 654_321
    assert pool[999_999].id == "a/999999"
    assert sum(array.nbytes for array in (pool.items._whole, pool.items._slices)) == 8_000_000
    assert len(pool.items.wholes) == 1
