# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import warnings
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser

from monai_al.data import NOT_ANNOTATED, DataError, VolumeCache, read_volume, split_by_patient
from monai_al.datasets import describe, ms_cmr

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs"
OVERLAY = ROOT / "configs" / "datasets" / "ms_cmr.yaml"
TRAIN = ROOT / "bundles" / "group_contrastive_cardiac" / "configs" / "train.yaml"
SHAPE = (12, 10, 4)
SPACING = np.array([0.729, 0.729, 5.0])
# directions of the stored axes in RAS, as columns: towards P-S-R, and L-S-P at a slant
PSR = np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]], float)
TURN = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
LSP = TURN @ np.array([[-1, 0, 0], [0, 0, -1], [0, 1, 0]], float)


def affine_of(axes, origin=(100.0, -60.0, 30.0)):
    affine = np.eye(4)
    affine[:3, :3] = axes * SPACING
    affine[:3, 3] = origin
    return affine


def save(path, values, affine, *, q_form_only=True):
    """A NIfTI file with a q-form alone, its s-form all zero, or with both."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, affine)
    image.set_qform(affine, 1)
    image.set_sform(None if q_form_only else affine, 0 if q_form_only else 1)
    if q_form_only:
        for row in ("srow_x", "srow_y", "srow_z"):
            image.header[row] = 0
    nib.save(image, path)
    if q_form_only:
        stored = nib.load(path).header
        assert int(stored["sform_code"]) == 0
        assert not stored["srow_x"].any()
    return path


@pytest.fixture
def root(tmp_path):
    return tmp_path / "MSCMR"


@pytest.fixture
def make(root):
    """Write a subject: a random image, and its mask, or a scribble of a part of it in the training part."""

    def make(number, part="train", *, axes=PSR, shape=SHAPE, label_affine=None, q_form_only=True):
        rng = np.random.default_rng(number)
        mask = rng.integers(0, 4, shape).astype(np.uint16)
        mask[0, 0, :] = range(shape[2])  # every class is there
        label = np.where(rng.random(shape) < 0.3, mask, 4).astype(np.uint16) if part == "train" else mask
        label[0, 0, :] = mask[0, 0, :]
        affine = affine_of(axes)
        place, kind = root / part, "scribble" if part == "train" else "manual"
        image = rng.integers(0, 1500, shape).astype(np.int16)
        save(place / f"images/subject{number}_DE.nii.gz", image, affine, q_form_only=q_form_only)
        label_affine = affine if label_affine is None else label_affine
        save(place / f"labels/subject{number}_DE_{kind}.nii.gz", label, label_affine, q_form_only=q_form_only)
        return image, label

    return make


def parts(pool):
    return {split: pool.part(split).patients for split in ("train", "validation", "test")}


class TestParts:
    def test_are_those_of_the_folders(self, make, root):
        for number, part in ((13, "train"), (2, "train"), (1, "val"), (10, "TestSet"), (9, "TestSet")):
            make(number, part)
        for place in (root, root.parent):
            pool = ms_cmr(place)
            assert parts(pool) == {
                "train": ("subject2", "subject13"), "validation": ("subject1",), "test": ("subject9", "subject10"),
            }  # fmt: skip
            assert split_by_patient(pool, test=0.5, validation=0.3, seed=4).items == pool.items
        assert pool[0].id == "subject2_DE/0000"
        assert pool[0].label.endswith("train/labels/subject2_DE_scribble.nii.gz")
        assert pool[-1].label.endswith("TestSet/labels/subject10_DE_manual.nii.gz")
        assert pool.classes == ("background", "right ventricle", "myocardium", "left ventricle")
        assert pool.notes == ("The training part has scribbles and no full masks: do not score on its patients.",)
        assert [item.id for item in ms_cmr(root / "val", item="volume")] == ["subject1_DE"]
        assert parts(ms_cmr(root / "val"))["validation"] == ("subject1",)

    def test_in_two_parts(self, make, root):
        make(1)
        make(1, "val")
        make(2)
        with pytest.raises(DataError, match=r"1 subjects occur .*\n.*train/images/subject1_.* and val/images/subject1"):
            ms_cmr(root)

    def test_in_no_part(self, make, root):
        make(1, "somewhere")
        make(2)
        with pytest.raises(DataError, match=r"2 files lie in none of the folders train, val and .*\n  somewhere"):
            ms_cmr(root)

    def test_missing_files_and_strangers(self, make, root):
        make(1)
        make(2, "val")
        make(3, "TestSet")
        make(4, "TestSet")
        (root / "train/labels/subject1_DE_scribble.nii.gz").rename(root / "train/labels/subject1_DE_manual.nii.gz")
        (root / "TestSet/labels/subject3_DE_manual.nii.gz").unlink()
        (root / "val/images/subject2_DE.nii.gz").unlink()
        (root / "val/images/._subject2_DE.nii.gz").write_bytes(b"Mac")
        with pytest.raises(
            DataError,
            match=r"3 cases are incomplete.*\n.*there is no subject1_DE_scribble\.nii\.gz\n"
            r".*subject2_DE_manual\.nii\.gz: there is no image subject2_DE\.nii\.gz\n"
            r".*there is no subject3_DE_manual\.nii\.gz$",
        ):
            ms_cmr(root)
        pool = ms_cmr(root, skip_incomplete=True)
        assert pool.patients == ("subject4",)
        assert "train/labels/subject1_DE_manual.nii.gz" in pool.notes[0]
        (root / "val/labels/subject2_DE_manual.nii.gz").unlink()
        assert len(ms_cmr(root, require_labels=False).patients) == 3

    def test_no_files(self, root):
        (root / "train").mkdir(parents=True)
        with pytest.raises(DataError, match=r"holds no subjectN_DE\.nii\.gz"):
            ms_cmr(root)


class TestLabels:
    def test_scribbles_and_masks(self, make, root):
        stored = {"subject1": make(1)[1], "subject2": make(2, "val")[1]}
        pool = ms_cmr(root, item="volume")
        for item in pool:
            label = read_volume(item.image, item.label, label_values=pool.label_values).label
            expected = np.where(stored[item.patient] == 4, NOT_ANNOTATED, stored[item.patient])
            np.testing.assert_array_equal(label, expected)
            assert set(np.unique(label)) - {NOT_ANNOTATED} == {0, 1, 2, 3}
        assert (stored["subject1"] == 4).any()

    def test_values_that_are_not_theirs(self, make, root):
        for number, part in ((1, "train"), (2, "val"), (3, "val"), (4, "TestSet"), (5, "TestSet")):
            make(number, part)
        affine = affine_of(PSR)

        def put(name, *values):
            array = np.resize(np.array(values, np.uint16), SHAPE)
            return save(root / name, array, affine)

        put("train/labels/subject1_DE_scribble.nii.gz", 0, 1, 2, 3)
        put("val/labels/subject2_DE_manual.nii.gz", 0, 4)
        put("val/labels/subject3_DE_manual.nii.gz", 0, 200, 500, 600)
        put("TestSet/labels/subject4_DE_manual.nii.gz", 0, 7)
        with pytest.raises(DataError, match="4 label files cannot be used") as error:
            ms_cmr(root)
        for text in (
            "subject1_DE_scribble.nii.gz: is said to be a scribble, but nothing in it is marked 4",
            "subject2_DE_manual.nii.gz: unexpected label values 4; expected [0, 1, 2, 3]; 4 marks what a scribble",
            "subject3_DE_manual.nii.gz: unexpected label values 200, 500, 600; expected [0, 1, 2, 3]; these are codes "
            "of the original challenge's masks (200 myocardium, 500 left ventricle, 600 right ventricle)",
            "subject4_DE_manual.nii.gz: unexpected label values 7; expected [0, 1, 2, 3]; store 1 right ventricle",
        ):
            assert text in str(error.value)


class TestGeometry:
    @pytest.mark.parametrize("axes", [PSR, LSP])
    @pytest.mark.parametrize("q_form_only", [True, False])
    def test_axes_stay_as_they_are_stored(self, make, root, axes, q_form_only):
        image, _ = make(1, axes=axes, q_form_only=q_form_only)
        pool = ms_cmr(root)
        assert len(pool) == SHAPE[2]
        volume = read_volume(pool[0].image)
        np.testing.assert_array_equal(volume.image[0], image)
        np.testing.assert_allclose(volume.affine, affine_of(axes), atol=1e-4)
        assert volume.spacing == pytest.approx(tuple(SPACING), abs=1e-5)

    def test_a_label_that_lies_elsewhere_by_its_header(self, make, root, tmp_path):
        make(13)
        image, mask = make(43, "TestSet", axes=LSP, label_affine=np.diag([*SPACING, 1.0]))
        pool = ms_cmr(root)
        assert pool.affine_tolerated
        assert split_by_patient(pool).affine_tolerated
        assert pool.part("test").affine_tolerated
        with pytest.warns(
            UserWarning, match=r"subject43_DE\.nii\.gz and label .* differ by up to 187 voxel edges"
        ) as caught:
            describe(pool)
        assert sum("affines" in str(warning.message) for warning in caught) == 1
        parser = ConfigParser(ConfigParser.load_config_files([TRAIN, OVERLAY]))
        parser.update({"pool": pool, "cache_dir": str(tmp_path / "cache"), "progress": False, "preprocessing": None})
        cache = parser.get_parsed_content("cache")
        (item,) = (item for item in ms_cmr(root, item="volume") if item.patient == "subject43")
        with pytest.warns(UserWarning, match="the image's geometry is used for both"):
            volume = cache.get(item)
        np.testing.assert_array_equal(volume.image[:, 0].transpose(1, 2, 0), image)
        np.testing.assert_array_equal(volume.truth.transpose(1, 2, 0), mask)
        np.testing.assert_allclose(volume.geometry.stored_affine, affine_of(LSP), atol=1e-4)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parser.get_parsed_content("cache").get(item)
        strict = VolumeCache(tmp_path / "other", label_values=pool.label_values)
        with pytest.raises(DataError, match="affines that differ by up to 187"):
            strict.get(item)

    def test_other_shapes_are_not_tolerated(self, make, root):
        make(1, "val")
        save(root / "val/labels/subject1_DE_manual.nii.gz", np.zeros((12, 10, 3), np.uint16), affine_of(PSR))
        with pytest.raises(DataError, match=r"has shape \(12, 10, 4\) but its label"):
            describe(ms_cmr(root))


@pytest.mark.parametrize("axes", [PSR, LSP])
@pytest.mark.parametrize("shape", [(480, 440, 4), (300, 420, 3)])
def test_the_overlay_s_preprocessing(make, root, tmp_path, axes, shape):
    image, mask = make(1, "val", axes=axes, shape=shape)
    parser = ConfigParser(ConfigParser.load_config_files([TRAIN, OVERLAY]))
    parser.update({"dataset_dir": str(root), "pool": "@datalist", "cache_dir": str(tmp_path), "progress": False})
    pool = parser.get_parsed_content("datalist")
    volume = parser.get_parsed_content("cache").get(pool[0])
    assert volume.image.shape == (shape[2], 1, 224, 224)
    assert volume.geometry.keeps_slices
    np.testing.assert_allclose(np.linalg.norm(volume.geometry.affine[:3, :3], axis=0), [1.37, 1.37, 5], rtol=3e-3)
    # the centre stays the centre
    middle = np.array([(n - 1) / 2 for n in shape] + [1])
    moved = np.linalg.solve(volume.geometry.affine, volume.geometry.stored_affine @ middle)
    np.testing.assert_allclose(moved[:3], [111.5, 111.5, (shape[2] - 1) / 2], atol=1)
    # a smooth picture of it: each preprocessed label is that of the nearest stored voxel
    for z in range(shape[2]):
        for row, column in ((100, 100), (112, 80), (140, 130)):
            at = volume.geometry.affine @ [row, column, z, 1]
            stored = np.linalg.solve(volume.geometry.stored_affine, at)[:3]
            near = tuple(np.rint(stored).astype(int))
            if np.abs(stored - near)[:2].max() < 0.4:
                assert volume.label[z, row, column] == mask[near]
    inside = volume.image[:, 0][:, volume.valid[0]]
    assert abs(inside.mean()) < 0.1


def test_z_scores(make, root, tmp_path):
    image, _ = make(1, "val", shape=(40, 40, 4))
    parser = ConfigParser(ConfigParser.load_config_files([TRAIN, OVERLAY]))
    parser.update({"spacing": None, "image_size": [40, 40]})
    parser.update({"dataset_dir": str(root), "pool": "@datalist", "cache_dir": str(tmp_path), "progress": False})
    volume = parser.get_parsed_content("cache").get(parser.get_parsed_content("datalist")[0])
    expected = (image - image.mean()) / image.std()
    np.testing.assert_allclose(volume.image[:, 0].transpose(1, 2, 0), expected, atol=1e-3)


@pytest.mark.nightly
def test_two_rounds(make, root, tmp_path, one_thread):
    for number, part in ((1, "train"), (2, "train"), (3, "val"), (4, "TestSet")):
        make(number, part, shape=(40, 36, 4))
    make(43, "TestSet", axes=LSP, label_affine=np.diag([*SPACING, 1.0]))
    with pytest.warns(UserWarning, match="subject43"):
        monai.bundle.run(
            config_file=[str(CONFIGS / "active_learning.yaml"), str(OVERLAY)],
            dataset_dir=str(root),
            output_dir=str(tmp_path / "run"),
            image_size=[32, 32],
            rounds=2,
            budget=3,
            steps=2,
            steps_per_epoch=1,
            validation_fraction=0.1,
            model="best",
            progress=False,
        )
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["labeled"] == 6
    assert metrics["validation_labeled"] == 4
    assert list(metrics["dice_3d"]["per_volume"]) == ["subject4_DE", "subject43_DE"]
    with pytest.warns(UserWarning, match="subject43"):  # read anew
        monai.bundle.run(
            config_file=str(CONFIGS / "evaluate.yaml"),
            run_dir=str(tmp_path / "run"),
            cache_dir=str(tmp_path / "other cache"),
            output_dir=str(tmp_path / "evaluation"),
            progress=False,
        )
    again = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert again["dice_3d"] == metrics["dice_3d"]
