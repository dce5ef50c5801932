# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts of a config, resolved without building anything."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from monai_al.bundle.plain_texts import PlainTexts
from monai_al.options import literal

CONFIG = {
    "imports": ["$import os", "$import pathlib", "$import datetime", "$import glob"],
    "root": "/b",
    "fold": 2,
    "results": "$os.path.join(@root, 'results')",
    "stamped": "$datetime.datetime.now().strftime(@results + '/%y%m%d_%H%M%S_%f')",
    "files": "$sorted(glob.glob(@root + '/*'))",
    "names": ["a", "b"],
    "number": "$1 / 0",
    "hash": literal("/a #1"),
    "net": {"_target_": "nowhere.Net", "path": "@root"},
    "of_net": "$@net.path",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/c", "/c"),
        ("@root", "/b"),
        ("$@results + '/fold' + str(@fold)", "/b/results/fold2"),
        ("$str(pathlib.Path(@root) / 'x').upper()", "/B/X"),
        ("$pathlib.Path(@root) / 'x'", Path("/b/x")),
        ("$@root if @fold else None", "/b"),
        ("@net#path", "/b"),
        ("@hash", "/a #1"),
        ("@mine#0", "/own"),
        ("@fold", 2),
        ("@net", None),
        ("@of_net", None),
        ("$@root + @of_net", None),
        ("@names", None),
        ("@files", None),
        ("$len(@files)", None),
        ("$open(@root)", None),
        ("$pathlib.Path(@root).read_text()", None),
        ("$@number", None),
        ("$@root +", None),
        ("$import os", None),
        ("@nothing", None),
        ("$os.environ.get('MONAI_AL_NOTHING', @root)", "/b"),
    ],
)
def test_only_texts_and_numbers_are_put_together(text, expected):
    config = {**CONFIG, "mine": ["/own"], "a": {"b": [text]}}
    before = copy.deepcopy(config)
    assert PlainTexts(config).value("a::b::0") == expected
    assert config == before


def test_one_evaluation_counts_for_all():
    texts = PlainTexts({**CONFIG, "a": {"b": "@stamped", "c": "$@stamped + '/x'"}})
    value = texts.value("a::b")
    assert re.match(r"/b/results/\d{6}_\d{6}_\d+$", value)
    assert texts.value("a::c") == value + "/x"


def test_macros_are_written_out_in_a_copy():
    config = {**CONFIG, "part": {"to": "@##results"}, "again": "%part", "a": {"b": "%root"}}
    texts = PlainTexts(config)
    assert (texts.value("again::to"), texts.value("a::b")) == ("/b/results", "/b")
    assert config["again"] == "%part"


def test_references_end_where_something_is_built():
    texts = PlainTexts({**CONFIG, "late": "$@of_net + @stamped"})
    assert texts.references("$@late") == {"late", "of_net", "net", "stamped", "results", "root"}
    assert texts.references("mail@root") == set()
