# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_al.annotators.found_files import files_in_place, files_of_folder
from monai_al.annotators.handed_out import HandedVolume
from monai_al.records import TEST

VOLUMES = [
    HandedVolume(name, name.replace("/", "_"), {}, "", {})
    for name in ("a/case", "b/case", "b/other", "one", "image_0007")
]


@pytest.mark.parametrize(
    ("name", "volume"),
    [
        ("one.nii.gz", "one"),
        ("ONE.nii.gz", None),
        ("one-label.nrrd", "one"),
        ("one (2).seg.nrrd", "one"),
        ("one_segmentation (1).mha", "one"),
        ("one/whatever.nii", "one"),
        ("sent/one/deep/annotation.nii.gz", "one"),
        ("a_case.nii", "a/case"),
        ("a_case/annotation.nii.gz", "a/case"),
        ("other.nii.gz", "b/other"),
        ("case.nii.gz", None),  # of two volumes
        ("one2.nii.gz", None),
        ("round_01/one/annotation.nii.gz", "one"),
        ("round_00/one/annotation.nii.gz", None),
        ("test/one/annotation.nii.gz", None),
        ("one/image_0001.nii.gz", "elsewhere"),
        ("one/image_colour.nii.gz", "elsewhere"),
        ("pictures/one/0003.png", "elsewhere"),
        ("round_01/pictures/one/volume.png", "elsewhere"),
        ("pictures/one.png", "one"),
        ("image_0007.nii.gz", "image_0007"),
        ("image_0007/image_0001.nii.gz", "elsewhere"),
        ("one/image.nii.gz", "elsewhere"),
        ("one/image (1).nii.gz", "elsewhere"),
        ("one/notes.txt", "elsewhere"),
        (".trash/one.nii.gz", "elsewhere"),
    ],
)
def test_which_volume_a_file_belongs_to(tmp_path, name, volume):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    found, strange = files_of_folder(tmp_path, 1, VOLUMES)
    assert found == ({volume: [path]} if volume not in (None, "elsewhere") else {})
    assert strange == ([path] if volume is None else [])


def test_the_test_set_has_its_folder(tmp_path):
    for name in ("test", "round_01"):
        (tmp_path / name / "one").mkdir(parents=True)
        (tmp_path / name / "one" / "annotation.nii.gz").touch()
    test, first = (tmp_path / name / "one" / "annotation.nii.gz" for name in ("test", "round_01"))
    assert files_of_folder(tmp_path, TEST, VOLUMES) == ({"one": [test]}, [first])
    assert files_of_folder(tmp_path / "test", 1, VOLUMES) == ({}, [test])
    named = [HandedVolume("test", "test")]
    assert files_of_folder(tmp_path / "test", 1, named)[0] == {"test": [test]}


def test_one_file_or_the_folder_of_a_volume(tmp_path):
    (tmp_path / "one").mkdir()
    path = tmp_path / "one" / "back.nrrd"
    path.touch()
    assert files_of_folder(tmp_path / "one", 0, VOLUMES)[0] == {"one": [path]}
    assert files_of_folder(path, 0, VOLUMES)[0] == {}
    (tmp_path / "one-label.nrrd").touch()
    assert list(files_of_folder(tmp_path / "one-label.nrrd", 0, VOLUMES)[0]) == ["one"]


def test_in_its_own_folder_all_label_files_count_but_pictures(tmp_path):
    (tmp_path / "one").mkdir()
    for name in ("annotation.nii.gz", "image.nii.gz", "slice_3.png", "Segmentation.seg.nrrd", ".hidden.nii"):
        (tmp_path / "one" / name).touch()
    for name in ("image_0001.nii.gz", "image_colour.nii.gz"):
        (tmp_path / "one" / name).touch()
    names = [path.name for path in files_in_place(tmp_path, VOLUMES[3])]
    assert names == ["Segmentation.seg.nrrd", "annotation.nii.gz"]
