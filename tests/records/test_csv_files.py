# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import monai_al
from monai_al.records.csv_files import write_csv

FORMULA = re.compile("[=+\\-@\t\r\n]")
NAMES = st.text(alphabet="=+-@\t\r\n',\"ab1 –", max_size=6)


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4))
@example([('=HYPERLINK("http://a")', "'=1"), ("@SUM(A1)", "''"), ("-1", "\t=1")])
def test_no_text_is_a_formula_and_every_text_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_csv(path, ("=one", "two"), rows)
    found = read(path)
    assert not any(FORMULA.match(field) for row in found for field in row)
    back = [tuple(re.sub("^'('*[=+\\-@\t\r\n])", r"\1", field) for field in row) for row in found]
    assert back == [("=one", "two"), *rows]


@pytest.mark.parametrize(
    ("value", "field"),
    [(-0.3, "-0.3"), (np.float32(-0.5), "-0.5"), (-7, "-7"), (1e-7, "1e-07"), (None, ""), (math.nan, ""),
     (np.float64("nan"), ""), (-math.inf, "")],
)  # fmt: skip
def test_numbers_stay_and_undefined_is_an_empty_field(tmp_path, value, field):
    write_csv(tmp_path / "a.csv", ("a", "b"), [(value, "x")])
    assert read(tmp_path / "a.csv") == [["a", "b"], [field, "x"]]


def test_no_other_module_writes_csv():
    root = Path(monai_al.__file__).parent
    writers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter", "to_csv")
    }
    for_3d_slicer = {"integrations/taking.py"}  # a table of names that is removed once it was read
    assert writers - for_3d_slicer == {"records/csv_files.py"}
