# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import yaml
from PIL import Image

from monai_al.assets import find_asset
from monai_al.bundle import RoundTraining
from monai_al.commands import main

BUNDLES = (
    "active_learning",
    "group_contrastive_cardiac",
    "selective_uncertainty_spleen",
    "stochastic_batches_prostate",
)
SPACING = (1.5, 1.5, 5.0)


@pytest.fixture
def volume(tmp_path):
    """Write a volume below ``data``: ``volume("images/a.nii.gz", low=-1000)``; a label where ``values`` are given."""

    def write(name, *, low=0, high=600, values=None, shape=(40, 48, 6), spacing=SPACING):
        rng = np.random.default_rng(len(name) + sum(map(ord, name)))
        array = rng.integers(low, high, shape) if values is None else rng.choice(values, shape)
        array.flat[: len(values or (low, high))] = values or (low, high)
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), np.diag([*spacing, 1])), path)
        return path

    return write


@pytest.fixture
def picture(tmp_path):
    def write(name, shape=(20, 30, 3), values=range(256)):
        array = np.random.default_rng(sum(map(ord, name))).choice([*values], shape).astype(np.uint8)
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)

    return write


@pytest.fixture
def init(tmp_path, capsys):
    """Run the command on ``data``; gives what it said, and the overlay: as it stands, and as bundles read it."""

    def run(*more, folder="data"):
        file = tmp_path / "mine.yaml"
        status = main(["init", str(tmp_path / folder), "--output", str(file), *more])
        said = capsys.readouterr()
        assert status == 0, said.err
        text = file.read_text(encoding="ascii")
        return said.out, yaml.safe_load(text), file

    return run


def pool_of(overlay, bundle="active_learning"):
    """The pool and the grid that a bundle gets from the overlay, without a training."""
    config = find_asset(bundle) / "configs" / "train.yaml"
    training = RoundTraining([config, overlay], {"cache_dir": str(overlay.parent / "cache")})
    return training.resolve("datalist", "pool", "grid")


def case(volume, number, **settings):
    volume(f"images/case_{number}.nii.gz", **settings)
    volume(f"labels/case_{number}.nii.gz", values=(0, 1, 2))


class TestLayouts:
    @pytest.mark.parametrize("bundle", BUNDLES)
    def test_images_and_labels_run_in_every_bundle(self, volume, init, bundle):
        for number in (1, 2, 3, 4, 5, 6, 7, 8):
            case(volume, number)
        said, overlay, file = init("--classes", "background,left,right")
        assert "volumes   8, 48 slices" in said
        assert f"run active_learning {file} --output_dir runs/mine" in said
        listed, pool, grid = pool_of(file, bundle)
        assert len(listed) == len(pool) == 48
        assert pool.classes == ("background", "left", "right")
        assert overlay["datalist"]["label_values"] == pool.label_values == {0: 0, 1: 1, 2: 2}
        assert (list(grid.size), grid.spacing) == (overlay["image_size"], overlay["spacing"]) == ([48, 48], 1.5)
        assert {item.split for item in pool} >= {"train", "test"}
        assert "test_fraction" not in overlay

    def test_two_folders_of_other_names(self, picture, init):
        for name in "abcd":
            picture(f"Photos/{name}.png")
            picture(f"GroundTruth/{name}.png", shape=(20, 30), values=(0, 255))
        said, overlay, file = init()
        assert "all 4 volumes have one; classes 0 background, 1 foreground" in said
        assert overlay["datalist"]["label_values"] == {0: 0, 255: 1}
        assert (overlay["in_channels"], overlay["spacing"], overlay["image_size"]) == (3, None, [32, 32])
        assert overlay["intensity"]["a_max"] == 255
        listed, *_ = pool_of(file)
        assert all(item.label and item.slice is None for item in listed)

    def test_decathlon_and_its_modality(self, volume, init, tmp_path):
        for number in (1, 2, 3):
            volume(f"imagesTr/a_{number}.nii.gz")
            volume(f"labelsTr/a_{number}.nii.gz", values=(0, 1))
        entry = [{"image": f"./imagesTr/a_{n}.nii.gz", "label": f"./labelsTr/a_{n}.nii.gz"} for n in (1, 2, 3)]
        listing = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"}, "training": entry}
        (tmp_path / "data/dataset.json").write_text(json.dumps(listing))
        said, overlay, file = init()
        assert "told by the modality in its dataset.json" in said
        assert "CT, told by what the data set calls them, CT" in said
        assert overlay["intensity"] | {"a_min": -160, "a_max": 240} == overlay["intensity"]
        assert pool_of(file)[0].classes == ("background", "liver")

    @pytest.mark.parametrize("labeled", [3, 2, 0])
    def test_nnunet_with_channels_and_few_labels(self, volume, init, tmp_path, labeled):
        for number in (1, 2, 3):
            for channel in ("0000", "0001"):
                volume(f"imagesTr/a_{number}_{channel}.nii.gz")
        for number in range(1, labeled + 1):
            volume(f"labelsTr/a_{number}.nii.gz", values=(0, 1))
        listing = {"channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "tumour": 1}}
        (tmp_path / "data/dataset.json").write_text(json.dumps({**listing, "file_ending": ".nii.gz"}))
        said, overlay, file = init()
        assert "nnU-Net v2" in said
        assert "MR, told by what the data set calls them, T2, ADC" in said
        assert (overlay["in_channels"], overlay["intensity"]["channel_wise"]) == (2, True)
        listed, *_ = pool_of(file)
        assert len({item.volume for item in listed}) == 3
        assert sum(item.label is not None for item in listed) == 6 * labeled
        assert overlay["datalist"]["require_labels"] is (labeled == 3)

    def test_a_list_by_its_file(self, volume, init, tmp_path):
        for number in (1, 2, 3):
            case(volume, number)
        parts = {"training": [1, 2], "validation": [3]}
        for name in ("one.json", "two.json"):
            entry = {
                part: [{"image": f"images/case_{n}.nii.gz", "label": f"labels/case_{n}.nii.gz"} for n in numbers]
                for part, numbers in parts.items()
            }
            (tmp_path / "data" / name).write_text(json.dumps(entry))
        said, _, file = init(folder="data/two.json")
        assert "2 patients train, 1 patients validation" in said
        assert {item.split for item in pool_of(file)[0]} == {"train", "validation"}
        assert main(["init", str(tmp_path / "data"), "--output", str(tmp_path / "b.yaml")]) == 2

    def test_dicom_series(self, init, tmp_path):
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        for patient in "abcd":
            place = tmp_path / "data" / patient / "study"
            place.mkdir(parents=True)
            for k in range(4):
                image = SimpleITK.GetImageFromArray(np.full((1, 20, 24), ord(patient) + k, np.int16))
                image.SetSpacing((0.7, 0.8, 2.0))
                for tag, value in {
                    "0008|0016": "1.2.840.10008.5.1.4.1.1.4", "0008|0018": f"1.{ord(patient)}.{k + 1}",
                    "0008|0060": "MR", "0020|000d": "1.2", "0020|000e": f"1.{ord(patient)}", "0020|0011": "1",
                    "0020|0032": f"0\\0\\{2 * k}", "0020|0037": "1\\0\\0\\0\\1\\0", "0020|0013": str(k + 1),
                }.items():  # fmt: skip
                    image.SetMetaData(tag, value)
                writer.SetFileName(str(place / f"{k}.dcm"))
                writer.Execute(image)
        os.truncate(tmp_path / "data/d/study/2.dcm", 300)
        said, overlay, file = init()
        assert "MR, told by the Modality MR of the DICOM headers" in said
        assert "those of DICOM series are the folders that they lie in (a_study -> a)" in said
        listed, _, grid = pool_of(file)
        assert listed.patients == ("a", "b", "c")
        assert overlay["datalist"]["exclude"] == ["d_study"]
        assert "1 DICOM files cannot be read: 2.dcm" in said
        assert grid.spacing == overlay["spacing"] == pytest.approx(0.75, abs=0.05)


class TestBids:
    @pytest.fixture
    def bids(self, volume, tmp_path):
        for subject in ("sub-01", "sub-02", "sub-03"):
            for session in ("ses-a", "ses-b"):
                place, name = f"{subject}/{session}/anat", f"{subject}_{session}"
                for kind in ("T1w", "FLAIR"):
                    volume(f"{place}/{name}_{kind}.nii.gz")
                volume(f"derivatives/prep/{place}/{name}_desc-preproc_T1w.nii.gz")
                volume(f"derivatives/hand/{place}/{name}_desc-lesion_mask.nii.gz", values=(0, 1))
        (tmp_path / "data/dataset_description.json").write_text("{}")

    def test_several_kinds_are_asked_for(self, bids, tmp_path, capsys):
        assert main(["init", str(tmp_path / "data"), "--output", str(tmp_path / "mine.yaml")]) == 2
        error = capsys.readouterr().err
        for text in ("several kinds of images", "--images 'sub-*_T1w.*': 6", "--images 'sub-*_FLAIR.*': 6"):
            assert text in error
        assert not (tmp_path / "mine.yaml").exists()

    def test_one_kind_with_its_masks(self, bids, init):
        said, _, file = init("--images", "sub-*_T1w.*")
        assert "MR, told by what the data set calls them, T1w" in said
        assert "3, they are the subjects of BIDS" in said
        listed, *_ = pool_of(file)
        assert listed.patients == ("sub-01", "sub-02", "sub-03")
        assert len({item.volume for item in listed}) == 6
        for item in listed:
            *_, place, _, name = item.image.split("/")
            assert item.label.endswith(f"{place}/anat/{name.replace('T1w', 'desc-lesion_mask')}")

    def test_several_kinds_of_masks_are_asked_for(self, bids, volume, init, tmp_path, capsys):
        volume("derivatives/hand/sub-01/ses-a/anat/sub-01_ses-a_dseg.nii.gz", values=(0, 1))
        command = ["init", str(tmp_path / "data"), "--output", str(tmp_path / "mine.yaml"), "--images", "sub-*_T1w.*"]
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "--labels 'derivatives/hand/*_desc-lesion*_mask.*': 6" in error
        assert "--labels 'derivatives/hand/*_dseg.*': 1" in error
        said, *_ = init("--images", "sub-*_T1w.*", "--labels", "derivatives/hand/*_dseg.*")
        assert "1 of 6 volumes have one" in said


class TestWhatIsShown:
    def test_no_labels_at_all(self, volume, init):
        for number in (1, 2, 3):
            volume(f"scan_{number}.nii.gz")
        said, overlay, file = init("--classes", "background,liver,spleen")
        assert "none; the classes to draw are 0 background, 1 liver, 2 spleen" in said
        assert overlay["test_fraction"] == overlay["validation_fraction"] == 0
        assert "annotators/folder --output_dir" in said
        assert "strategy" not in overlay  # the first query needs none, and the next ones have a network
        listed, pool, _ = pool_of(file)
        assert listed.classes == ("background", "liver", "spleen")
        assert listed.label_values == {0: 0, 1: 1, 2: 2}
        assert all(item.label is None and item.split == "train" for item in pool)
        said, overlay, _ = init("--overwrite")
        assert overlay["datalist"]["classes"] == ["background", "foreground"]

    def test_patients_as_the_names_suggest_and_as_they_are_told(self, volume, init):
        for name in ("p1_visit1", "p1_visit2", "p2_visit1", "p3_visit1"):
            volume(f"{name}.nii.gz")
        said, overlay, file = init()
        assert "3, by the rule ^(p\\d+), which the names suggest (p1_visit1 -> p1)" in said
        assert pool_of(file)[0].patients == ("p1", "p2", "p3")
        _, overlay, file = init("--overwrite", "--patient", "^(p\\d+_visit[12])$")
        assert overlay["datalist"]["patient"] == "^(p\\d+_visit[12])$"
        assert len(pool_of(file)[0].patients) == 4

    @pytest.mark.parametrize(
        ("low", "more", "kind"),
        [(-1000, (), "CT"), (0, (), "unknown"), (0, ("--modality", "ct"), "CT"), (-1000, ("--modality", "mr"), "MR")],
    )
    def test_modality(self, volume, init, low, more, kind):
        for number in (1, 2, 3):
            case(volume, number, low=low, high=900)
        said, overlay, _ = init(*more)
        assert f"modality  {kind}, told by" in said
        assert overlay["intensity"]["_target_"].endswith("Ranged" if kind == "CT" else "Percentilesd")

    @pytest.mark.parametrize("axis", [0, 1])
    def test_slices_along_another_axis(self, volume, init, axis):
        shape, spacing = [40, 48, 44], [1.0, 1.0, 1.0]
        shape[axis], spacing[axis] = 5, 4.0
        for number in (1, 2, 3):
            volume(f"scan_{number}.nii.gz", shape=tuple(shape), spacing=spacing)
        said, overlay, file = init()
        assert f"slices lie along stored axis {axis}" in said
        assert overlay["datalist"]["slice_axis"] == axis
        assert len(pool_of(file)[0]) == 3 * 5

    def test_files_that_cannot_be_read_are_listed_and_left_out(self, volume, init, tmp_path):
        for number in (1, 2, 3, 4, 5, 6, 7):
            case(volume, number)
        folder = tmp_path / "data"
        (folder / "images/case_1.nii.gz").write_bytes(b"no image")
        (folder / "labels/case_2.nii.gz").write_bytes(b"no label")
        os.truncate(folder / "images/case_3.nii.gz", (folder / "images/case_3.nii.gz").stat().st_size // 2)
        volume("labels/case_4.nii.gz", values=(0, 1), shape=(40, 48, 7))
        said, overlay, file = init()
        left_out = [line for line in said.splitlines() if line.startswith("left out")]
        for number, reason in {1: "cannot be read", 2: "cannot be read", 3: "may be truncated", 4: "has shape"}.items():
            assert sum(f"case_{number}.nii.gz" in line and reason in line for line in left_out) == 1
        assert len(left_out) == 4
        assert overlay["datalist"]["exclude"] == ["case_1", "case_2", "case_3", "case_4"]
        assert pool_of(file)[0].volumes == ("case_5", "case_6", "case_7")

    def test_voxels_that_no_header_tells_are_found_by_reading(self, volume, init):
        for number in range(1, 9):
            case(volume, number)
        values = np.zeros((40, 48, 6), np.float32)
        values[3, 3, 3] = np.nan
        path = volume("images/case_2.nii.gz")
        nibabel.save(nibabel.Nifti1Image(values, np.diag([*SPACING, 1])), path)
        said, overlay, _ = init()
        assert "exclude" not in overlay["datalist"]
        said, overlay, _ = init("--overwrite", "--read")
        assert "NaN or infinite" in said
        assert overlay["datalist"]["exclude"] == ["case_2"]

    def test_paths_that_mean_something_to_a_config(self, volume, init, tmp_path):
        for number in (1, 2, 3):
            case(volume, number)
        odd = "scans @50% #1 \u00e4"
        shutil.move(tmp_path / "data", tmp_path / odd)
        _, _, file = init("--patient", "case_(\\d)$", folder=odd)
        listed, *_ = pool_of(file)
        assert listed.patients == ("1", "2", "3")
        assert listed[0].image == str(tmp_path / odd / "images/case_1.nii.gz")


class TestRefusals:
    @pytest.mark.parametrize("there", [True, False])
    def test_an_overlay_is_not_overwritten(self, volume, init, tmp_path, capsys, there):
        for number in (1, 2, 3):
            case(volume, number)
        file = tmp_path / "mine.yaml"
        if there:
            file.write_text("mine")
            assert main(["init", str(tmp_path / "data"), "--output", str(file)]) == 2
            assert "is there already" in capsys.readouterr().err
            assert file.read_text() == "mine"
        init("--overwrite")
        assert "datalist:" in file.read_text()

    def test_images_of_several_kinds(self, volume, init, tmp_path, capsys):
        for name in ("a", "b", "c"):
            volume(f"{name}_t1.nii.gz")
            volume(f"{name}_t2.nii.gz")
        assert main(["init", str(tmp_path / "data"), "--output", str(tmp_path / "mine.yaml")]) == 2
        assert "--images '*_t2.*': 3" in capsys.readouterr().err
        _, _, file = init("--images", "*_t2.*")
        assert pool_of(file)[0].volumes == ("a_t2", "b_t2", "c_t2")

    def test_labels_that_belong_to_no_image(self, volume, tmp_path, capsys):
        volume("images/a.nii.gz")
        volume("labels/x.nii.gz", values=(0, 1))
        assert main(["init", str(tmp_path / "data"), "--output", str(tmp_path / "mine.yaml")]) == 2
        assert "label without image: labels/x.nii.gz" in capsys.readouterr().err

    def test_a_data_set_with_a_reader_of_its_own(self, picture, tmp_path, capsys):
        picture("JPEGImages/480p/cows/00000.jpg")
        picture("Annotations/480p/cows/00000.png", shape=(20, 30), values=(0, 255))
        assert main(["init", str(tmp_path / "data"), "--output", str(tmp_path / "mine.yaml")]) == 2
        assert "run active_learning davis --dataset_dir" in capsys.readouterr().err

    def test_a_data_set_whose_reader_knows_more(self, picture, init, tmp_path):
        for number in range(1, 5):
            picture(f"ISIC-2017_Training_Data/ISIC_{number:07d}.jpg")
            picture(f"ISIC-2017_Part1_GroundTruth/ISIC_{number:07d}_segmentation.png", (20, 30), (0, 255))
        said, overlay, _ = init("--classes", "background,lesion")
        assert "ISIC-2017_Part1_GroundTruth/ that look like isic, whose overlay of this name knows more of them" in said
        assert overlay["in_channels"] == 3

    def test_too_few_names_of_classes(self, volume, tmp_path, capsys):
        for number in (1, 2):
            case(volume, number)
        command = ["init", str(tmp_path / "data"), "--output", str(tmp_path / "mine.yaml")]
        assert main([*command, "--classes", "background,organ"]) == 2
        assert "the labels hold the values 0, 1, 2" in capsys.readouterr().err
        joined = ["--classes", "background,organ", "--label_values", "{0: 0, 1: 1, 2: 1}"]
        assert main([*command, *joined]) == 0
        assert pool_of(Path(command[-1]))[0].classes == ("background", "organ")
