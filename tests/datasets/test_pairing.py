# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which label belongs to which image, as people and tools name them; and that a label is never taken for a scan."""

from __future__ import annotations

import numpy as np
import pytest

from monai_al.data import DataError
from monai_al.data.label_files import write_label_map
from monai_al.datasets import folder
from monai_al.datasets.unlabeled import unlabeled_images

ENDINGS = [
    ".seg", "_seg", "-seg", " seg", "-label", "_label", " label", "_labels", "-labelmap", "_LABEL", "-Segmentation",
    " Segmentation", "_segmentation", "_mask", ".mask", "_gt", "_GroundTruth", "-Segmentation-liver-label", "_seg_1",
    "_dseg", " Segmentation.seg",
]  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("place", ["labels/", "", "images/"])
def test_endings(write, tmp_path, ending, place):
    images = "images/" if place else ""
    for name in ("case_1", "case_10"):
        write(f"{images}{name}.nii.gz")
        write(f"{place}{name}{ending}.nii.gz")
    (tmp_path / "labels").mkdir(exist_ok=True)
    if not place:
        (tmp_path / "labels").rmdir()
    pool = folder(tmp_path, classes=("background", "organ"))
    assert pool.volumes == ("case_1", "case_10")
    assert all(item.label.endswith(f"{item.volume}{ending}.nii.gz") for item in pool)
    assert unlabeled_images(tmp_path).volumes == ("case_1", "case_10")


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{}/scan.nii", "{}/Segmentation.seg.nii"),
        ("{}/scan.nii", "{}/label.nii"),
        ("{}/image.nii", "{}/mask.nii"),
        ("volume-{}.nii", "segmentation-{}.nii"),
        ("{}_flair.nii", "{}_seg.nii"),
        ("sub/{}_image.nii", "sub/{}_label.nii"),
        ("images/img{}.nii", "labels/label{}.nii"),
        ("images/{}.nii", "labels/{}/Segmentation-label.nii"),
        ("images/{}/volume.nii", "labels/{}.nii"),
        ("Training_Data/ISIC_{}.nii", "Training_GroundTruth/ISIC_{}_segmentation.nii"),
        ("sub-{}/anat/sub-{}_T1w.nii", "derivatives/manual/sub-{}/anat/sub-{}_dseg.nii"),
    ],
)
def test_names_without_a_shared_stem(write, tmp_path, image, label):
    for number in ("0001", "0002", "0010"):
        write(image.replace("{}", number))
        write(label.replace("{}", number))
    pool = folder(tmp_path, classes=("background", "organ"))
    assert len(pool.volumes) == 3
    for item in pool:
        shared = {number for number in ("0001", "0002", "0010") if number in item.image}
        assert shared == {number for number in ("0001", "0002", "0010") if number in item.label}
    assert len(unlabeled_images(tmp_path).volumes) == 3


@pytest.mark.parametrize(
    "files",
    [
        ["images/p1/frame.nii", "labels/p2/frame.nii"],  # another patient's
        ["a/scan.nii", "a/other.nii", "a/Segmentation.nii"],  # which of the two?
        ["a/x_flair.nii", "a/x_t1.nii", "a/x_seg.nii"],
        ["a/x.nii", "b/x.nii", "gt/x_seg.nii"],
    ],
)
def test_nothing_is_guessed(write, tmp_path, files):
    for file in files:
        write(file)
    with pytest.raises(DataError, match=rf"label without image: {files[-1]}"):
        folder(tmp_path, classes=("background", "organ"))


def test_a_prediction_is_no_truth(write, tmp_path):
    image = write("scans/case_1.nii.gz")
    write_label_map(tmp_path / "p.nii.gz", np.zeros((4, 5, 3), np.uint8), like=image, affine=np.eye(4))
    (tmp_path / "predicted").mkdir()
    (tmp_path / "p.nii.gz").rename(tmp_path / "predicted/case_1_seg.nii.gz")
    with pytest.raises(DataError, match="1 files have no partner(.|\n)*image without label: scans/case_1"):
        folder(tmp_path)
    write("scans/case_1_seg.nii.gz")
    pool = folder(tmp_path, classes=("background", "organ"))
    assert pool[0].label.endswith("scans/case_1_seg.nii.gz")
    assert "1 segmentations that this package wrote are not read as labels." in pool.notes


def test_an_image_named_like_a_label_stays_one(write, tmp_path):
    for name in ("a_gt", "b_gt"):
        write(f"images/{name}.nii")
        write(f"labels/{name}.nii")
    assert folder(tmp_path, classes=("background", "organ")).volumes == ("a_gt", "b_gt")


def test_a_label_among_the_images_is_left_out(write, tmp_path):
    for name in ("images/a", "images/a.seg", "labels/a"):
        write(f"{name}.nii")
    pool = folder(tmp_path, classes=("background", "organ"))
    assert (pool.volumes, pool[0].label) == (("a",), str(tmp_path / "labels/a.nii"))
    assert any("named like labels" in note and "a.seg" in note for note in pool.notes)


def test_superpixels_are_neither(write, tmp_path):
    for name in ("data/ISIC_1", "data/ISIC_1_superpixels", "gt/ISIC_1_segmentation", "gt/ISIC_1_superpixels"):
        write(f"{name}.nii")
    for options in ({}, {"images": "data", "labels": "gt"}):
        pool = folder(tmp_path, classes=("background", "lesion"), **options)
        assert len(pool.volumes) == 1
        assert pool[0].label.endswith("ISIC_1_segmentation.nii")
    assert unlabeled_images(tmp_path).volumes == ("data/ISIC_1",)


class TestChannels:
    def test_of_one_image(self, write, tmp_path):
        for case in ("a", "b"):
            for channel in ("0000", "0001"):
                write(f"images/{case}_{channel}.nii.gz")
            write(f"labels/{case}.nii.gz")
        pool = folder(tmp_path, classes=("background", "organ"))
        assert pool.volumes == ("a", "b")
        assert [name.rpartition("/")[2] for name in pool[0].image.split("|")] == ["a_0000.nii.gz", "a_0001.nii.gz"]

    def test_numbers_that_are_none(self, write, tmp_path):
        for name in ("case_0001", "case_0002"):
            write(f"images/{name}.nii.gz")
            write(f"labels/{name}.nii.gz")
        assert folder(tmp_path, classes=("background", "organ")).volumes == ("case_0001", "case_0002")

    def test_a_missing_one(self, write, tmp_path):
        for name in ("images/a_0000", "images/a_0002", "labels/a"):
            write(f"{name}.nii.gz")
        with pytest.raises(DataError, match="the image a has no channel a_0001"):
            folder(tmp_path)

    def test_each_with_a_label_of_its_own(self, write, tmp_path):
        for name in ("images/a_0000", "images/a_0001", "labels/a_0000", "labels/a_0001"):
            write(f"{name}.nii.gz")
        assert folder(tmp_path, classes=("background", "organ")).volumes == ("a_0000", "a_0001")


def test_two_images_of_one_name(write, tmp_path):
    for name in ("images/a.nii", "images/a.nii.gz", "labels/a.nii"):
        write(name)
    with pytest.raises(DataError, match="differ in nothing but the kind of file(.|\n)*  a$"):
        folder(tmp_path)
    with pytest.raises(DataError, match="more than once(.|\n)*  a$"):
        unlabeled_images(tmp_path)
