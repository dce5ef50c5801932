# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders of DICOM slices as images: which are found, what they are called, and which label is theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from monai_al.data import DataError, dicom_files, dicom_series, read_volume
from monai_al.data.label_files import write_label_map
from monai_al.datasets import copies, folder
from monai_al.datasets.unlabeled import unlabeled_images

DICOMDIR = bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI" + bytes([20, 0]) + b"1.2.840.10008.1.3.10"


def pictures(place, values):
    place.mkdir(parents=True)
    for k, plane in enumerate(values):
        Image.fromarray(np.where(plane > 1, 255, 0).astype(np.uint8)).save(place / f"{k}.png")


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/p1", "labels/p1.nii.gz"),
        ("images/p1", "labels/p1/Segmentation.seg.nrrd"),
        ("images/p1", "labels/p1-label.nrrd"),
        ("images/p1/study/series", "labels/p1_seg.mha"),
        ("images/p1/study/series", "labels/p1/study/series/mask.nii.gz"),
        ("p1/DICOM", "p1/Segmentation.seg.nrrd"),
        ("p1/DICOM", "p1/p1_seg.nii.gz"),
        ("p1", "p1/Segmentation-label.nrrd"),
        ("p1", "p1_gt.nii.gz"),
        ("images/p1", "labels/p1/"),
        ("p1/DICOM", "p1/masks/"),
    ],
)
@pytest.mark.parametrize("name", ["{}.dcm", "{}", "IM-{}.IMA"])
def test_a_label_lies_on_its_series(write_dicom, write_mask, tmp_path, image, label, name):
    for patient in ("p1", "p2"):
        values = write_dicom(image.replace("p1", patient), seed=int(patient[1]), name=name)
        place = label.replace("p1", patient)
        if place.endswith("/"):
            pictures(tmp_path / place, values)
        else:
            write_mask(place, values)
    (tmp_path / image / "notes.txt").write_text("no image")
    (tmp_path / image / "DICOMDIR").write_bytes(DICOMDIR)
    pool = folder(tmp_path)
    assert pool.patients == ("p1", "p2")
    assert [len(pool), len(pool.volumes)] == [8, 2]
    for item in (pool[0], pool[-1]):
        stored = read_volume(item.image, item.label, label_values=pool.label_values)
        np.testing.assert_array_equal(stored.label, stored.image[0] > 1)
    found = unlabeled_images(tmp_path)
    assert [len(found), len(found.volumes)] == [8, 2]


def test_a_label_in_dicom(write_dicom, tmp_path):
    for place in ("images/p1", "labels/p1", "images/p2", "labels/p2_seg"):
        write_dicom(place)
    pool = folder(tmp_path)
    assert pool.volumes == ("p1", "p2")
    stored = read_volume(pool[-1].image, pool[-1].label, label_values=pool.label_values)
    np.testing.assert_array_equal(stored.label, stored.image[0])


def test_several_series_of_one_folder(write_dicom, write_mask, tmp_path):
    write_dicom("images/p1", 1, uid="1.2.7", name="scout.dcm")
    write_dicom("images/p1", 4, uid="1.2.3", number=2)
    second = write_dicom("images/p1", 5, uid="1.2.4", number=3, seed=1)
    write_mask("labels/p1_series3.nii.gz", second)
    with pytest.raises(DataError, match=r"volume p1_scout\)(.|\n)*p1#series=1\.2\.3 \(volume p1_series2\)"):
        folder(tmp_path)
    pool = folder(tmp_path, require_labels=False)
    assert pool.volumes == ("p1_scout", "p1_series2", "p1_series3")
    assert pool.patients == ("p1",)
    assert [item.label is None for item in pool].count(False) == 5
    stored = read_volume(pool[-1].image, pool[-1].label, label_values=pool.label_values)
    np.testing.assert_array_equal(stored.label, stored.image[0] > 1)
    (tmp_path / "labels/p1_series3.nii.gz").rename(tmp_path / "labels/p1.nii.gz")
    with pytest.raises(DataError, match=r"label without image: labels/p1\.nii\.gz"):  # of which series?
        folder(tmp_path, require_labels=False)


def test_a_scout_leaves_no_choice(write_dicom, write_mask, tmp_path):
    write_dicom("images/p1", 1, uid="1.2.7", name="scout.dcm")
    write_mask("labels/p1.nii.gz", write_dicom("images/p1", 4, uid="1.2.3", number=2))
    assert folder(tmp_path, skip_incomplete=True).volumes == ("p1_series2",)


def test_one_series(write_dicom, tmp_path):
    write_dicom("case_7")
    assert unlabeled_images(tmp_path / "case_7").volumes == ("case_7",)
    with pytest.raises(DataError, match="is one slice of a DICOM series; give the folder .*case_7"):
        unlabeled_images(tmp_path / "case_7/1.2.3-0.dcm")


def test_pictures_beside_the_slices(write_dicom, write_mask, tmp_path):
    write_mask("labels/p1.nii.gz", write_dicom("images/p1"))
    Image.new("L", (9, 9)).save(tmp_path / "images/p1/preview.jpg")
    pool = folder(tmp_path)
    assert pool.volumes == ("p1",)
    assert read_volume(pool[0].image).image.shape == (1, 6, 5, 4)
    assert "1 pictures beside DICOM slices are not read." in pool.notes


def test_a_label_of_a_series_beside_pictures_has_its_place(write_dicom, tmp_path):
    write_dicom("p1")
    Image.new("L", (9, 9)).save(tmp_path / "p1/preview.jpg")
    image = unlabeled_images(tmp_path)[0].image
    stored = read_volume(image)
    write_label_map(tmp_path / "seg.nii.gz", np.ones((6, 5, 4), np.uint8), like=image, affine=stored.affine)
    np.testing.assert_allclose(read_volume(tmp_path / "seg.nii.gz").affine, stored.affine, atol=1e-5)


def test_many_series_of_one_folder_are_read_once(write_dicom, tmp_path, monkeypatch):
    uids = [f"1.2.{'7' * n}" for n in range(1, 9)]  # of odd and even length
    for number, uid in enumerate(uids):
        write_dicom("images/all", 3, uid=uid, number=number, seed=number)
    (tmp_path / "images/all/DICOMDIR").write_bytes(DICOMDIR)
    place, read, hashed = str(tmp_path / "images/all"), [], []
    expected = {uid: set(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(place, uid)) for uid in uids}
    header, content_hash = dicom_files.read_header, copies.content_hash
    for module in (dicom_files, dicom_series):
        monkeypatch.setattr(module, "read_header", lambda path: read.append(path) or header(path))
    monkeypatch.setattr(copies, "content_hash", lambda image: hashed.append(image) or content_hash(image))
    assert {uid: set(files) for uid, files in dicom_files.series_files(place).items()} == expected
    pool = folder(tmp_path, labels=None, patient=r"series(\d+)")
    assert len(pool.patients) == 8
    assert len(read) <= 4 * 8 * 3  # each file a few times, however many series there are
    assert hashed == []  # series of one folder are no copies of each other
    write_dicom("images/all", 3, uid="1.3", number=9)
    assert len(dicom_files.series_files(place)) == 9
    slice_of_first = sorted(expected[uids[0]])[0]
    Path(slice_of_first).write_bytes(Path(slice_of_first).read_bytes()[:300])
    with pytest.raises(DataError, match=Path(slice_of_first).name):
        folder(tmp_path, labels=None)


def test_a_damaged_slice_is_named(write_dicom, tmp_path):
    write_dicom("p1")
    path = tmp_path / "p1/1.2.3-2.dcm"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"p1(.|\n)*1\.2\.3-2\.dcm"):
        unlabeled_images(tmp_path)


def test_files_without_suffix_and_preamble(write_dicom, tmp_path):
    values = write_dicom("old/p1", name="{}")
    for path in (tmp_path / "old/p1").iterdir():
        content = path.read_bytes()
        meta = 132 + 12 + int.from_bytes(content[140:144], "little")  # the preamble and the group that follows it
        path.write_bytes(content[meta:])
    pool = unlabeled_images(tmp_path)
    assert pool.volumes == ("old/p1",)
    np.testing.assert_array_equal(read_volume(pool[0].image).image[0], values.transpose(1, 2, 0))
