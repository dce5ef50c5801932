# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest

from monai_al.data import DataError, split_by_patient
from monai_al.data.reading import read_volume
from monai_al.datasets import decathlon, describe

LABELS = {"0": "background", "1": "Anterior", "2": "Posterior"}


@pytest.fixture
def task(write, tmp_path):
    """Make a task of cases 1, 2, 10, with changes to its list."""

    def task(cases=(1, 10, 2), **changes):
        training = []
        for case in cases:
            image, label = f"./imagesTr/hip_{case}.nii.gz", f"./labelsTr/hip_{case}.nii.gz"
            write(image, (4, 5, case))
            write(label, (4, 5, case))
            training.append({"image": image, "label": label})
        write("imagesTs/hip_7.nii.gz")
        listing = {"name": "Hip", "modality": {"0": "MRI"}, "labels": LABELS, "numTraining": 3, "training": training}
        listing |= {"test": ["./imagesTs/hip_7.nii.gz"]} | changes
        (tmp_path / "dataset.json").write_text(json.dumps({k: v for k, v in listing.items() if v is not None}))
        return tmp_path

    return task


def test_the_list_becomes_slices_in_numeric_order(task):
    pool = decathlon(task())
    assert pool.volumes == ("hip_1", "hip_2", "hip_10") == pool.patients
    assert len(pool) == 13
    assert [item.id for item in pool][:4] == ["hip_1/0000", "hip_2/0000", "hip_2/0001", "hip_10/0000"]
    assert pool.classes == ("background", "Anterior", "Posterior")
    assert pool.label_values == {0: 0, 1: 1, 2: 2}
    assert pool[0].image.endswith("imagesTr/hip_1.nii.gz")
    assert pool[0].label.endswith("labelsTr/hip_1.nii.gz")
    assert pool.notes == ("Hip: channels MRI.",)


def test_volumes_as_items(task):
    assert [item.id for item in decathlon(task(), item="volume")] == ["hip_1", "hip_2", "hip_10"]


def test_files_that_are_not_listed_are_counted(task, write):
    root = task()
    write("imagesTr/hip_4.nii.gz")
    write("imagesTr/._hip_1.nii.gz")
    pool = decathlon(root)
    assert "hip_4" not in pool.volumes
    assert "1 files are not in dataset.json and are left out: imagesTr/hip_4.nii.gz." in pool.notes


def test_listed_files_that_are_absent(task):
    root = task()
    (root / "imagesTr/hip_2.nii.gz").unlink()
    (root / "labelsTr/hip_10.nii.gz").unlink()
    with pytest.raises(DataError, match=r"2 files.*\n  ./labelsTr/hip_10.nii.gz\n  ./imagesTr/hip_2.nii.gz"):
        decathlon(root)
    pool = decathlon(root, skip_incomplete=True)
    assert pool.volumes == ("hip_1",)
    assert any("2 files of dataset.json are missing" in note and "hip_10" in note for note in pool.notes)


def test_wrong_number_of_cases_is_a_note(task):
    assert any("numTraining 41 but lists 3" in note for note in decathlon(task(numTraining=41)).notes)


def test_label_values_with_gaps(task):
    pool = decathlon(task(labels={"0": "background", "4": "tumour", "2": "organ"}))
    assert pool.classes == ("background", "organ", "tumour")
    assert pool.label_values == {0: 0, 2: 1, 4: 2}


@pytest.mark.parametrize("labels", [None, {"background": "0"}, ["background"], {"1": "organ"}, {"0": "a", "255": "b"}])
def test_labels_that_make_no_sense(task, labels):
    with pytest.raises(DataError, match=r"dataset\.json"):
        decathlon(task(labels=labels))


@pytest.mark.parametrize("entry", ["../hip.nii.gz", "/etc/hosts", "imagesTr/../../x.nii.gz"])
@pytest.mark.parametrize("key", ["image", "label"])
def test_entries_outside_the_folder_are_refused(task, entry, key):
    good = {"image": "./imagesTr/hip_1.nii.gz", "label": "./labelsTr/hip_1.nii.gz"}
    with pytest.raises(DataError, match="leads out of"):
        decathlon(task(training=[good | {key: entry}]))


@pytest.mark.parametrize("training", [None, {}, ["./imagesTr/hip_1.nii.gz"], [{"image": "a.nii.gz"}]])
def test_malformed_training_list(task, training):
    with pytest.raises(DataError, match="training"):
        decathlon(task(training=training))


def test_a_case_listed_twice(task):
    twice = [{"image": "./imagesTr/hip_1.nii.gz", "label": "./labelsTr/hip_1.nii.gz"}] * 2
    with pytest.raises(DataError, match="more than once.*\n  hip_1"):
        decathlon(task(training=twice))


def test_invalid_json(tmp_path):
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset\.json: is no valid JSON"):
        decathlon(tmp_path)


@pytest.mark.parametrize("listed", [True, False])
def test_label_values_and_geometry_of_the_caller(task, listed):
    root = task()
    if not listed:
        (root / "dataset.json").unlink()
    pool = decathlon(root, label_values={0: 0, 1: 1, 2: 1, 255: 255}, affine_tolerated=True)
    assert pool.label_values == {0: 0, 1: 1, 2: 1, 255: 255}
    assert pool.affine_tolerated
    assert not decathlon(root).affine_tolerated


def test_without_a_list_files_are_paired_by_name(task, write):
    root = task()
    (root / "dataset.json").unlink()
    write("labelsTr/hip_2.nii.gz", np.uint8([[[0, 1, 2]]]))
    pool = decathlon(root)
    assert pool.volumes == pool.patients == ("hip_1", "hip_2", "hip_10")
    assert pool.notes[0].startswith("There is no dataset.json")
    assert len(pool.classes) == 3
    (root / "labelsTr/hip_1.nii.gz").unlink()
    with pytest.raises(DataError, match=r"image without label: imagesTr/hip_1\.nii\.gz"):
        decathlon(root)


def test_the_folder_above_is_told_apart(task, tmp_path):
    task()
    (tmp_path / "Task04").mkdir()
    (tmp_path / "dataset.json").rename(tmp_path / "Task04" / "dataset.json")
    (tmp_path / "imagesTr").rename(tmp_path / "other")
    with pytest.raises(DataError, match=r"neither dataset\.json.*did you mean .*Task04\?"):
        decathlon(tmp_path)


def test_four_channels_with_a_3d_label(task, write):
    root = task(cases=(1,), modality={"0": "FLAIR", "1": "T1"}, numTraining=1)
    write("imagesTr/hip_1.nii.gz", (4, 5, 6, 2), np.float32)
    write("labelsTr/hip_1.nii.gz", (4, 5, 6))
    pool = decathlon(root)
    assert len(pool) == 6
    assert pool.notes == ("Hip: channels FLAIR, T1.",)
    assert describe(pool)["channels"] == [2]


def test_split_by_patient_holds_for_slices(task):
    pool = split_by_patient(decathlon(task()), test=1 / 3)
    assert {item.volume for item in pool.part("test")}.isdisjoint({item.volume for item in pool.part("train")})


def test_real_hippocampus(real_data):
    pool = decathlon(real_data("Task04_Hippocampus"))
    assert (len(pool.volumes), len(pool)) == (180, 6434)
    assert pool.volumes[:3] == ("hippocampus_003", "hippocampus_004", "hippocampus_007")
    first = read_volume(pool[0].image, pool[0].label, label_values=pool.label_values)  # a float32 label
    assert set(np.unique(first.label)) == {0, 1, 2}
    assert first.spacing == (1, 1, 1)
