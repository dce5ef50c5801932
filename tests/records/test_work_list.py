# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.records import DataError
from monai_al.records.work_list import WORK_LIST, WorkRow, read_work_list, write_notes, write_work_list

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=9).map(str.strip)
COUNT = st.none() | st.integers(0, 500)
NUMBER = st.none() | st.floats(-500, 500).map(lambda value: round(value, 3))
ROW = st.builds(
    WorkRow, st.integers(1, 999), WORD.filter(bool), WORD, WORD, WORD, COUNT, NUMBER, COUNT, WORD, NUMBER,
    st.sampled_from(["waiting", "done", "empty"]), WORD,
)  # fmt: skip
ROWS = [
    WorkRow(1, "a/0007", "a", "a/annotation.nii.gz", "axial", 8, -31.25, 7, "rank 1, of 9", 0.5, "waiting"),
    WorkRow(2, "b/0000", "b", "b/annotation.nii.gz", "oblique", 1, 12.0, 0, 'so "it" is', None, "done", "übermalt"),
]


@given(st.lists(ROW, max_size=4, unique_by=lambda row: row.id))
def test_a_list_is_read_as_it_was_written(rows):
    with tempfile.TemporaryDirectory() as folder:
        write_work_list(Path(folder), rows)
        assert read_work_list(Path(folder)) == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_lists_that_a_spreadsheet_saved(separator, encoding, tmp_path):
    quote = '"{}"'.format
    columns = "number id volume file plane itksnap slicer_mm slice reason score state note"
    lines = [columns.split(" ")]
    mm = "-31,25" if separator != "," else "-31.25"
    lines += [
        ["1", "a/0007", "a", "a/annotation.nii.gz", "axial", "8", mm, "7.0", quote("rank 1, of 9"), "0.5", "", ""],
        ["2", "b/0000", "b", "b/annotation.nii.gz", "oblique", "1", "12", "0", quote('so ""it"" is'), "", " DONE"],
        [""] * 12,
    ]
    lines[2].append("übermalt")
    text = "\r\n".join(separator.join(line) for line in lines) + "\r\n"
    (tmp_path / "worklist.csv").write_bytes(text.encode(encoding))
    assert read_work_list(tmp_path) == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,note\na/0007,x\n", "lacks the column 'state'"),
        ("id,state\na,done\na,empty\n", "names 'a' in two rows"),
        ("id,state,slice\na,done,first\n", "says 'first' in the column 'slice' of 'a'"),
        ('id,state\n"a,done\n', "is no table"),
    ],
)
def test_lists_that_cannot_be_understood_are_refused(text, message, tmp_path):
    (tmp_path / "worklist.csv").write_text(text)
    with pytest.raises(DataError, match=message) as refused:
        read_work_list(tmp_path)
    assert str(tmp_path / "worklist.csv") in str(refused.value)
    assert "remove it" in str(refused.value)


def test_notes_change_nothing_else(tmp_path):
    write_work_list(tmp_path, ROWS)
    write_notes(tmp_path, {"a/0007": "- is empty", "gone/0001": "never"})
    assert read_work_list(tmp_path) == [replace(ROWS[0], note="- is empty"), ROWS[1]]
    content = (tmp_path / WORK_LIST).read_bytes()
    write_notes(tmp_path, {"a/0007": "- is empty"})
    assert (tmp_path / WORK_LIST).read_bytes() == content
