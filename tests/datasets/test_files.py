# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.data import DataError
from monai_al.datasets.files import (
    Pair,
    contained,
    existing_folder,
    listed_error,
    natural_key,
    pool_of,
    readable_files,
    shortened,
)

CLASSES = ("background", "organ")


@given(st.lists(st.integers(0, 3000), unique=True, max_size=20), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_numbers_sort_as_numbers(numbers, seed):
    names = [f"case_{n}_flair.nii.gz" for n in numbers]
    random.Random(seed).shuffle(names)
    assert sorted(names, key=natural_key) == [f"case_{n}_flair.nii.gz" for n in sorted(numbers)]


@given(st.lists(st.text(alphabet="aB1_2./-é٣", max_size=8), max_size=8), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_any_names_have_one_order(names, seed):
    shuffled = random.Random(seed).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == sorted(names, key=natural_key)


@pytest.mark.parametrize("entry", ["../a.nii", "x/../../a.nii", "/etc/passwd", "", "  ", "./x/../../b", "x/../a.nii"])
def test_entries_that_leave_the_folder(tmp_path, entry):
    with pytest.raises(DataError, match="leads out of"):
        contained(tmp_path / "data", entry)


def test_symbolic_links(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.nii").write_text("")
    (tmp_path / "data" / "inner.nii").write_text("")
    (tmp_path / "data" / "out.nii").symlink_to(tmp_path / "secret.nii")
    (tmp_path / "data" / "in.nii").symlink_to(tmp_path / "data" / "inner.nii")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert contained(tmp_path / "data", "./in.nii").name == "in.nii"
    assert contained(tmp_path / "link", "inner.nii") == tmp_path / "link" / "inner.nii"
    with pytest.raises(DataError, match=r"symbolic link, to .*secret\.nii"):
        contained(tmp_path / "data", "out.nii")


def test_readable_files(tmp_path):
    for name in ("b_10.nii.gz", "b_2.nii", "sub/c.png", "._b_2.nii", ".DS_Store", "README", "a.csv", "__MACOSX/d.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [p.name for p in readable_files(tmp_path)] == ["b_2.nii", "b_10.nii.gz", "c.png"]
    assert [p.name for p in readable_files(tmp_path, deep=False)] == ["b_2.nii", "b_10.nii.gz"]


def test_existing_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file, not a folder"):
        existing_folder(tmp_path / "file")
    with pytest.raises(DataError, match="does not exist"):
        existing_folder(tmp_path / "nothing")


def test_lists_are_capped():
    text = str(listed_error("head", list(range(25))))
    assert text.startswith("head:\n  0\n")
    assert text.endswith("  19\n  ... and 5 more")
    assert shortened(range(3)) == "0, 1, 2"
    assert shortened(range(30), limit=1) == "0, ... (30)"


def test_pool_of_slices_volumes_and_images(write, tmp_path):
    volume, image = write("a.nii.gz", (4, 5, 3)), write("b.nii", (4, 5))
    pairs = [Pair(volume, volume, "a", "p"), Pair(image, None, "b", "q")]
    pool = pool_of(pairs, item="slice", classes=CLASSES, root=tmp_path, notes=["x"])
    assert [item.id for item in pool] == ["a/0000", "a/0001", "a/0002", "b"]
    assert [item.slice for item in pool] == [0, 1, 2, None]
    assert pool[0].label == str(volume)
    assert (pool[3].label, pool[3].patient, pool.root, pool.notes) == (None, "q", str(tmp_path), ("x",))
    whole = pool_of(pairs, item="volume", classes=CLASSES, root=tmp_path)
    assert [(item.id, item.volume, item.slice) for item in whole] == [("a", "a", None), ("b", "b", None)]


def test_pool_of_nothing_twice_the_same_or_an_unknown_item(tmp_path):
    pair = Pair(Path("a.nii"), None, "a", "a")
    with pytest.raises(DataError, match="no images found"):
        pool_of([], item="slice", classes=CLASSES, root=tmp_path)
    with pytest.raises(DataError, match="more than once; rename the files:\n  a$"):
        pool_of([pair, pair], item="volume", classes=CLASSES, root=tmp_path)
    with pytest.raises(ValueError, match="item must be one of slice, volume"):
        pool_of([pair], item="patch", classes=CLASSES, root=tmp_path)


def test_all_unreadable_headers_are_listed(write, tmp_path):
    (tmp_path / "x.nii.gz").write_bytes(b"garbage")
    names = ("x.nii.gz", "gone.nii.gz")
    pairs = [Pair(write("a.nii.gz"), None, "a", "a"), *(Pair(tmp_path / n, None, n, n) for n in names)]
    with pytest.raises(DataError, match=r"2 of 3 images.*\n.*x\.nii\.gz: cannot be read.*\n.*gone\.nii\.gz: does not"):
        pool_of(pairs, item="slice", classes=CLASSES, root=tmp_path)


@pytest.mark.parametrize(
    "written",
    [
        ["run/run.json", "run/annotate/round_00/images/a.nii.gz", "run/report/curve.png"],
        ["runs/entropy_0/run.json", "runs/entropy_0/round_00/answers/a.nii.gz"],
        ["compared/acdc.png", "compared/entropy/seed_0/run.json", "compared/entropy/seed_0/report/a.png"],
        ["compared/acdc.png", "compared/entropy/seed_0.done.json"],
        ["cache/images/4f2a/geometry.json", "cache/phantom/a.nii.gz"],
        ["run.json", "report/a.png", "annotate/round_00/a.nii.gz", "round_00/answers/a.nii.gz"],
        [".hidden/a.png", "__MACOSX/a.png", "._b.png"],
    ],
)
def test_what_we_wrote_is_not_searched(tmp_path, written):
    for name in ("scan.nii.gz", "images/deep/scan.nii.gz", *written):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in readable_files(tmp_path)] == [
        "images/deep/scan.nii.gz",
        "scan.nii.gz",
    ]
