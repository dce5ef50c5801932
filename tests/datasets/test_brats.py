# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from monai_al.data import DataError
from monai_al.data.reading import read_volume
from monai_al.datasets import brats

RAW = np.float32([[[0, 1, 2, 3, 4]]])


@pytest.fixture
def of_2015(write, tmp_path):
    for case in ("HGG/brats_2013_pat0001_1", "LGG/brats_2013_pat0001_1", "HGG/tcia_pat2_117", "HGG/tcia_pat2_0001"):
        write(f"{case}/Flair_subtrMeanDivStd.nii.gz", RAW, np.float32)
        write(f"{case}/T1c_subtrMeanDivStd.nii.gz", RAW, np.float32)
        write(f"{case}/OTMultiClass.nii.gz", RAW, np.float32)
        write(f"{case}/brainmask.nii.gz", RAW, np.float32)
    return tmp_path


@pytest.fixture
def of_2019(write, tmp_path):
    for folder, case, suffix in (("HGG", "BraTS19_A_1", ".nii.gz"), ("LGG", "BraTS19_B_1", ".nii")):
        for kind in ("flair", "t1", "t1ce", "t2", "seg"):
            write(f"{folder}/{case}/{case}_{kind}{suffix}", np.uint8([[[0, 1, 2, 4, 0]]]))
    return tmp_path


def classes_of(pool):
    item = pool[0]
    return read_volume(item.image, item.label, label_values=pool.label_values).label.ravel().tolist()


class TestForm2015:
    def test_volumes_are_unique_and_scans_share_a_patient(self, of_2015):
        pool = brats(of_2015, item="volume")
        assert pool.volumes == (
            "HGG_brats_2013_pat0001_1",
            "HGG_tcia_pat2_0001",
            "HGG_tcia_pat2_117",
            "LGG_brats_2013_pat0001_1",
        )
        assert pool.patients == ("HGG_brats_2013_pat0001", "HGG_tcia_pat2", "LGG_brats_2013_pat0001")

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("whole", [0, 1, 1, 1, 1]),
            ("core", [0, 1, 0, 1, 1]),
            ("enhancing", [0, 0, 0, 0, 1]),
            ("raw", [0, 1, 2, 3, 4]),
        ],
    )
    def test_targets_of_float_labels(self, of_2015, target, expected):
        pool = brats(of_2015, target=target)
        assert classes_of(pool) == expected
        assert len(pool.classes) == max(expected) + 1

    def test_modality_and_grade(self, of_2015):
        pool = brats(of_2015, modality="t1c", grade="LGG")
        assert pool.patients == ("LGG_brats_2013_pat0001",)
        assert pool[0].image.endswith("T1c_subtrMeanDivStd.nii.gz")
        with pytest.raises(ValueError, match="modality must be one of flair, t1, t1c, t2"):
            brats(of_2015, modality="t1ce")

    def test_without_grade_folders(self, of_2015):
        assert brats(of_2015 / "LGG" / "brats_2013_pat0001_1").volumes == ("brats_2013_pat0001_1",)

    def test_real_brats_2015(self, real_data):
        pool = brats(real_data("BraTS2015"))
        assert (pool.volumes, pool.patients, len(pool)) == (("brats_2013_pat0003_1",), ("brats_2013_pat0003",), 155)
        stored = read_volume(pool[0].image, pool[0].label, label_values=pool.label_values)
        assert stored.image.shape == (1, 240, 240, 155)
        assert stored.spacing == (1, 1, 1)
        assert 61 <= stored.label.any(axis=(0, 1)).sum() <= 84


class TestArchiveOf2015:
    @pytest.fixture
    def root(self, tmp_path):
        def put(case, *names):
            for number, name in enumerate(names):
                place = tmp_path / case / name.replace("*", str(54510 + number))
                place.mkdir(parents=True)
                image = sitk.GetImageFromArray(np.int16([[[0]], [[1]], [[2]], [[3]], [[4]]]).transpose(1, 2, 0))
                sitk.WriteImage(image, str(place / f"{place.name}.mha"))

        images = [f"VSD.Brain.XX.O.MR_{name}.*" for name in ("Flair", "T1", "T1c", "T2")]
        put("HGG/brats_2013_pat0001_1", *images, "VSD.Brain_3more.XX.O.OT.*")
        put("HGG/brats_tcia_pat105_0001", *images, "VSD.Brain_3more.XX.O.OT.*")
        put("HGG/brats_tcia_pat105_0283", *images, "VSD.Brain_3more.XX.O.OT.*")
        put("LGG/brats_2013_pat0001_1", *images, "VSD.Brain_3more.XX.XX.OT.*")
        return tmp_path

    @pytest.mark.parametrize(("modality", "name"), [("flair", "MR_Flair"), ("t1", "MR_T1"), ("t1c", "MR_T1c")])
    def test_cases(self, root, modality, name):
        pool = brats(root, modality=modality, target="core", item="volume")
        assert pool.volumes == (
            "HGG_brats_2013_pat0001_1",
            "HGG_brats_tcia_pat105_0001",
            "HGG_brats_tcia_pat105_0283",
            "LGG_brats_2013_pat0001_1",
        )
        assert len(pool.patients) == 3
        assert all(f".{name}." in item.image and ".OT." in item.label for item in pool)
        assert classes_of(pool) == [0, 1, 0, 1, 1]
        assert len(brats(root, grade="LGG", item="volume")) == 1

    def test_what_is_missing(self, root):
        (label,) = root.glob("LGG/*/*OT*/*.mha")
        label.rename(label.with_name("truth.mha"))
        with pytest.raises(
            DataError, match=r"LGG/brats_2013_pat0001_1: no VSD\.Brain\.\*\.OT.*in its place: truth\.mha"
        ):
            brats(root)

    def test_beside_another_form(self, root, write):
        write("HGG/BraTS19_A_1/BraTS19_A_1_flair.nii.gz")
        with pytest.raises(DataError, match="keep the releases apart"):
            brats(root)


class TestForm2017:
    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("whole", [0, 1, 1, 1, 0]),
            ("core", [0, 1, 0, 1, 0]),
            ("enhancing", [0, 0, 0, 1, 0]),
            ("raw", [0, 1, 2, 3, 0]),
        ],
    )
    @pytest.mark.parametrize("grade", ["HGG", "LGG"])
    def test_targets_of_both_suffixes(self, of_2019, target, expected, grade):
        pool = brats(of_2019, target=target, grade=grade)
        assert len(pool.volumes) == 1
        assert classes_of(pool) == expected

    def test_label_3_is_unexpected(self, of_2019, write):
        write("HGG/BraTS19_A_1/BraTS19_A_1_seg.nii.gz", np.uint8([[[0, 1, 2, 3, 4]]]))
        with pytest.raises(DataError, match="unexpected label values 3; expected"):
            classes_of(brats(of_2019))

    def test_a_foreign_label_file_is_named_not_used(self, of_2019):
        (of_2019 / "LGG/BraTS19_B_1/BraTS19_B_1_seg.nii").rename(of_2019 / "LGG/BraTS19_B_1/W39_1998.09.19_Segm.nii")
        with pytest.raises(
            DataError,
            match=r"BraTS19_B_1: no BraTS19_B_1_seg\.nii\.gz; found in its place: W39_1998\.09\.19_Segm\.nii$",
        ):
            brats(of_2019)
        pool = brats(of_2019, skip_incomplete=True)
        assert pool.volumes == ("BraTS19_A_1",)
        assert "W39_1998.09.19_Segm.nii" in pool.notes[1]
        assert [item.label is None for item in brats(of_2019, require_labels=False, item="volume")] == [False, True]

    def test_both_suffixes_of_one_file_count_once(self, of_2019, write):
        write("LGG/BraTS19_B_1/BraTS19_B_1_flair.nii.gz")
        assert len(brats(of_2019, item="volume")) == 2

    def test_grade_from_a_table(self, write, tmp_path):
        for case in ("BraTS20_Training_001", "BraTS20_Training_002"):
            write(f"{case}/{case}_flair.nii")
            write(f"{case}/{case}_seg.nii")
        with pytest.raises(DataError, match="grade of 2 cases is not known"):
            brats(tmp_path, grade="LGG")
        table = "Grade,BraTS_2017_subject_ID,BraTS_2020_subject_ID\nHGG,NA,BraTS20_Training_001\nLGG,NA,"
        (tmp_path / "name_mapping.csv").write_text(table + "BraTS20_Training_002\n")
        assert brats(tmp_path, grade="LGG").volumes == ("BraTS20_Training_002",)


@pytest.mark.parametrize("wrong", [{"target": "edema"}, {"modality": "ct"}, {"grade": "III"}])
def test_unknown_options(of_2019, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        brats(of_2019, **wrong)


def test_two_forms_in_one_folder(of_2015, of_2019):
    with pytest.raises(DataError, match="keep the releases apart"):
        brats(of_2015)


def test_no_cases(tmp_path):
    with pytest.raises(DataError, match="no folder with NIfTI files"):
        brats(tmp_path)
