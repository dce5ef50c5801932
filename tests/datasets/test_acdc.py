# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_al.cli import main
from monai_al.data import NOT_ANNOTATED, DataError, VolumeCache, read_volume, split_by_patient
from monai_al.datasets import acdc, describe

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "configs" / "datasets" / "acdc.yaml"
TRAIN = ROOT / "bundles" / "active_learning" / "configs" / "train.yaml"
SHAPE = (9, 8, 4)
ED = ("ED",)


@pytest.fixture
def make(write):
    """Write one patient: a random image, and a mask and a scribble of all their values, for each frame."""

    def make(number, frames=(1, 12), *, part="training", info=None, shape=SHAPE, kinds=("", "_gt", "_scribble")):
        name = f"patient{number:03d}"
        rng = np.random.default_rng(number)
        for frame in frames:
            arrays = {"": rng.integers(0, 1000, shape), "_gt": rng.integers(0, 4, shape)}
            arrays["_scribble"] = np.where(rng.random(shape) < 0.2, arrays["_gt"], 4)
            for kind in kinds:
                kind_type = np.int16 if kind == "" else np.uint16
                write(f"database/{part}/{name}/{name}_frame{frame:02d}{kind}.nii.gz", arrays[kind], kind_type)
        if info is not None:
            path = write(f"database/{part}/{name}/{name}_4d.nii.gz", (4, 4, 2, 3)).parent
            ed, es = info
            (path / "Info.cfg").write_text(f"ED: {ed}\nES: {es}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95\n")
        return name

    return make


@pytest.fixture
def database(tmp_path):
    return tmp_path / "database"


def parts(pool):
    return {split: pool.part(split).patients for split in ("train", "validation", "test")}


class TestVolumes:
    @pytest.mark.parametrize("place", [".", "database", "database/training"])
    def test_where_the_root_may_be(self, make, tmp_path, place):
        make(1, info=(1, 12))
        make(10, (1, 2))
        make(2, (6, 10))
        pool = acdc(tmp_path / place)
        assert pool.volumes == (
            "patient001_frame01", "patient001_frame12", "patient002_frame06", "patient002_frame10",
            "patient010_frame01", "patient010_frame02",
        )  # fmt: skip
        assert pool.patients == ("patient001", "patient002", "patient010")
        assert pool.classes == ("background", "right ventricle", "myocardium", "left ventricle")
        assert pool.label_values == {0: 0, 1: 1, 2: 2, 3: 3}
        assert [item.id for item in pool][:5] == [
            *(f"patient001_frame01/{z:04d}" for z in range(4)),
            "patient001_frame12/0000",
        ]
        assert pool[4].image.endswith("training/patient001/patient001_frame12.nii.gz")
        assert pool[4].label == pool[4].image.replace(".nii", "_gt.nii")
        assert {item.split for item in pool} == {"train"}

    def test_whole_volumes_and_more_than_nine_slices(self, make, database):
        make(1, shape=(4, 4, 12))
        assert [item.id for item in acdc(database, item="volume")] == ["patient001_frame01", "patient001_frame12"]
        ids = [item.id for item in acdc(database, phases=ED)]
        assert ids == [f"patient001_frame01/{z:04d}" for z in range(12)]

    def test_clutter_and_strangers(self, make, database, write):
        make(1)
        write("database/training/patient001/._patient001_frame01.nii.gz")
        write("database/training/patient001/patient001_frame01_prediction.nii.gz")
        (database / "MANDATORY_CITATION.md").write_text("cite")
        pool = acdc(database)
        assert len(pool) == 8
        assert pool.notes[-1].endswith("left out: training/patient001/patient001_frame01_prediction.nii.gz.")

    def test_one_frame_twice(self, make, database):
        make(1)
        make(1, part="copy")
        with pytest.raises(DataError, match=r"6 files occur more than once.*\n.*copy.* and .*training"):
            acdc(database)

    def test_all_missing_files_are_listed(self, make, database):
        make(1)
        make(2)
        make(3)
        training = database / "training"
        (training / "patient001/patient001_frame12_gt.nii.gz").unlink()
        (training / "patient002/patient002_frame01.nii.gz").unlink()
        with pytest.raises(
            DataError,
            match=r"2 cases are incomplete .*\n.*patient001: there is no patient001_frame12_gt\.nii\.gz\n"
            r".*patient002: there is no patient002_frame01\.nii\.gz, but its label$",
        ):
            acdc(database)
        pool = acdc(database, skip_incomplete=True)
        assert pool.volumes == (
            "patient001_frame01", "patient002_frame12", "patient003_frame01", "patient003_frame12",
        )  # fmt: skip
        with pytest.raises(DataError, match="1 cases are incomplete"):
            acdc(database, require_labels=False)
        (training / "patient002/patient002_frame01_gt.nii.gz").unlink()
        (training / "patient002/patient002_frame01_scribble.nii.gz").unlink()
        with pytest.raises(DataError, match="has 1 frames"):
            acdc(database, require_labels=False)

    @pytest.mark.parametrize("files", [[], ["patient001_4d.nii.gz"], ["patient001_frame01_gt.nii.gz"]])
    def test_no_frames(self, write, tmp_path, files):
        (tmp_path / "database").mkdir()
        for name in files:
            write(f"database/{name}")
        with pytest.raises(DataError, match=r"holds no patientNNN_frameNN\.nii\.gz"):
            acdc(tmp_path / "database")

    @pytest.mark.parametrize(
        "options", [{"labels": "mask"}, {"phases": "ED"}, {"phases": ["ed"]}, {"phases": []}, {"item": "patient"},
                    {"scribble_folder": "."}]
    )  # fmt: skip
    def test_unknown_options(self, make, database, options):
        make(1)
        with pytest.raises(ValueError, match=f"^{next(iter(options))} "):
            acdc(database, **options)


class TestPhases:
    def test_the_earlier_frame_without_info(self, make, database):
        make(90, (11, 4))
        make(1, (1, 12))
        pool = acdc(database, phases=ED)
        assert pool.volumes == ("patient001_frame01", "patient090_frame04")
        assert acdc(database, phases=["ES"]).volumes == ("patient001_frame12", "patient090_frame11")
        assert pool.notes == (
            "Without Info.cfg the earlier frame is taken as end-diastole: 2 patients.",
            "Only end-diastole.",
        )

    def test_info_decides(self, make, database):
        make(1, (3, 9), info=(9, 3))
        make(2, (1, 5, 8), info=(1, 8))
        assert acdc(database, phases=ED).volumes == ("patient001_frame09", "patient002_frame01")
        pool = acdc(database)
        assert pool.volumes[2:] == ("patient002_frame01", "patient002_frame08")
        assert pool.notes == ("1 frames of neither phase are left out: patient002_frame05.",)

    def test_unknown_phases(self, make, database):
        make(1, (1, 5, 8))
        make(2, (1, 8), info=(1, 9))
        make(3, (1, 8), info=(1, "later"))
        make(4, (1, 8))
        with pytest.raises(
            DataError,
            match=r"3 cases .*\n.*patient001: has 3 frames \(1, 5, 8\) and no Info\.cfg.*\n"
            r".*patient002: Info\.cfg names frame 9 \(end-systole\), which is not there\n"
            r".*patient003/Info\.cfg: needs the two frame numbers",
        ):
            acdc(database)
        assert acdc(database, skip_incomplete=True).patients == ("patient004",)


class TestParts:
    def test_testing_part(self, make, database):
        for number in (1, 80, 81, 100):
            make(number)
        make(101, part="testing", kinds=("", "_gt"))
        pool = acdc(database)
        expected = {
            "train": ("patient001", "patient080"), "validation": ("patient081", "patient100"), "test": ("patient101",),
        }  # fmt: skip
        assert parts(pool) == expected
        assert parts(split_by_patient(pool, test=0.5, validation=0.5, seed=3)) == expected
        assert parts(acdc(database / "testing"))["test"] == ("patient101",)
        chosen = acdc(database, validation_patients=["patient001"], test_patients=["patient081"])
        assert parts(chosen) == {
            "train": ("patient080", "patient100"),
            "validation": ("patient001",),
            "test": ("patient081", "patient101"),
        }
        assert parts(acdc(database, validation_patients=[]))["validation"] == ()

    def test_the_other_part_is_drawn(self, make, database):
        for number in range(1, 9):
            make(number)
        pool = split_by_patient(acdc(database, test_patients=["patient003"]), test=0.9, validation=0.3, seed=1)
        found = parts(pool)
        assert found["test"] == ("patient003",)
        assert len(found["validation"]) == 2
        assert sorted(sum(found.values(), ())) == sorted(pool.patients)
        with pytest.raises(ValueError, match="0 test and 7 validation patients"):
            split_by_patient(acdc(database, test_patients=["patient003"]), validation=0.95)

    def test_unknown_and_contradicting_patients(self, make, database):
        make(1)
        with pytest.raises(DataError, match=r"test_patients: 2 names .*\n  patient002\n  patient1"):
            acdc(database, test_patients=["patient1", "patient001", "patient002"])
        with pytest.raises(ValueError, match="patient001: is a patient of the validation part and of the test part"):
            acdc(database, validation_patients=["patient001"], test_patients=["patient001"])


class TestScribbles:
    def test_which_items_get_them(self, make, database):
        make(1)
        make(2)
        make(90, (4, 11), kinds=("", "_gt"))
        pool = acdc(database, labels="scribbles", test_patients=["patient090"])
        assert pool.label_values == {0: 0, 1: 1, 2: 2, 3: 3, 4: NOT_ANNOTATED}
        kind_of = {item.patient: item.label.rsplit("_", 1)[1] for item in pool}
        assert kind_of == {"patient001": "scribble.nii.gz", "patient002": "scribble.nii.gz", "patient090": "gt.nii.gz"}
        assert {item.split for item in pool if item.label.endswith("_gt.nii.gz")} == {"test"}
        assert split_by_patient(pool, test=0.4).items == pool.items

    def test_their_values(self, make, database):
        make(1)
        pool = acdc(database, labels="scribbles", test_patients=[])
        assert "do not score" in pool.notes[1]
        for item in acdc(database, labels="scribbles", test_patients=[], item="volume"):
            mask = read_volume(item.image, item.label.replace("scribble", "gt"), label_values=pool.label_values).label
            label = read_volume(item.image, item.label, label_values=pool.label_values).label
            drawn = label != NOT_ANNOTATED
            assert 0.1 < drawn.mean() < 0.3
            np.testing.assert_array_equal(label[drawn], mask[drawn])
            assert set(np.unique(label)) == {0, 1, 2, 3, NOT_ANNOTATED}
        summary = describe(pool)
        assert 0.7 < summary["not_annotated_share"] < 0.9

    def test_a_folder_of_their_own(self, make, database, tmp_path):
        make(1, kinds=("", "_gt"))
        make(1, part="../scribbles", kinds=("_scribble",))
        make(2, part="../scribbles", kinds=("_scribble",))
        with pytest.raises(DataError, match=r"there is no patient001_frame01_scribble\.nii\.gz"):
            acdc(database, labels="scribbles", test_patients=[])
        (tmp_path / "scribbles/__MACOSX").mkdir()
        (tmp_path / "scribbles/__MACOSX/._patient001_frame01_scribble.nii.gz").write_bytes(b"Mac")
        options = {"labels": "scribbles", "test_patients": [], "scribble_folder": tmp_path / "scribbles"}
        with pytest.raises(DataError, match=r"patient002: there is no patient002_frame01\.nii\.gz, but its label"):
            acdc(database, **options)
        pool = acdc(database, skip_incomplete=True, **options)
        assert pool.patients == ("patient001",)
        assert pool[0].label == str(tmp_path / "scribbles/patient001/patient001_frame01_scribble.nii.gz")

    def test_nobody_to_score_on(self, make, database):
        make(1)
        with pytest.raises(DataError, match="scribbles are no labels to score on. Name the patients"):
            acdc(database, labels="scribbles")
        make(101, part="testing", kinds=("", "_gt"))
        assert parts(acdc(database, labels="scribbles"))["test"] == ("patient101",)

    def test_values_that_are_not_theirs(self, make, database, write):
        names = [make(number) for number in range(1, 6)]
        folders = [database / "training" / name for name in names]
        place = "database/training/patient{0:03d}/patient{0:03d}_frame01{1}.nii.gz"
        write(place.format(1, "_scribble"), np.arange(4).reshape(2, 2, 1) + np.zeros(SHAPE[2], int))
        write(place.format(2, "_scribble"), np.full(SHAPE, 5))
        write(place.format(3, "_scribble"), np.full(SHAPE, 1.5), np.float32)
        write(place.format(4, "_gt"), np.full(SHAPE, 4))
        with pytest.raises(DataError, match="4 label files cannot be used") as error:
            acdc(database, labels="scribbles", test_patients=["patient004"])
        for folder, text in zip(
            folders,
            (
                "_scribble.nii.gz: is said to be a scribble, but nothing in it is marked 4",
                "_scribble.nii.gz: unexpected label values 5; expected [0, 1, 2, 3, 4]",
                "_scribble.nii.gz: label value 1.5 is not a whole number",
                "_gt.nii.gz: unexpected label values 4; expected [0, 1, 2, 3]; 4 marks what a scribble leaves out",
            ),
            strict=False,
        ):
            assert f"{folder}/{folder.name}_frame01{text}" in str(error.value)
        with pytest.raises(DataError, match="patient004_frame01_gt.nii.gz: unexpected label values 4"):
            describe(acdc(database))

    def test_another_shape_than_the_image(self, make, database, write):
        make(1)
        write("database/training/patient001/patient001_frame01_scribble.nii.gz", np.full((9, 8, 3), 4))
        with pytest.raises(DataError, match=r"has shape \(9, 8, 4\) but its label .*scribble\.nii\.gz has \(9, 8, 3\)"):
            describe(acdc(database, labels="scribbles", test_patients=[]))


def test_command(make, database, capsys):
    make(1)
    make(2)
    command = ["datalist", "acdc", "--dataset_dir", str(database), "--labels", "scribbles", "--phases", "ED"]
    assert main([*command, "--test_patients", "patient002", "--test_fraction", "0.9"]) == 0
    text = capsys.readouterr().out
    assert "train      1 patients, 1 volumes, 4 items\ntest       1 patients, 1 volumes, 4 items" in text
    assert "% of all voxels are not annotated" in text
    assert main(command) == 2
    assert "scribbles are no labels to score on" in capsys.readouterr().err


def test_the_overlay_s_preprocessing(make, database, tmp_path):
    make(1, shape=(40, 30, 5))
    pool = acdc(database)

    def cached(**options):
        parser = ConfigParser(ConfigParser.load_config_files([TRAIN, OVERLAY]))
        parser.update({"pool": pool, **options})
        cache = VolumeCache(tmp_path / "cache", parser.get_parsed_content("preprocessing"), pool.label_values)
        return cache.get(pool[0])

    stored = read_volume(pool[0].image).image[0]
    clipped = np.clip(stored, None, np.percentile(stored, 99))
    expected = (clipped - clipped.min()) / np.ptp(clipped)
    np.testing.assert_allclose(
        cached(image_size=[40, 30], spacing=None).image[:, 0].transpose(1, 2, 0), expected, atol=1e-5
    )
    volume = cached()
    assert volume.image.shape == (5, 1, 96, 96)
    np.testing.assert_allclose(np.linalg.norm(volume.geometry.affine[:3, :2], axis=0), 1.8, rtol=0.03)
    assert volume.geometry.keeps_slices
    volume = cached(image_size=[256, 256], spacing=None)
    back = volume.geometry.to_stored(torch.from_numpy(volume.label[:, None] == 2).float())
    np.testing.assert_array_equal(back[:, 0] > 0.5, volume.truth == 2)


class TestRealData:
    def test_counts(self, real_data):
        pool = acdc(real_data("ACDC"))
        assert (len(pool.patients), len(pool.volumes), len(pool)) == (60, 120, 1148)
        assert all(item.label for item in pool)

    def test_the_patient_whose_first_frame_is_not_01(self, real_data):
        place = real_data("ACDC") / "database/training/patient090"
        if not place.is_dir():
            pytest.skip("patient090 is not here")
        assert acdc(place, phases=ED).volumes == ("patient090_frame04",)
        assert acdc(place, phases=["ES"]).volumes == ("patient090_frame11",)

    def test_the_left_ventricle_is_larger_at_end_diastole(self, real_data):
        volumes = {}
        for phase in ("ED", "ES"):
            for item in acdc(real_data("ACDC"), phases=[phase], item="volume").items[:16]:
                label = read_volume(item.image, item.label, label_values={n: n for n in range(4)}).label
                volumes[item.patient, phase] = int((label == 3).sum())
        for patient, _ in volumes:
            assert volumes[patient, "ED"] > volumes[patient, "ES"]

    def test_scribbles(self, real_data):
        place = real_data("ACDC") / "database" / "training"
        some = sorted(path for path in place.iterdir())[:4]
        pools = [acdc(path, labels="scribbles", test_patients=[]) for path in some]
        for pool in pools:
            summary = describe(pool)
            assert 0.95 < summary["not_annotated_share"] < 1
            assert summary["class_share"]["background"] < 0.8


def test_two_rounds(make, database, tmp_path, one_thread):
    for number in range(1, 5):
        make(number, shape=(20, 18, 4))
    monai.bundle.run(
        config_file=[str(ROOT / "bundles/selective_uncertainty_spleen/configs/active_learning.yaml"), str(OVERLAY)],
        dataset_dir=str(database),
        output_dir=str(tmp_path / "run"),
        image_size=[32, 32],
        **{"datalist#labels": "scribbles", "datalist#test_patients": ["patient002"]},
        rounds=2,
        budget=3,
        steps=2,
        progress=False,
    )
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["labeled"] == 6
    assert list(metrics["dice_3d"]["per_volume"]) == ["patient002_frame01", "patient002_frame12"]
