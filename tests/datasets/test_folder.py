# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_al.data import DataError
from monai_al.datasets import describe, folder
from monai_al.datasets.unusable import UnusableVolumes

CLASSES = ("background", "organ")


def test_images_and_labels_in_two_folders(write, tmp_path):
    for name in ("case_10", "case_2"):
        write(f"images/{name}.nii.gz")
        write(f"labels/{name}.nii.gz")
    pool = folder(tmp_path, classes=CLASSES)
    assert pool.volumes == pool.patients == ("case_2", "case_10")
    assert pool[0].label.endswith("labels/case_2.nii.gz")
    assert pool.classes == CLASSES
    assert "patient of its own" in pool.notes[0]


@pytest.mark.parametrize("suffix", ["_seg", "_label", "_mask", "_segmentation", "_gt"])
@pytest.mark.parametrize("beside", [True, False])
def test_labels_with_a_suffix(write, tmp_path, suffix, beside):
    write("a.nii.gz" if beside else "images/a.nii.gz")
    write(f"a{suffix}.nii" if beside else f"labels/a{suffix}.nii")
    pool = folder(tmp_path, classes=CLASSES)
    assert pool.volumes == ("a",)
    assert pool[0].label.endswith(f"a{suffix}.nii")


def test_names_of_folders_and_a_patient_rule(write, tmp_path):
    for name in ("p1/frame01", "p1/frame02", "p2/frame01", "p10/p10_frame01"):
        write(f"x/{name}.nii.gz")
        write(f"y/{name}_gt.nii.gz")
    pool = folder(tmp_path, images="x", labels="y", classes=CLASSES, patient=r"(p\d+)/")
    assert pool.volumes == ("p1_frame01", "p1_frame02", "p2_frame01", "p10_frame01")
    assert pool.patients == ("p1", "p2", "p10")
    assert pool.notes == ()
    with pytest.raises(DataError, match=r"'q' does not match 4 images:\n  p1/frame01\n"):
        folder(tmp_path, images="x", labels="y", classes=CLASSES, patient="q")
    with pytest.raises(DataError, match="no regular expression"):
        folder(tmp_path, images="x", labels="y", classes=CLASSES, patient="(")


def test_files_without_partner_are_all_listed(write, tmp_path):
    write("images/a.nii.gz")
    write("images/b.nii.gz")
    write("images/c.nii.gz")
    write("labels/a.nii.gz")
    write("labels/z.nii.gz")
    listed = r"label without image: labels/z.*\n.*image without label: images/b.*\n.*image without label: images/c"
    with pytest.raises(DataError, match=listed):
        folder(tmp_path, classes=CLASSES)
    with pytest.raises(DataError, match="label without image: labels/z"):
        folder(tmp_path, classes=CLASSES, require_labels=False)
    pool = folder(tmp_path, classes=CLASSES, skip_incomplete=True)
    assert pool.volumes == ("a",)
    assert all(name in pool.notes[0] for name in ("3 files", "z.nii.gz", "b.nii.gz", "c.nii.gz"))
    (tmp_path / "labels/z.nii.gz").unlink()
    pool = folder(tmp_path, classes=CLASSES, require_labels=False, item="volume")
    assert [item.label is None for item in pool] == [False, True, True]


def test_no_labels_at_all(write, tmp_path):
    write("images/a.nii.gz")
    pool = folder(tmp_path, labels=None)
    assert [item.label for item in pool] == [None] * 3
    with pytest.raises(DataError, match="image without label"):
        folder(tmp_path)


def test_two_labels_of_one_image(write, tmp_path):
    for name in ("a", "a_seg", "a_mask"):
        write(f"{name}.nii.gz")
    with pytest.raises(DataError, match="are both labels of image a"):
        folder(tmp_path)


@pytest.mark.parametrize("option", ["images", "labels"])
def test_named_sub_folders_must_be_there(write, tmp_path, option):
    write("images/a.nii.gz")
    with pytest.raises(DataError, match="nothing: no such folder"):
        folder(tmp_path, **{option: "nothing"})


class TestClassesFound:
    @pytest.mark.parametrize(
        ("values", "classes", "label_values"),
        [
            ([0, 1], 2, {0: 0, 1: 1}),
            ([0, 255], 2, {0: 0, 255: 1}),
            ([0, 2, 5], 3, {0: 0, 2: 1, 5: 2}),
            ([0, 1, 255], 2, {0: 0, 1: 1, 255: 255}),
            ([0], 2, {0: 0, 1: 1}),
        ],
    )
    def test_values(self, write, tmp_path, values, classes, label_values):
        write("a.nii.gz", (1, 1, 3))
        write("a_seg.nii.gz", [[(values * 3)[:3]]])
        pool = folder(tmp_path)
        assert {v: c for v, c in pool.label_values.items() if v in values} == {
            v: c for v, c in label_values.items() if v in values
        }
        assert 0 in pool.label_values
        assert describe(pool)["items"] == 3
        if len(values) > 1:
            assert len(pool.classes) == classes

    def test_an_image_taken_for_a_label(self, write, tmp_path):
        write("a.nii.gz", (10, 10, 3))
        write("a_seg.nii.gz", np.arange(300).reshape(10, 10, 3), np.int16)
        with pytest.raises(DataError, match="this is an image, not a label"):
            folder(tmp_path)

    def test_label_values_of_the_caller(self, write, tmp_path):
        write("a.nii.gz", (1, 1, 3))
        write("a_seg.nii.gz", [[[0, 255, 7]]])
        pool = folder(tmp_path, classes=CLASSES, label_values={0: 0, 255: 1, 7: 255})
        assert pool.label_values == {0: 0, 255: 1, 7: 255}
        assert describe(pool)["not_annotated_share"] == pytest.approx(1 / 3)

    def test_the_classes_of_label_values(self, write, tmp_path):
        write("a.nii.gz", (1, 1, 4))
        write("a_seg.nii.gz", [[[0, 85, 170, 255]]])
        with pytest.raises(DataError, match=r"a_seg\.nii\.gz: holds 255.*--datalist#label_values"):
            folder(tmp_path)
        for values, shares in (
            ({0: 0, 85: 1, 170: 2, 255: 3}, [1 / 4] * 4),
            ({0: 0, 85: 1, 170: 2, 255: 255}, [1 / 3] * 3),
            ({"0": 0, "85": 1, "170": 1, "255": 0}, [1 / 2] * 2),
        ):
            pool = folder(tmp_path, label_values=values)
            assert pool.label_values == {int(value): number for value, number in values.items()}
            assert list(describe(pool)["class_share"].values()) == pytest.approx(shares)
        with pytest.raises(ValueError, match="no value stands for class 1"):
            folder(tmp_path, label_values={0: 0, 85: 2})

    def test_two_codings_of_masks(self, write, tmp_path):
        for name, values in (("a", [0, 1, 1]), ("b", [0, 255, 255])):
            write(f"{name}.nii.gz", (1, 1, 3))
            write(f"{name}_seg.nii.gz", [[values]])
        with pytest.raises(DataError, match=r"b_seg\.nii\.gz: holds 255, which may be a class"):
            folder(tmp_path)
        pool = folder(tmp_path, label_values={0: 0, 1: 1, 255: 1})
        assert list(describe(pool)["class_share"].values()) == pytest.approx([1 / 3, 2 / 3])


def test_labels_that_lie_beside_their_images(write, tmp_path):
    write("a.nii.gz", (3, 4, 5))
    write("a_seg.nii.gz", np.ones((3, 4, 5)))
    label = nib.load(tmp_path / "a_seg.nii.gz")
    moved = label.affine.copy()
    moved[0, 3] += 7
    nib.save(nib.Nifti1Image(np.asarray(label.dataobj), moved), tmp_path / "a_seg.nii.gz")
    with pytest.raises(DataError, match="--datalist#affine_tolerated True"):
        describe(folder(tmp_path))
    pool = folder(tmp_path, affine_tolerated=True)
    with pytest.warns(UserWarning, match="the image's geometry is used"):
        assert describe(pool)["class_share"]["foreground"] == 1


class TestPictures:
    @pytest.mark.parametrize("same", [True, False])
    def test_palettes_of_several_masks(self, tmp_path, same):
        for part in ("images", "labels"):
            (tmp_path / part).mkdir()
        for k, colour in enumerate([(200, 0, 0), (200, 0, 0) if same else (0, 200, 0)]):
            mask = Image.fromarray(np.uint8([[0, 1], [1, 1]]))
            mask.save(tmp_path / f"images/{k}.png")
            mask.putpalette([0, 0, 0, *colour])
            mask.save(tmp_path / f"labels/{k}.png")
        if same:
            assert folder(tmp_path).label_values == {0: 0, 1: 1}
            return
        with pytest.raises(DataError, match=r"1\.png: its palette shows index 1 in \(0, 200, 0\), that of .*0\.png in"):
            folder(tmp_path)

    @pytest.fixture
    def root(self, tmp_path):
        for part in ("images", "labels"):
            (tmp_path / part).mkdir()
        for number in (11, 2):
            Image.fromarray(np.full((6, 5, 3), number, np.uint8)).save(tmp_path / f"images/ISIC_{number}.jpg")
            mask = np.zeros((6, 5), np.uint8)
            mask[2:4] = 255
            Image.fromarray(mask).save(tmp_path / f"labels/ISIC_{number}_segmentation.png")
        (tmp_path / "images/._ISIC_2.jpg").write_text("")
        (tmp_path / "images/list.csv").write_text("")
        return tmp_path

    def test_items_are_whole_images(self, root):
        for pool in (folder(root), folder(root, classes=CLASSES), folder(root, item="volume")):
            assert [(item.id, item.slice, item.patient) for item in pool] == [
                ("ISIC_2", None, "ISIC_2"),
                ("ISIC_11", None, "ISIC_11"),
            ]
            summary = describe(pool)
            assert summary["shape"] == [[6, 5, 1], [6, 5, 1]]
            assert summary["channels"] == [3]
            assert summary["spacing"] is None
            assert list(summary["class_share"].values()) == pytest.approx([2 / 3, 1 / 3])

    def test_masks_stored_with_loss(self, root):
        noise = np.random.default_rng(0).integers(0, 256, (60, 50)).astype(np.uint8)
        (root / "labels/ISIC_2_segmentation.png").unlink()
        Image.fromarray(noise).save(root / "labels/ISIC_2.jpg")
        with pytest.raises(DataError, match=r"ISIC_2\.jpg"):
            folder(root)


def test_real_isic(real_data):
    root = real_data("ISIC2017")
    images, labels = "ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"
    pool = folder(root, images=images, labels=labels, classes=("background", "lesion"))
    assert len(pool) == 1200
    summary = describe(pool.with_items(pool[:20]))
    assert summary["items_without_foreground"] == 0


def _bids(write):
    for subject in ("sub-01", "sub-02"):
        for kind in ("T1w", "FLAIR"):
            write(f"{subject}/anat/{subject}_{kind}.nii.gz")
        write(f"derivatives/prep/{subject}/anat/{subject}_desc-preproc_T1w.nii.gz")
        write(f"derivatives/manual/{subject}/anat/{subject}_space-orig_desc-lesion_mask.nii.gz")


@pytest.mark.parametrize(
    ("images", "labels", "kind", "labeled"),
    [
        ("sub-*_T1w.*", "derivatives/*_desc-lesion_mask.nii.gz", "T1w", True),
        ("sub-*_FLAIR.*", "derivatives/manual", "FLAIR", True),
        ("sub-*/anat/*_FLAIR.nii.gz", None, "FLAIR", False),
    ],
)
def test_patterns_choose_images_and_labels(write, tmp_path, images, labels, kind, labeled):
    _bids(write)
    pool = folder(tmp_path, images=images, labels=labels, classes=CLASSES, require_labels=labeled)
    assert pool.patients == ("sub-01", "sub-02")
    for item, subject in zip(pool[::3], pool.patients, strict=True):
        assert item.image.endswith(f"/{subject}/anat/{subject}_{kind}.nii.gz")
        expected = f"/manual/{subject}/anat/{subject}_space-orig_desc-lesion_mask.nii.gz"
        assert (item.label or "").endswith(expected) is labeled


def test_patterns_of_files_that_lie_beside_each_other(write, tmp_path):
    for name in ("a", "scans/b"):
        for kind in ("t1", "t2", "label", "mask"):
            write(f"{name}_{kind}.nii.gz")
    pool = folder(tmp_path, images="*_t2.nii.gz", labels="*_mask.nii.gz", classes=CLASSES)
    files = [tuple(path.rpartition("/")[2] for path in (item.image, item.label)) for item in pool[::3]]
    assert files == [("a_t2.nii.gz", "a_mask.nii.gz"), ("b_t2.nii.gz", "b_mask.nii.gz")]


def test_patterns_that_nothing_fits(write, tmp_path):
    write("scans/a.nii.gz")
    with pytest.raises(DataError, match=r"no path of the images fits the pattern '\*_T1w.\*'; there are scans/a.nii"):
        folder(tmp_path, images="*_T1w.*")
    with pytest.raises(DataError, match=r"labels fits the pattern '\*_seg.\*'"):
        folder(tmp_path, labels="*_seg.*")
    with pytest.raises(DataError, match="gone: no such folder"):
        folder(tmp_path, images="gone/*_T1w.*")


def test_volumes_are_left_out_by_their_names(write, tmp_path):
    for name in "abc":
        write(f"images/{name}.nii.gz")
        write(f"labels/{name}.nii.gz")
    assert folder(tmp_path, classes=CLASSES, exclude=["b"]).volumes == ("a", "c")
    (tmp_path / "labels/b.nii.gz").write_bytes(b"no label")
    with pytest.raises(UnusableVolumes, match=r"labels/b.nii.gz: cannot be read") as found:
        folder(tmp_path)
    assert list(found.value.reasons) == ["b"]
    (tmp_path / "images/c.nii.gz").write_bytes(b"no image")
    with pytest.raises(UnusableVolumes, match="images/c.nii.gz: cannot be read") as found:
        folder(tmp_path, exclude=["b"])
    assert list(found.value.reasons) == ["c"]
    assert folder(tmp_path, exclude=["b", "c"]).volumes == ("a",)
    with pytest.raises(DataError, match="the data set has no volume 'z'"):
        folder(tmp_path, exclude=["b", "z"])
    with pytest.raises(DataError, match="must be a list of names"):
        folder(tmp_path, exclude="b")
