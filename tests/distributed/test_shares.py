# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Shares hold everything once, and are about equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler

from monai_al.distributed import DealtBatches, deal, share_of, shares_by_weight


@given(st.integers(0, 50), st.integers(1, 9))
def test_shares_are_runs_of_neighbors_and_hold_everything_once(n, size):
    shares = [share_of(n, rank, size) for rank in range(size)]
    assert [place for share in shares for place in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 6))
def test_no_share_weighs_more_than_its_part_and_the_heaviest_thing(weights, size):
    shares = shares_by_weight(weights, size)
    assert len(shares) == size
    assert [place for share in shares for place in share] == list(range(len(weights)))
    for share in shares:
        assert sum(weights[place] for place in share) <= sum(weights) / size + max(weights, default=0)


@given(n=st.integers(1, 60), batch_size=st.integers(1, 12), size=st.integers(1, 5), drop_last=st.booleans())
def test_every_process_gets_a_part_of_each_batch_and_each_item_comes_once(n, batch_size, size, drop_last):
    batches = BatchSampler(range(n), batch_size, drop_last)
    before = list(batches)
    held = sum(map(len, before))
    if held and len(before[0]) < size:
        with pytest.raises(ValueError, match="cannot share a batch"):
            deal(before, size)
        return
    dealt = deal(before, size)
    assert [item for batch in dealt for item in batch] == list(range(held))
    assert all(len(batch) >= size for batch in dealt)
    assert len(DealtBatches(batches, 0, size)) == len(dealt)
    shares = [[batch[rank::size] for batch in dealt] for rank in range(size)]
    for batch, *own in zip(dealt, *shares, strict=True):
        assert sorted(item for share in own for item in share) == batch
        assert max(map(len, own)) - min(map(len, own)) <= 1
    if batch_size >= 2 * size:  # then no step is lost
        assert len(dealt) == len(before) or held < len(before) * size
