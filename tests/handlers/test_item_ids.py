# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_al.handlers import ItemIds

NAMES = st.lists(st.sampled_from(["a", "b", "a#1", "a#2", "0", "1", "b#1#1"]), min_size=1, max_size=6)


def engine(names: list[str], *, with_meta: bool = True) -> SimpleNamespace:
    image = MetaTensor([[0.0]] * len(names), meta={"filename_or_obj": names} if with_meta else {})
    return SimpleNamespace(state=SimpleNamespace(batch={"image": image}, output={"image": image}))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=6))
def test_ids_are_distinct_and_begin_with_the_files_name(batches):
    items, ids = ItemIds(), []
    for names, with_meta in batches:
        first = len(ids)
        found = items.take(engine(names, with_meta=with_meta), len(names))
        expected = names if with_meta else [str(first + i) for i in range(len(names))]
        for id, name in zip(found, expected, strict=True):
            assert id == name or id.startswith(f"{name}#")
            assert id != name or name not in ids
            ids.append(id)
    assert len(set(ids)) == len(ids)
    assert items.seen == ids


@settings(deadline=None, max_examples=20)
@given(NAMES, st.integers(1, 6))
def test_ids_depend_on_the_order_and_not_on_the_batches(names, size):
    whole, parts = ItemIds(), ItemIds()
    whole.take(engine(names), len(names))
    for start in range(0, len(names), size):
        batch = names[start : start + size]
        parts.take(engine(batch), len(batch))
    assert parts.seen == whole.seen


def test_a_reset_leaves_the_ids_that_were_given_out():
    items = ItemIds()
    items.take(engine(["a", "a"]), 2)
    before = items.seen
    items.reset()
    items.take(engine(["a"]), 1)
    assert (before, items.seen) == (["a", "a#1"], ["a"])
