# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import SimpleInferer
from PIL import Image

from monai_al.data import DataError, VolumeCache, read_volume
from monai_al.datasets import describe, isic
from monai_al.inferers import TrainedNetwork
from monai_al.passes import predict_volume
from monai_al.passes.answer_dice import answer_dice
from monai_al.passes.evaluating import evaluate_items
from monai_al.records import split_by_patient
from monai_al.sources import SliceSource
from monai_al.transforms import PlaneGridd

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "configs" / "datasets" / "isic.yaml"
CONFIGS = ROOT / "bundles" / "active_learning" / "configs"
TRAINING, MASKS = "ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"
SIZE, ORIGINAL = (32, 32), (48, 96)  # as resized copies have it, and as the mask was drawn


@pytest.fixture
def make(tmp_path):
    """Write an image and a mask: a dark lesion on bright skin, of the same share of the view whatever the sizes."""

    def lesion(shape):
        inside = np.zeros(shape, bool)
        inside[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : 3 * shape[1] // 4] = True
        return inside

    def make(number, image=SIZE, mask=SIZE, *, part="Training", truth="Training"):
        name = f"ISIC_{number:07d}"
        for folder in (f"ISIC-2017_{part}_Data", f"ISIC-2017_{truth}_Part1_GroundTruth"):
            (tmp_path / folder).mkdir(exist_ok=True)
        if image is not None:
            inside = lesion(image)
            colours = np.stack([220 - 100 * inside, 170 - 120 * inside, 160 - 120 * inside], axis=-1).astype(np.uint8)
            colours[0, 0, 0] = number % 200  # no two are equal
            path = tmp_path / f"ISIC-2017_{part}_Data" / name
            Image.fromarray(colours).save(path.with_suffix(".jpg"), quality=95)
            Image.fromarray(colours).save(f"{path}_superpixels.png")
        if mask is not None:
            drawn = Image.fromarray(255 * lesion(mask).astype(np.uint8))
            drawn.save(tmp_path / f"ISIC-2017_{truth}_Part1_GroundTruth" / f"{name}_segmentation.png")
        return lesion(mask or image)

    return make


class TestFiles:
    def test_are_paired_and_sorted_by_id(self, make, tmp_path):
        for number in (15295, 2, 10):
            make(number)
        (tmp_path / f"{TRAINING}_metadata.csv").write_text("image_id,age_approximate,sex\n")
        (tmp_path / TRAINING / "._ISIC_0000002.jpg").write_text("")
        pool = isic(tmp_path)
        assert [item.id for item in pool] == ["ISIC_0000002", "ISIC_0000010", "ISIC_0015295"]
        assert pool.volumes == pool.patients == tuple(item.id for item in pool)
        assert pool[0].image == str(tmp_path / TRAINING / "ISIC_0000002.jpg")
        assert pool[0].label == str(tmp_path / MASKS / "ISIC_0000002_segmentation.png")
        assert {(item.slice, item.split) for item in pool} == {(None, "train")}
        assert pool.placeholder_spacing
        assert len(pool.notes) == 1  # nothing but that there are no patients
        assert [item.id for item in isic(tmp_path, item="volume")] == [item.id for item in pool]

    def test_that_are_no_images_of_the_data_set_are_named(self, make, tmp_path):
        make(1)
        Image.new("RGB", (4, 4)).save(tmp_path / TRAINING / "ISIC_12.jpg")
        assert "1 other image files are left out: ISIC-2017_Training_Data/ISIC_12.jpg." in isic(tmp_path).notes

    def test_without_partner(self, make, tmp_path):
        make(1)
        make(2, mask=None)
        make(3, image=None)
        lacking = [
            f"{tmp_path / TRAINING / 'ISIC_0000002.jpg'}: there is no ISIC_0000002_segmentation.png",
            f"{tmp_path / MASKS / 'ISIC_0000003_segmentation.png'}: there is no ISIC_0000003.jpg",
        ]
        with pytest.raises(DataError, match="2 cases are incomplete .*skip_incomplete") as error:
            isic(tmp_path)
        assert str(error.value).splitlines()[1:] == [f"  {line}" for line in lacking]
        pool = isic(tmp_path, skip_incomplete=True)
        assert pool.volumes == ("ISIC_0000001",)
        assert lacking[0] in pool.notes[-1]
        (tmp_path / MASKS / "ISIC_0000003_segmentation.png").unlink()
        assert [item.label is None for item in isic(tmp_path, require_labels=False)] == [False, True]

    def test_that_occur_twice(self, make, tmp_path):
        make(1)
        make(1, part="Resized", truth="Resized")
        with pytest.raises(DataError, match=r"2 files occur more than once; .*\n  ISIC-2017_Resized_Data/ISIC_0000001"):
            isic(tmp_path)

    def test_wrong_folders(self, tmp_path):
        with pytest.raises(DataError, match="no ISIC_0000000.jpg or the like; give the folder that holds ISIC-2017_Tr"):
            isic(tmp_path)

    def test_a_mask_that_is_none(self, make, tmp_path):
        make(1)
        grey = np.full(SIZE, 127, np.uint8)
        Image.fromarray(grey).save(tmp_path / MASKS / "ISIC_0000001_segmentation.png")
        with pytest.raises(DataError, match=r"ISIC_0000001_segmentation\.png: unexpected label values 127"):
            describe(isic(tmp_path))


class TestParts:
    @pytest.fixture
    def three(self, make, tmp_path):
        for number in range(1, 6):
            make(number)
        make(6, part="Validation", truth="Validation")
        make(7, part="Test_v2", truth="Test_v2")
        return tmp_path

    def test_are_those_of_the_folders(self, three):
        pool = isic(three)
        assert [item.split for item in pool] == ["train"] * 5 + ["validation", "test"]
        drawn = split_by_patient(pool, test=0.4, validation=0.2)
        assert [item.split for item in drawn] == [item.split for item in pool]

    def test_that_are_asked_for(self, three, tmp_path):
        train = isic(three, parts=["train"])
        assert {item.split for item in train} == {"train"}
        assert len(split_by_patient(train, test=0.2).part("test")) == 1
        assert isic(three, parts=["test", "validation"]).volumes == ("ISIC_0000006", "ISIC_0000007")
        with pytest.raises(ValueError, match="parts must be some of train, validation, test, got 'training'"):
            isic(three, parts=["training"])
        with pytest.raises(DataError, match=r"holds no image of the test part, but of train; parts are told"):
            isic(three / TRAINING, parts=["test"], require_labels=False)

    def test_drawn_ones_depend_on_ids_and_seed_alone(self, make, tmp_path):
        for number in range(1, 11):
            make(number)
        parts = [split_by_patient(isic(tmp_path), test=0.2, seed=seed).part("test").volumes for seed in (0, 0, 1)]
        assert parts[0] == parts[1] != parts[2]
        assert len(parts[0]) == 2


class TestMasksOfAnotherSize:
    """Images stretched to one size, and masks as they were drawn."""

    @pytest.fixture
    def pool(self, make, tmp_path):
        make(1, SIZE, ORIGINAL)
        make(2)
        make(3, ORIGINAL, SIZE)
        return isic(tmp_path)

    @pytest.fixture
    def cache(self, pool, tmp_path):
        grid = PlaneGridd(["image", "label"], size=(16, 24))
        return VolumeCache(tmp_path / "cache", grid, pool.label_values, False, sizes_tolerated=pool.sizes_tolerated)

    def test_are_told_once(self, pool):
        (told,) = [note for note in pool.notes if "another size" in note]
        assert told.startswith("2 of 3 masks have another size than their image, such as that of ISIC_0000001: ")

    def test_are_seen_where_the_image_shows_the_lesion(self, pool, cache, make):
        cache.prepare(pool)
        for item in pool:
            volume = cache.get(item)
            assert volume.image.shape == (1, 3, 16, 24)
            expected = np.zeros((16, 24), np.uint8)
            expected[4:8, 6:18] = 1
            np.testing.assert_array_equal(volume.label[0], expected)
            dark = volume.image[0].mean(axis=0) < 130
            assert (dark == expected.astype(bool)).mean() > 0.9  # smoothed, and JPEG
            assert volume.valid.all()
        assert cache.get(pool[0]).truth.shape == (1, *ORIGINAL)
        np.testing.assert_array_equal(cache.get(pool[0]).truth[0], make(1, SIZE, ORIGINAL))
        assert cache.get(pool[2]).truth.shape == (1, *SIZE)

    def test_lead_back_to_the_pixels_of_the_mask(self, pool, cache):
        for item in pool:
            volume = cache.get(item)
            assert volume.geometry.stored_shape == (*volume.truth.shape[1:], 1)
            assert volume.geometry.seen().all()
            assert volume.geometry.spacing == (1.0, 1.0, 1.0)
            back = volume.geometry.to_stored(torch.from_numpy(volume.label[:, None].astype(np.float32)))[:, 0] > 0.5
            assert np.count_nonzero(back.numpy() != (volume.truth > 0)) <= 4  # the corners, which are interpolated
            of_image = cache.get(replace(item, label=None)).geometry
            assert of_image.stored_shape[:2] == read_volume(item.image).image.shape[1:3]

    def test_are_scored_on_the_pixels_of_the_mask(self, pool, cache):
        class Dark(torch.nn.Module):
            def forward(self, x):
                return torch.cat([x.mean(1, keepdim=True) - 130, 130 - x.mean(1, keepdim=True)], dim=1)

        source = SliceSource(pool, cache)
        trained = TrainedNetwork(Dark(), torch.device("cpu"), SimpleInferer(), "softmax")
        scores = evaluate_items(source, trained, list(pool))
        assert len(scores["dice_3d"]["per_volume"]) == 3
        assert 0.8 < scores["dice_3d"]["mean"] < 1
        assert answer_dice(source, trained, list(pool))["mean"] == pytest.approx(scores["dice_3d"]["mean"])
        assert predict_volume(source, trained, pool[0]).shape == (*SIZE, 1)  # what people get lies on the image
        assert predict_volume(source, trained, pool[0], on_label=True).shape == (*ORIGINAL, 1)

    def test_are_refused_elsewhere(self, pool, tmp_path):
        options = {"label_values": pool.label_values}
        with pytest.raises(DataError, match=r"has shape \(32, 32, 1\) but its label .* has \(48, 96, 1\)"):
            read_volume(pool[0].image, pool[0].label, **options)
        with pytest.raises(DataError, match="store both on one grid"):
            VolumeCache(tmp_path / "cache", PlaneGridd(["image", "label"], size=(16, 16)), **options).get(pool[0])
        with pytest.raises(DataError, match="lies where the image lies"):  # nothing brings them together
            VolumeCache(tmp_path / "cache", None, **options, sizes_tolerated=True).get(pool[0])

    def test_that_are_turned_against_the_image_are_refused(self, make, tmp_path):
        make(1, ORIGINAL, ORIGINAL[::-1])
        with pytest.raises(DataError, match=r"has shape \(48, 96, 1\) but its label .* has \(96, 48, 1\)"):
            describe(isic(tmp_path))

    def test_volumes_of_other_sizes_stay_errors(self, write):
        image, label = write("image.nii.gz", (4, 5, 3)), write("label.nii.gz", (4, 6, 3))
        with pytest.raises(DataError, match="store both on one grid"):
            read_volume(image, label, label_values={0: 0}, sizes_tolerated=True)


def training(root, **options):
    parser = ConfigParser(ConfigParser.load_config_files([CONFIGS / "train.yaml", OVERLAY]))
    parser.update({"dataset_dir": str(root), **options})
    return parser


@pytest.mark.parametrize("colours", ["grey", "rgb"])
def test_the_overlay_s_preprocessing(make, tmp_path, colours):
    for number in range(1, 6):
        make(number, (96, 128), (96, 128))
    parser = training(tmp_path, colours=colours, image_size=[32, 64], test_fraction=0.2)
    channels = {"grey": 1, "rgb": 3}[colours]
    assert parser.get_parsed_content("in_channels") == channels
    pool = parser.get_parsed_content("pool")
    assert len(pool.part("test")) == 1
    cache = VolumeCache(tmp_path / "cache", parser.get_parsed_content("preprocessing"), pool.label_values)
    volume = cache.get(pool[0])
    assert volume.image.shape == (1, channels, 32, 64)
    assert (volume.image.min(), volume.image.max()) == (0, 1)
    inside, outside = volume.image[0, :, 12, 32], volume.image[0, :, 25, 32]
    skin, lesion = np.array([220, 170, 160]), np.array([120, 50, 40])
    weights = np.array([[0.299, 0.587, 0.114]]) if colours == "grey" else np.eye(3)
    low, high = (f(weights @ c) for f, c in ((np.min, lesion), (np.max, skin)))
    np.testing.assert_allclose(inside, (weights @ lesion - low) / (high - low), atol=0.06)  # smoothed, and JPEG
    np.testing.assert_allclose(outside, (weights @ skin - low) / (high - low), atol=0.06)


class TestRealData:
    def test_counts(self, real_data):
        pool = isic(real_data("ISIC2017"))
        assert len(pool) == len(pool.patients) == 1200
        assert not any("another size" in note for note in pool.notes)

    @pytest.mark.nightly
    def test_content(self, real_data):
        summary = describe(isic(real_data("ISIC2017")))
        assert summary["channels"] == [3]
        assert summary["shape"] == [[256, 256, 1]] * 2
        assert summary["items_without_foreground"] == 0
        assert 0.18 < summary["class_share"]["lesion"] < 0.20


@pytest.mark.nightly
@pytest.mark.parametrize("colours", ["grey", "rgb"])
def test_two_rounds(make, tmp_path, one_thread, caplog, colours):
    for number in range(1, 9):
        make(number, SIZE, ORIGINAL if number % 2 else SIZE)
    with caplog.at_level(logging.INFO):
        monai.bundle.run(
            config_file=[str(CONFIGS / "active_learning.yaml"), str(OVERLAY)],
            dataset_dir=str(tmp_path),
            output_dir=str(tmp_path / "run"),
            colours=colours,
            image_size=[32, 32],
            channels=[4, 8],
            rounds=2,
            budget=2,
            steps=4,
            progress=False,
        )
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["labeled"] == 4
    assert metrics["dice_query"]["items"] == 2
    assert metrics["dice_3d"]["mean"] is not None
    assert metrics["hd95_3d"]["spacing_is_placeholder"]
