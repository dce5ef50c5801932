# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images in several files: each counts for what tells one image from another."""

from __future__ import annotations

import pytest

from monai_al.records import Item, Pool, content_hash, file_identity
from monai_al.records.identity import pool_to_json
from monai_al.records.stored_files import stored_parts


@pytest.fixture
def files(tmp_path):
    for name in ("a.tif", "b.tif", "a_mask.tif"):
        (tmp_path / name).write_text(name)
    return tmp_path


NAMES = ["{0}/a.tif|{0}/b.tif", "{0}/*[ab].tif", "{0}/b.tif#channel=1", "{0}#series=1.2.3"]


@pytest.mark.parametrize("read", [content_hash, file_identity])
@pytest.mark.parametrize("name", NAMES)
def test_every_file_counts(files, read, name):
    before = read(name.format(files))
    assert read(name.format(files)) == before
    (files / "b.tif").write_text("other")
    assert read(name.format(files)) != before


@pytest.mark.parametrize("read", [content_hash, file_identity])
def test_what_is_meant_of_a_file_counts(files, read):
    path = files / "a.tif"
    names = [f"{path}", f"{path}#channel=0", f"{path}#channel=1", f"{path}|{path}", f"{files}", f"{files}#series=1"]
    assert len({read(name) for name in names}) == len(names)


def test_a_file_that_is_called_so_is_one(files):
    for name in ("a|b.tif", "a*.tif", "a.tif#channel=1"):
        (files / name).write_text(name)
        assert stored_parts(str(files / name)) == [str(files / name)]


def test_pool_json_is_relative(files):
    image = f"{files}/a.tif#channel=1|{files}/b.tif|/elsewhere/c.tif"
    content = pool_to_json(Pool([Item("a", image, "a", "a")], root=str(files)), {image: "e3b0"})
    assert content["items"][0]["image"] == "a.tif#channel=1|b.tif|/elsewhere/c.tif"
    assert list(content["files"].values()) == ["e3b0"]
