# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images of one patient stay together, or a note names them and the option that groups them."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from monai_al.datasets import folder
from monai_al.datasets.patients import by_rule, named_alike_note

OPTIONS = {"labels": None, "images": "."}
GREY = np.random.default_rng(0).integers(0, 255, (8, 8, 2))


def told(names):
    notes = named_alike_note({name: name for name in names}, "--datalist#patient")
    assert len(notes) <= 1
    return notes[0] if notes else ""


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (["patient001_visit2", "patient001_visit1", "patient002_visit1"], ["patient001"] * 2 + ["patient002"]),
        (["a_left", "a_right", "b_left"], ["a", "a", "b"]),
        (["001_t1", "001_t2", "002_t1", "002_t2"], ["001", "001", "002", "002"]),
        (["p1-visit-1", "p1-visit-2"], ["p1", "p1"]),
        (["p1_a", "p1_b", "p2_a", "p2_b"], ["p1", "p1", "p2", "p2"]),
        (["p1/pre", "p1/post", "p2/pre"], ["p1", "p1", "p2"]),
        (["p1/p1_frame01", "p1/p1_frame12", "p2/p2_frame01"], ["p1", "p1", "p2"]),
        (["p1/p1_frame01", "p1/p1_frame12", "p2/p3_frame01"], ["p1/p1", "p1/p1", "p2/p3"]),
        (["ab", "ab_followup", "cd"], ["ab", "ab", "cd"]),
        (["TCGA_CS_1_19970222", "TCGA_CS_1_19980101", "TCGA_DU_2_19970222"], ["TCGA_CS_1"] * 2 + ["TCGA_DU_2"]),
    ],
)
def test_names_of_one_patient_are_told_with_the_rule(names, patients):
    note = told(names)
    assert names[0] in note
    rule = re.search("--datalist#patient '(.*)' groups them", note)[1]
    assert by_rule(names, rule) == patients


@pytest.mark.parametrize(
    "names",
    [
        ["hippocampus_001", "hippocampus_002"],
        ["train_001", "train_002", "test_001", "test_002"],
        ["ISIC_0000001", "ISIC_0000002"],
        ["TCGA_CS_1_19970222", "TCGA_CS_2_19970222"],
        ["scan_1", "scan_2"],
        ["0001", "0002"],
    ],
)
def test_other_names_are_not(names):
    assert told(names) == ""


@pytest.mark.parametrize("name", ["sub-{}_ses-{}.nii", "sub-{}/ses-{}/anat/sub-{}_T1w.nii", "ds/sub-{}/ses-{}/a.nii"])
def test_bids_subjects(write, tmp_path, name):
    for subject in ("01", "02"):
        for session in ("1", "2"):
            write(name.replace("{}", subject, 1).replace("{}", session, 1).replace("{}", subject))
    pool = folder(tmp_path, **OPTIONS)
    assert len(pool.volumes) == 4
    assert pool.patients == ("sub-01", "sub-02")
    assert "sub-01" in pool.notes[0]
    assert len(folder(tmp_path, **OPTIONS, patient="(.+)").patients) == 4


@pytest.mark.parametrize("linked", ["folder", "file", "hard link"])
def test_an_image_behind_a_link_has_one_patient(write, tmp_path, linked):
    path = write("2024/a.nii", GREY)
    if linked == "folder":
        (tmp_path / "latest").symlink_to("2024")
    else:
        other = tmp_path / "latest/b.nii"
        other.parent.mkdir()
        other.symlink_to(path) if linked == "file" else other.hardlink_to(path)
    pool = folder(tmp_path, **OPTIONS)
    assert (len(pool.volumes), len(pool.patients)) == (2, 1)
    assert any("2024_a" in note and "latest" in note for note in pool.notes)


def test_a_folder_that_is_linked_into_itself(write, tmp_path):
    write("a/b.nii")
    (tmp_path / "a/again").symlink_to(tmp_path)
    assert folder(tmp_path, **OPTIONS).volumes == ("a_b",)


@pytest.mark.parametrize("name", ["#1", "study#1", "a#series=1.2", "b#channel=0"])
def test_a_hash_in_the_path_means_nothing(write, tmp_path, name):
    (tmp_path / "study").mkdir()
    for case in "ab":
        write(f"{name}/images/{case}.nii.gz", GREY + ord(case))
    pool = folder(tmp_path / name, labels=None)
    assert pool.patients == ("a", "b")
    assert not any("DICOM" in note for note in pool.notes)


def test_copies_are_named(write, tmp_path):
    for name, volume in (("a", GREY), ("b", GREY + 1), ("c", np.zeros_like(GREY)), ("d", np.zeros_like(GREY))):
        write(f"p_{name}.nii", volume)
    assert not any("equal content" in note for note in folder(tmp_path, **OPTIONS).notes)
    shutil.copy(tmp_path / "p_a.nii", tmp_path / "p_z.nii")
    (note,) = (note for note in folder(tmp_path, **OPTIONS).notes if "equal content" in note)
    assert "p_a and p_z." in note
    assert not any("equal" in note for note in folder(tmp_path, **OPTIONS, patient="p").notes)  # one patient
