# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from monai_al.data import DataError, VolumeCache, read_volume, split_by_patient
from monai_al.datasets import davis, describe

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "configs" / "datasets" / "davis.yaml"
TRAIN = ROOT / "bundles" / "active_learning" / "configs" / "train.yaml"
FRAMES, MASKS = "JPEGImages/480p", "Annotations/480p"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "DAVIS"


@pytest.fixture
def make(home):
    """Write a sequence: a bright square that moves over a dark frame, and its masks."""

    def make(name, n_frames=3, *, shape=(12, 20), mask="grey"):
        for part in (FRAMES, MASKS):
            (home / part / name).mkdir(parents=True)
        for k in range(n_frames):
            square = np.zeros(shape, bool)
            square[2:7, 2 + k : 8 + k] = True
            frame = np.stack([200 * square, 40 + 100 * square, np.full(shape, 20)], axis=-1).astype(np.uint8)
            Image.fromarray(frame).save(home / FRAMES / name / f"{k:05d}.jpg", quality=95)
            picture = Image.fromarray((k % 2 + 1 if mask == "palette" else 255) * square.astype(np.uint8))
            if mask == "palette":
                picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
            elif mask == "rgb":
                picture = picture.convert("RGB")
            picture.save(home / MASKS / name / f"{k:05d}.png")
        return square

    return make


@pytest.fixture
def write_list(home):
    def write_list(part, names, *, frames=None, folder="480p"):
        lines = names
        if frames is not None:
            lines = [f"/{FRAMES}/{n}/{k:05d}.jpg /{MASKS}/{n}/{k:05d}.png" for n in names for k in range(frames)]
        path = home / "ImageSets" / folder / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")

    return write_list


def parts(pool):
    return {split: pool.part(split).volumes for split in ("train", "validation", "test")}


class TestSequences:
    def test_are_volumes_and_patients(self, make, home):
        make("libby", 12)
        make("bear")
        (home / FRAMES / "._bear").mkdir()
        (home / FRAMES / "README.txt").write_text("text")
        for root in (home, home.parent):
            pool = davis(root)
            assert pool.volumes == pool.patients == ("bear", "libby")
            assert [item.id for item in pool][2:5] == ["bear/0002", "libby/0000", "libby/0001"]
            assert len(pool) == 15
            assert pool[0].image == str(home / FRAMES / "bear")
            assert pool[0].label == str(home / MASKS / "bear")
            assert pool.classes == ("background", "object")
            assert pool.placeholder_spacing
        assert "any sequence may be annotated" in pool.notes[1]
        assert {item.split for item in pool} == {"train"}
        assert [item.id for item in davis(home, item="volume")] == ["bear", "libby"]

    def test_frames_are_not_decoded_to_be_listed(self, make, home):
        make("bear")
        for k in (1, 2):
            (home / FRAMES / "bear" / f"{k:05d}.jpg").write_bytes(b"no picture")
        assert len(davis(home)) == 3
        with pytest.raises(DataError, match=r"00001\.jpg: cannot be read"):
            describe(davis(home))

    def test_chosen_ones(self, make, home):
        for name in ("a", "b", "c"):
            make(name)
        pool = davis(home, sequences=["c", "a"])
        assert pool.volumes == ("a", "c")
        assert "1 other sequences are left out: b." in pool.notes
        with pytest.raises(DataError, match=r"sequences: 1 names .*\n  d$"):
            davis(home, sequences=["a", "d"])

    def test_wrong_folders(self, home, tmp_path):
        with pytest.raises(DataError, match="holds 0 folders with JPEGImages/480p, .*; give the folder DAVIS$"):
            davis(tmp_path)
        for name in ("one", "two"):
            (tmp_path / name / FRAMES).mkdir(parents=True)
        with pytest.raises(DataError, match=r"holds 2 folders .*DAVIS: one of .*one, .*two"):
            davis(tmp_path)
        with pytest.raises(DataError, match="no images found"):
            davis(tmp_path / "one")

    def test_frames_and_masks_that_differ(self, make, home):
        for name in ("a", "b", "c", "d", "e", "f"):
            make(name, 12)
        (home / MASKS / "a/00003.png").unlink()
        (home / MASKS / "a/00010.png").unlink()
        (home / FRAMES / "b/00000.jpg").unlink()
        (home / MASKS / "c/00011.png").unlink()
        (home / MASKS / "d/00010.png").rename(home / MASKS / "d/00100.png")
        for path in (home / FRAMES / "e").iterdir():
            path.unlink()
        with pytest.raises(DataError, match="5 cases are incomplete") as error:
            davis(home)
        for line in (
            "a: 12 frames and 10 masks; the first that differs is 00003, which has no mask",
            "b: 11 frames and 12 masks; the first that differs is 00000, which is a mask without a frame",
            "c: 12 frames and 11 masks; the first that differs is 00011, which has no mask",
            "d: 12 frames and 12 masks; the first that differs is 00010, which has no mask",
            f"e: there are no frames in {home / FRAMES / 'e'}",
        ):
            assert f"\n  {line}" in str(error.value)
        pool = davis(home, skip_incomplete=True)
        assert pool.volumes == ("f",)
        assert pool.notes[-1].startswith("5 incomplete cases are left out: a: 12 frames")

    def test_without_masks(self, make, home):
        make("a")
        for path in (home / MASKS / "a").iterdir():
            path.unlink()
        with pytest.raises(DataError, match="a: 3 frames and 0 masks"):
            davis(home)
        assert {item.label for item in davis(home, require_labels=False)} == {None}


class TestLists:
    @pytest.mark.parametrize("frames", [3, None])
    def test_both_text_forms(self, make, home, write_list, frames):
        for name in ("a", "b", "c", "d", "e", "f", "stranger"):
            make(name)
        write_list("train", ["b", "a"], frames=frames)
        write_list("val", ["c", "d", "e", "f"], frames=frames)
        pool = davis(home)
        assert pool.volumes == ("a", "b", "c", "d", "e", "f")
        assert "1 other sequences are left out: stranger." in pool.notes
        found = parts(pool)
        assert found["train"] == ("a", "b")
        assert (len(found["validation"]), len(found["test"])) == (1, 3)
        assert parts(split_by_patient(pool, test=0.5, validation=0.5)) == found
        assert parts(davis(home, validation=0))["test"] == ("c", "d", "e", "f")
        seeds = {parts(davis(home, seed=seed))["validation"] for seed in range(20)}
        assert seeds == {("c",), ("d",), ("e",), ("f",)}
        assert parts(davis(home, sequences=["a", "stranger"])) == {
            "train": ("a", "stranger"), "validation": (), "test": (),
        }  # fmt: skip

    def test_five_of_twenty_for_validation(self, make, home, write_list):
        names = [f"s{k}" for k in range(20)]
        for name in names:
            make(name, 1)
        write_list("val", names, folder="2016")
        found = parts(davis(home))
        assert (len(found["validation"]), len(found["test"])) == (5, 15)

    def test_listed_and_absent(self, make, home, write_list):
        make("a")
        make("b")
        write_list("train", ["a", "gone"], frames=3)
        write_list("val", ["b"], frames=5)
        with pytest.raises(
            DataError,
            match=r"2 cases .*\n  b: 2 frames of the list are not there: 00003, 00004\n  gone: there are no frames in",
        ):
            davis(home)

    def test_in_both_or_empty(self, make, home, write_list):
        make("a")
        write_list("train", ["a"])
        write_list("val", ["a"])
        with pytest.raises(DataError, match=r"a stand in train\.txt and in val\.txt"):
            davis(home)
        write_list("train", [""])
        write_list("val", [""])
        with pytest.raises(DataError, match="name no sequence"):
            davis(home)

    @pytest.mark.parametrize("validation", [1, -0.1, float("nan")])
    def test_bad_share(self, home, validation):
        with pytest.raises(ValueError, match=r"validation must lie in \[0, 1\)"):
            davis(home, validation=validation)


@pytest.mark.parametrize("mask", ["grey", "palette", "rgb"])
def test_masks(make, home, mask):
    square = make("a", 4, mask=mask)
    pool = davis(home)
    volume = read_volume(pool[0].image, pool[0].label, label_values=pool.label_values)
    assert volume.image.shape == (3, 12, 20, 4)
    np.testing.assert_array_equal(volume.label[:, :, 3], square)
    assert [int(volume.label[:, :, k].argmax(axis=1).max()) for k in range(4)] == [2, 3, 4, 5]
    inside = volume.image[:, 4, 8, 3]
    np.testing.assert_allclose(inside, [200, 140, 20], atol=12)  # JPEG
    assert volume.placeholder_spacing


def test_grey_values_and_colours_are_no_masks(make, home):
    make("a")
    Image.fromarray(np.full((12, 20), 90, np.uint8)).save(home / MASKS / "a/00001.png")
    with pytest.raises(DataError, match="unexpected label values 90"):
        describe(davis(home))
    colours = np.zeros((12, 20, 3), np.uint8)
    colours[3, 3] = (255, 0, 0)
    Image.fromarray(colours).save(home / MASKS / "a/00001.png")
    with pytest.raises(DataError, match=r"00001\.png: a label in colours"):
        describe(davis(home))


def test_the_overlay_s_preprocessing(make, home, tmp_path):
    square = make("a", 4)
    parser = ConfigParser(ConfigParser.load_config_files([TRAIN, OVERLAY]))
    parser.update({"dataset_dir": str(home), "split_seed": 0, "pool": "@datalist"})
    assert parser.get_parsed_content("in_channels") == 3
    pool = parser.get_parsed_content("datalist")
    cache = VolumeCache(tmp_path / "cache", parser.get_parsed_content("preprocessing"), pool.label_values)
    volume = cache.get(pool[3])
    assert volume.image.shape == (4, 3, 144, 256)
    assert volume.geometry.keeps_slices
    row, column = 144 * 4 // 12, 256 * 8 // 20
    np.testing.assert_allclose(volume.image[3, :, row, column], [200 / 255, 140 / 255, 20 / 255], atol=0.05)
    assert 0 <= volume.image.min() < volume.image.max() <= 1
    assert volume.label[3].mean() == pytest.approx(square.mean(), abs=0.01)


class TestRealData:
    def test_counts(self, real_data):
        pool = davis(real_data("DAVIS"))
        assert {name: sum(item.volume == name for item in pool) for name in pool.volumes} == {
            "blackswan": 50, "libby": 49,
        }  # fmt: skip

    @pytest.mark.nightly
    def test_content(self, real_data):
        summary = describe(davis(real_data("DAVIS"), sequences=["libby"]))
        assert summary["channels"] == [3]
        assert summary["shape"] == [[480, 854, 49]] * 2
        assert summary["spacing"] is None
        assert summary["items_without_foreground"] == 0
        assert 0.019 < summary["class_share"]["object"] < 0.215


@pytest.mark.nightly
def test_two_rounds(make, home, tmp_path, one_thread):
    for name in ("a", "b", "c"):
        make(name, 4)
    monai.bundle.run(
        config_file=[str(ROOT / "bundles/selective_uncertainty_spleen/configs/active_learning.yaml"), str(OVERLAY)],
        dataset_dir=str(home),
        output_dir=str(tmp_path / "run"),
        image_size=[32, 32],
        rounds=2,
        budget=3,
        steps=2,
        progress=False,
    )
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["labeled"] == 6
    assert metrics["hd95_3d"]["spacing_is_placeholder"]
    pool = json.loads((tmp_path / "run" / "pool.json").read_text())
    assert set(pool["files"]) == {f"{part}/{name}" for part in (FRAMES, MASKS) for name in ("a", "b", "c")}
