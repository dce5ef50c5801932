# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images in several files: each counts for what tells one image from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_al.records import DataError, Item, Pool, content_hash, file_identity, stored_files
from monai_al.records.identity import pool_to_json
from monai_al.records.stored_files import as_channels, stored_parts


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
    names += [f"{files}#series=2", f"{files}/a.tif|{files}/a_mask.tif|{files}/b.tif"]  # channels, not slices
    names += [f"{path}#channel=0|{path}", f"{path}|{path}#channel=0"]
    assert len({read(name) for name in names}) == len(names)


@pytest.mark.parametrize("read", [content_hash, file_identity])
@pytest.mark.parametrize("name", ["a.mhd", "a.mha"])
def test_voxels_beside_a_header_count(tmp_path, read, name):
    (tmp_path / name).write_text("DimSize = 2 2\nElementDataFile = a.raw\n")
    found = []
    for content in (b"1234", b"123456"):
        (tmp_path / "a.raw").write_bytes(content)
        found.append(read(tmp_path / name))
    assert found[0] != found[1]
    assert [Path(part).name for part in stored_parts(tmp_path / name)] == [name, "a.raw"]


def test_the_series_of_a_folder_read_its_files_once(files, monkeypatch):
    read = []
    monkeypatch.setattr(stored_files, "_add", lambda digest, part, named: read.append(part))
    hashes = {content_hash(f"{files}#series={n}") for n in range(20)}
    assert (len(hashes), len(read)) == (20, 1)
    (files / "a.tif").write_text("longer than before")
    content_hash(f"{files}#series=1")
    assert len(read) == 2


def test_a_file_that_is_called_so_is_one(files):
    for name in ("a|b.tif", "a*.tif", "a.tif#channel=1"):
        (files / name).write_text(name)
        assert stored_parts(str(files / name)) == [str(files / name)]


@pytest.mark.parametrize("paths", [["a|b/x.nii", "a|b/y.nii"], ["a|b.nii#channel=0"]])
def test_a_path_with_a_bar_is_refused_where_it_would_part_channels(paths):
    with pytest.raises(DataError, match=r"^a\|b.*holds '\|', .*rename the file or folder$"):
        as_channels(paths)
    assert as_channels(["a|b.nii"]) == "a|b.nii"


def test_pool_json_is_relative(files):
    image = f"{files}/a.tif#channel=1|{files}/b.tif|/elsewhere/c.tif"
    content = pool_to_json(Pool([Item("a", image, "a", "a")], root=str(files)), {image: "e3b0"})
    assert content["items"][0]["image"] == "a.tif#channel=1|b.tif|/elsewhere/c.tif"
    assert list(content["files"].values()) == ["e3b0"]
