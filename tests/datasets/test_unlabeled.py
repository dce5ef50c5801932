# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images without labels: which files of a folder are taken, and what they are called."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_al.data import DataError
from monai_al.datasets.unlabeled import image_folder, unlabeled_images


@pytest.fixture
def fill(tmp_path):
    def put(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                Image.fromarray(np.zeros((4, 5), np.uint8)).save(path)
            else:
                nib.save(nib.Nifti1Image(np.zeros((4, 5, 2), np.uint8), np.eye(4)), path)
        return tmp_path

    return put


def names(path, **options):
    return list(unlabeled_images(path, **options).volumes)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["b.nii", "a_10.nii.gz", "a_2.nii"], ["a_2", "a_10", "b"]),
        (["a.nii", "sub/a.nii", "sub/deep/a.nii"], ["a", "sub/a", "sub/deep/a"]),
        (["p1/a.nii", "p2/a.nii"], ["p1/a", "p2/a"]),
        (["imagesTs/a.nii", "imagesTr/b.nii", "labelsTr/b.nii"], ["a"]),
        (["images/x/a.nii", "labels/x/a.nii"], ["x/a"]),
        (["a.nii", "imagesTs/b.nii"], ["a", "imagesTs/b"]),
        (["a.nii", "a_seg.nii", "a_GT.nii", "a_scribble.nii", "b_mask.nii", "._a.nii", "__MACOSX/a.nii"], ["a"]),
        (["segment.nii", "masked.png"], ["masked", "segment"]),
    ],
)
def test_which_files(fill, files, expected):
    assert names(fill(*files)) == expected


def test_one_file_is_taken_whatever_it_is_called(fill):
    assert names(fill("a_seg.nii") / "a_seg.nii") == ["a_seg"]


def test_items(fill):
    pool = unlabeled_images(fill("v.nii", "w.png"), classes=["background", "organ"], label_values={0: 0, 9: 1})
    assert [(item.id, item.slice, item.label) for item in pool] == [
        ("v/0000", 0, None), ("v/0001", 1, None), ("w", None, None)
    ]  # fmt: skip
    assert (pool.classes, pool.label_values) == (("background", "organ"), {0: 0, 9: 1})
    assert [item.id for item in unlabeled_images(fill("v.nii"), item="volume")] == ["v", "w"]


def test_a_relative_path(fill, monkeypatch):
    monkeypatch.chdir(fill("sub/v.nii"))
    assert Path(unlabeled_images("sub")[0].image).is_absolute()


def test_mistakes(fill, tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such file or folder"):
        unlabeled_images(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no images; readable are \.nii\.gz"):
        unlabeled_images(tmp_path)
    with pytest.raises(DataError, match="its 2 files are named like labels"):
        unlabeled_images(fill("a_seg.nii", "b_label.nii"))
    shutil.copy(tmp_path / "a_seg.nii", tmp_path / "c.nii")
    shutil.copy(tmp_path / "a_seg.nii", tmp_path / "c.nii.gz.nii")
    (tmp_path / "d.nii").write_bytes(b"no image")
    (tmp_path / "e.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 4 images cannot be used(.|\n)*d\.nii(.|\n)*e\.png"):
        unlabeled_images(tmp_path)
    fill("c.png")
    with pytest.raises(DataError, match="occur more than once; rename the files(.|\n)*c"):
        unlabeled_images(tmp_path)


def test_image_folder(fill, tmp_path):
    assert image_folder(tmp_path) is None
    assert image_folder(fill("deep/a.nii")) is None
    assert image_folder(fill("imagesTs/sub/a.nii")) == tmp_path / "imagesTs"
    assert image_folder(fill("a.nii")) == tmp_path


def test_channels_in_files_of_their_own(fill):
    root = fill("a_0000.nii", "a_0001.nii", "b_0000.nii", "b_0001.nii")
    assert names(root) == ["a_0000", "a_0001", "b_0000", "b_0001"]
    pool = unlabeled_images(root, channel_files=True, channel=0)
    assert pool.volumes == ("a", "b")
    assert pool[0].image == f"{root}/a_0000.nii#channel=0|{root}/a_0001.nii#channel=0"


def test_runs_are_not_searched(fill, tmp_path):
    fill("a.nii", "run/annotate/b.nii")
    (tmp_path / "run/run.json").touch()
    assert names(tmp_path) == ["a"]
