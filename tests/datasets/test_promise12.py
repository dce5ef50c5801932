# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser

from monai_al.data import DataError, SliceDataset, VolumeCache, read_volume
from monai_al.datasets import describe, promise12

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "configs" / "datasets" / "promise12.yaml"
TRAIN = ROOT / "bundles" / "active_learning" / "configs" / "train.yaml"
# the directions of the three axes, one after another, as the header has them
OBLIQUE = ((0.997, -0.015, 0.070), (0.0, 0.978, 0.209), (-0.072, -0.208, 0.9754))
STRAIGHT = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
SPACING = (0.625, 0.625, 3.6)
NOISY = (0.6250000034, 0.6249998, 3.60001)
OFFSET = (-99.1, -110.25, 20.3)
SHAPE = (12, 10, 6)  # x, y, z


def write_raw_pair(path, values, *, spacing=SPACING, axes=OBLIQUE, offset=OFFSET):
    """A MetaImage header as text and its voxels; the values are ``(x, y, z)``."""
    kind = {"int16": "MET_SHORT", "int8": "MET_CHAR", "uint8": "MET_UCHAR"}[values.dtype.name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".raw").write_bytes(values.tobytes(order="F"))
    path.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        f"TransformMatrix = {' '.join(str(n) for axis in axes for n in axis)}\n"
        f"Offset = {' '.join(map(str, offset))}\nCenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
        f"ElementSpacing = {' '.join(map(str, spacing))}\nDimSize = {' '.join(map(str, values.shape))}\n"
        f"ElementType = {kind}\nElementDataFile = {path.with_suffix('.raw').name}\n"
    )
    return path


def make_case(folder, number, *, label=True, shape=SHAPE, axes=OBLIQUE, values=(0, 1), dtype=np.int8):
    """A bright ball in noise, with the ball as its label; spacings of image and label differ by rounding noise."""
    rng = np.random.default_rng(number)
    centre = (np.asarray(shape) - 1) / 2 + rng.uniform(-1, 1, 3)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    ball = (((grid - centre) / shape) ** 2).sum(axis=-1) < 0.09
    image = (rng.normal(200, 30, shape) + 300 * ball).astype(np.int16)
    write_raw_pair(folder / f"Case{number:02d}.mhd", image, axes=axes)
    mask = np.asarray(values)[ball.astype(int)].astype(dtype)
    if label:
        write_raw_pair(folder / f"Case{number:02d}_segmentation.mhd", mask, axes=axes, spacing=NOISY)
    return image, mask


@pytest.fixture
def root(tmp_path):
    """The challenge's layout: training cases in two folders, test cases of the same names."""
    folder = tmp_path / "promise12"
    for number, place in {0: "TrainingData_Part1", 2: "TrainingData_Part1", 10: "TrainingData_Part2"}.items():
        make_case(folder / place, number)
    for number in (0, 1):
        make_case(folder / "TestData", number, label=False, axes=STRAIGHT, shape=(8, 8, 4))
    return folder


class TestParts:
    def test_training_part_of_both(self, root):
        pool = promise12(root)
        assert pool.volumes == pool.patients == ("Case00", "Case02", "Case10")
        assert [item.id for item in pool][5:7] == ["Case00/0005", "Case02/0000"]
        assert len(pool) == 18
        assert pool.classes == ("background", "prostate")
        assert pool.label_values == {0: 0, 1: 1}
        assert pool[0].image == str(root / "TrainingData_Part1/Case00.mhd")
        assert pool[0].label == str(root / "TrainingData_Part1/Case00_segmentation.mhd")
        assert pool.notes == ("This is the train part; the 2 cases of the test part are left out.",)
        assert promise12(root, part="train").volumes == pool.volumes
        assert promise12(root / "TrainingData_Part2").volumes == ("Case10",)

    @pytest.mark.parametrize("options", [{"part": "test"}, {}])
    def test_test_part_has_ids_of_its_own(self, root, options):
        place = root if options else root / "TestData"
        with pytest.raises(DataError, match=r"2 cases .*\n.*Case00\.mhd: there is no Case00_s.*#require_labels F"):
            promise12(place, **options)
        pool = promise12(place, require_labels=False, item="volume", **options)
        assert [item.id for item in pool] == ["test_Case00", "test_Case01"]
        assert all(item.label is None for item in pool)

    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("TrainingData", "train"),
            ("promise12_test", "test"),
            ("MyTestData", "test"),
            ("TEST DATA", "test"),
            ("train/cases", "train"),
            ("test/train_and_test", "test"),
            ("latest", "train"),
            ("LATEST", "train"),
            ("a", "train"),
        ],
    )
    def test_names_of_folders(self, tmp_path, name, part):
        make_case(tmp_path / "data" / name, 3, label=False)
        (volume,) = promise12(tmp_path / "data", require_labels=False).volumes
        assert volume == {"train": "Case03", "test": "test_Case03"}[part]
        if name == "TrainingData":
            with pytest.raises(DataError, match="no case of the test part, 1 of the train part"):
                promise12(tmp_path / "data", part="test")

    def test_a_folder_of_labels_is_no_test_part_by_its_own_name(self, tmp_path):
        make_case(tmp_path / "test_run", 3)
        assert promise12(tmp_path / "test_run").volumes == ("Case03",)

    @pytest.mark.parametrize(("first", "second"), [("a", "b"), ("TestData", "livechallenge_test"), (".", "b")])
    def test_one_name_twice(self, tmp_path, first, second):
        for place in (first, second):
            make_case(tmp_path / "data" / place, 7, label=False)
        make_case(tmp_path / "data" / first, 8, label=False)
        with pytest.raises(
            DataError, match=r"1 names occur more than once .* let dataset_dir be the folder of one part"
        ):
            promise12(tmp_path / "data", require_labels=False)

    def test_both_parts_in_folders_that_do_not_tell(self, root):
        (root / "TestData").rename(root / "a")
        with pytest.raises(DataError, match=r"\n  a/Case00\.mhd and TrainingData_Part1/Case00\.mhd"):
            promise12(root)

    def test_unknown_part(self, root):
        with pytest.raises(ValueError, match="part must be one of train, test or None; got 'training'"):
            promise12(root, part="training")


class TestFiles:
    def test_clutter_and_other_images(self, root):
        place = root / "TrainingData_Part1"
        (place / "._Case00.mhd").write_bytes(b"Mac")
        (place / ".DS_Store").write_bytes(b"Mac")
        (root / "__MACOSX").mkdir()
        shutil.copy(place / "Case00.mhd", root / "__MACOSX/Case00.mhd")
        (root / "readme.txt").write_text("text")
        shutil.copy(place / "Case00.mhd", place / "Case00_prediction.mhd")
        pool = promise12(root)
        assert len(pool) == 18
        assert pool.notes[1] == "1 other image files are left out: TrainingData_Part1/Case00_prediction.mhd."

    def test_missing_partners(self, root):
        (root / "TrainingData_Part1/Case00_segmentation.mhd").unlink()
        (root / "TrainingData_Part1/Case02.mhd").unlink()
        with pytest.raises(
            DataError,
            match=r"2 cases are incomplete.*\n.*Case00\.mhd: there is no Case00_segmentation\.mhd\n"
            r".*Case02_segmentation\.mhd: there is no Case02\.mhd$",
        ):
            promise12(root)
        pool = promise12(root, skip_incomplete=True)
        assert pool.volumes == ("Case10",)
        assert "Case00_segmentation.mhd" in pool.notes[1]
        with pytest.raises(DataError, match="1 cases"):
            promise12(root, require_labels=False)

    @pytest.mark.parametrize("item", ["slice", "volume"])
    def test_all_damaged_files_are_in_one_error(self, root, item):
        one, two = root / "TrainingData_Part1", root / "TrainingData_Part2"
        (one / "Case00.raw").unlink()
        (one / "Case02_segmentation.raw").write_bytes(bytes(700))
        (two / "Case10.raw").write_bytes(bytes(1441))
        (two / "Case10_segmentation.raw").write_bytes(b"")
        with pytest.raises(DataError, match="3 cases are incomplete") as error:
            promise12(root, item=item)
        for header, raw, found, expected in (
            (one / "Case00.mhd", one / "Case00.raw", "does not exist,", "1440 (12 x 10 x 6 voxels of 2 bytes)"),
            (one / "Case02_segmentation.mhd", one / "Case02_segmentation.raw", "has 700 bytes,", "720 ("),
            (two / "Case10.mhd", two / "Case10.raw", "has 1441 bytes,", "1440 ("),
            (two / "Case10_segmentation.mhd", two / "Case10_segmentation.raw", "has 0 bytes,", "720 ("),
        ):
            assert f"{header}: its voxel file {raw} {found} expected {expected}" in str(error.value)
        with pytest.raises(DataError, match="no images found"):
            promise12(root, skip_incomplete=True)

    @pytest.mark.parametrize(("suffix", "compressed"), [(".mhd", True), (".mha", False), (".mha", True)])
    def test_compressed_voxels_and_voxels_in_the_header_s_file(self, tmp_path, suffix, compressed):
        image, mask = make_case(tmp_path / "raw", 4)
        (tmp_path / "data").mkdir()
        for name in ("Case04", "Case04_segmentation"):
            sitk.WriteImage(sitk.ReadImage(tmp_path / f"raw/{name}.mhd"), tmp_path / f"data/{name}{suffix}", compressed)
        pool = promise12(tmp_path / "data")
        volume = read_volume(pool[0].image, pool[0].label, label_values=pool.label_values)
        np.testing.assert_array_equal(volume.image[0], image)
        np.testing.assert_array_equal(volume.label, mask)

    def test_no_cases(self, tmp_path):
        with pytest.raises(DataError, match=r"holds no CaseNN\.mhd"):
            promise12(tmp_path)
        with pytest.raises(DataError, match="does not exist"):
            promise12(tmp_path / "gone")


class TestLabels:
    def read(self, root, **options):
        pool = promise12(root, **options)
        return read_volume(pool[0].image, pool[0].label, label_values=pool.label_values).label

    @pytest.mark.parametrize(("values", "dtype"), [((0, 2), np.int8), ((1, 2), np.uint8), ((0, 255), np.uint8)])
    def test_zones_and_not_annotated(self, tmp_path, values, dtype):
        _, mask = make_case(tmp_path / "data", 1, values=values, dtype=dtype)
        with pytest.raises(DataError, match=r"unexpected label values .*; expected \[0, 1\]"):
            self.read(tmp_path / "data")
        label = self.read(tmp_path / "data", whole_gland=True)
        for stored, number in {0: 0, 1: 1, 2: 1, 255: 255}.items():
            assert (label[mask == stored] == number).all()

    @pytest.mark.parametrize("whole_gland", [False, True])
    def test_other_values(self, tmp_path, whole_gland):
        make_case(tmp_path / "data", 1, values=(0, 3))
        with pytest.raises(DataError, match=r"Case01_segmentation\.mhd: unexpected label values 3"):
            self.read(tmp_path / "data", whole_gland=whole_gland)


class TestGeometry:
    def affine(self, axes):
        """Voxel index to RAS: x and y of the header's LPS millimetres change their signs."""
        columns = [
            [sign * n * size for n, sign in zip(axis, (-1, -1, 1), strict=True)]
            for axis, size in zip(axes, SPACING, strict=True)
        ]
        origin = [-OFFSET[0], -OFFSET[1], OFFSET[2]]
        return np.array([*[[*row] for row in zip(*columns, origin, strict=True)], [0, 0, 0, 1]])

    @pytest.mark.parametrize("axes", [OBLIQUE, STRAIGHT])
    def test_slices_are_the_stored_slices(self, tmp_path, axes):
        image, mask = make_case(tmp_path / "data", 5, axes=axes)
        pool = promise12(tmp_path / "data")
        cache = VolumeCache(tmp_path / "cache", label_values=pool.label_values, progress=False)
        data = SliceDataset(pool.items, cache)
        assert len(data) == SHAPE[2]
        for z, entry in enumerate(data):
            np.testing.assert_array_equal(entry["image"][0], image[:, :, z])
            np.testing.assert_array_equal(entry["label"][0], mask[:, :, z])
            assert entry["valid"].all()
        geometry = cache.get(pool[0]).geometry
        np.testing.assert_allclose(geometry.stored_affine, self.affine(axes), atol=1e-6)
        assert geometry.spacing == pytest.approx(SPACING, abs=3e-3)
        assert geometry.keeps_slices

    def test_rounding_noise_is_no_difference_but_a_shift_is(self, tmp_path):
        _, mask = make_case(tmp_path / "data", 5)
        assert describe(promise12(tmp_path / "data"))["items"] == SHAPE[2]
        write_raw_pair(tmp_path / "data/Case05_segmentation.mhd", mask, offset=(-98.1, *OFFSET[1:]))
        with pytest.raises(DataError, match=r"Case05\.mhd .* affines that differ by up to 1\.6 voxel edges"):
            describe(promise12(tmp_path / "data"))

    def test_the_overlay_s_preprocessing_and_the_way_back(self, tmp_path):
        _, mask = make_case(tmp_path / "data", 5, shape=(40, 30, 5))
        parser = ConfigParser(ConfigParser.load_config_files([TRAIN, OVERLAY]))
        parser.update({"dataset_dir": str(tmp_path / "data"), "pool": "@datalist", "spacing": 0.2})
        pool = parser.get_parsed_content("datalist")
        transform = parser.get_parsed_content("preprocessing")
        cache = VolumeCache(tmp_path / "cache", transform, pool.label_values, progress=False)
        volume = cache.get(pool[0])
        assert volume.image.shape == (5, 1, 128, 128)
        assert volume.image.min() == 0
        assert 0.98 < volume.image.max() <= 1
        assert volume.geometry.keeps_slices
        np.testing.assert_allclose(volume.geometry.stored_affine, self.affine(OBLIQUE), atol=1e-6)
        back = volume.geometry.to_stored(torch.from_numpy(volume.label[:, None]).float())
        np.testing.assert_array_equal(back[:, 0].permute(1, 2, 0) > 0.5, mask)


def test_summary(root):
    summary = describe(promise12(root))
    assert summary["shape"] == [list(SHAPE), list(SHAPE)]
    np.testing.assert_allclose(summary["spacing"], [SPACING, SPACING], atol=3e-3)
    assert 0 < summary["class_share"]["prostate"] < 0.5


@pytest.mark.nightly
def test_two_rounds_on_a_copy_with_zones(tmp_path, one_thread):
    for number in range(6):
        make_case(tmp_path / "data" / "TrainingData", number, shape=(20, 18, 5), values=(0, 1 + number % 2))
    monai.bundle.run(
        config_file=[str(ROOT / "bundles/selective_uncertainty_spleen/configs/active_learning.yaml"), str(OVERLAY)],
        dataset_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "run"),
        image_size=[32, 32],
        spacing="$None",
        **{"datalist#whole_gland": True},
        rounds=2,
        budget=3,
        steps=2,
        progress=False,
    )
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["labeled"] == 6
    query = json.loads((tmp_path / "run" / "round_01" / "query.json").read_text())
    assert all(item["id"].startswith("Case0") for item in query["items"])
