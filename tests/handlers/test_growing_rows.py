# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows that grow in memory and on disk are those that came."""

import gc
import sys
import tempfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.failures import told
from monai_al.handlers.growing_rows import GrowingRows
from monai_al.selection.embeddings import is_in_memory


@given(
    sizes=st.lists(st.integers(0, 7), max_size=9),
    columns=st.integers(1, 4),
    in_memory=st.integers(0, 200),
    dtype=st.sampled_from([np.float32, np.float64]),
    looked=st.booleans(),
)
def test_rows_are_those_that_came(sizes, columns, in_memory, dtype, looked):
    rng = np.random.default_rng(0)
    parts = [rng.random((size, columns)).astype(dtype) for size in sizes]
    rows = GrowingRows(in_memory)
    for part in parts:
        rows.add(np.asfortranarray(part))
        if looked:  # reading in between disturbs nothing
            rows.array()
    expected = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
    found = rows.array()
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)
    assert is_in_memory(found) or expected.nbytes > in_memory


def test_many_rows_do_not_stay_in_memory():
    rows = GrowingRows(in_memory=2**20)
    tracemalloc.start()
    try:
        for _ in range(50):  # 50 MiB
            rows.add(np.ones((256, 1024), np.float32))
        found = rows.array()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * 2**20
    assert found.shape == (50 * 256, 1024)
    assert found[-1, -1] == 1
    assert not is_in_memory(found)


def test_the_rows_outlive_what_gathered_them():
    rows = GrowingRows(in_memory=0)
    rows.add(np.arange(6, dtype=np.float32).reshape(3, 2))
    found = rows.array()
    del rows
    assert found.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_rows_of_another_kind_are_refused():
    rows = GrowingRows()
    rows.add(np.zeros((1, 2), np.float32))
    for wrong in (np.zeros((1, 3), np.float32), np.zeros((1, 2))):
        with pytest.raises(ValueError, match="rows of"):
            rows.add(wrong)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_a_full_disk_is_told_by_its_folder(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(OSError, match="No space") as error:
        GrowingRows(in_memory=0).add(np.zeros((1, 2), np.float32))
    gc.collect()
    assert capfd.readouterr().err == ""
    assert told(error.value) == f"{tmp_path}: no space left on the device: free some, or set TMPDIR to another folder"


def test_changing_rows_changes_a_copy():
    rows = GrowingRows(in_memory=0)
    rows.add(np.ones((2, 2), np.float32))
    rows.array()[:] = 0
    assert rows.array().min() == 1
