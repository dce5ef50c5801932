# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv

import pytest

from monai_al.records import DataError
from monai_al.records.csv_files import write_csv
from monai_al.records.work_list import WORK_LIST, read_work_list, write_notes

COLUMNS = ("number", "id", "reason", "state", "note")
ROWS = [(1, "=case/0003", "rank 1, of 9", "waiting", None), (2, "Müller/0004", 'a "reason"', " Done ", "as\nit was")]


@pytest.fixture
def place(tmp_path):
    write_csv(tmp_path / WORK_LIST, COLUMNS, ROWS)
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_as_spreadsheets_save_it(place, encoding, separator, end):
    rows = list(csv.reader((place / WORK_LIST).open(newline="", encoding="utf-8")))
    with (place / WORK_LIST).open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator, lineterminator=end).writerows(rows)
    read = read_work_list(place)
    assert [(row["id"], row["state"]) for row in read] == [("=case/0003", "waiting"), ("Müller/0004", "done")]
    assert [row["reason"] for row in read] == ["rank 1, of 9", 'a "reason"']


def test_notes_change_nothing_else(place):
    before = read_work_list(place)
    write_notes(place, {"=case/0003": "- is empty", "gone/0001": "never"})
    after = read_work_list(place)
    assert after == [before[0] | {"note": "- is empty"}, before[1]]
    content = (place / WORK_LIST).read_bytes()
    write_notes(place, {"=case/0003": "- is empty"})
    assert (place / WORK_LIST).read_bytes() == content


def test_a_list_of_something_else(place):
    (place / WORK_LIST).write_text("number,state\n1,done\n")
    with pytest.raises(DataError, match=r"worklist.csv: has no columns 'id' and 'state'; restore it"):
        read_work_list(place)
