# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser
from PIL import Image

from monai_al.cli import main
from monai_al.data import DataError, VolumeCache, read_volume
from monai_al.datasets import chaos, describe

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs"
OVERLAY = ROOT / "configs" / "datasets" / "chaos.yaml"
TRAIN = CONFIGS / "train.yaml"
SPACING, STEP, THICKNESS, INTERCEPT = 0.7265625, 2.0, 3.2, -1000
SHAPE = (30, 24)  # rows, columns
LIVER, AIR = 60, -900


def organ(shape, n_slices):
    """A box off the centre that shrinks from slice to slice: ``(slice, row, column)``, none in the first slice."""
    masks = np.zeros((n_slices, *shape), bool)
    for k in range(1, n_slices):
        masks[k, shape[0] // 5 : shape[0] - 4 - k, 3 : shape[1] // 2 + k] = True
    return masks


@pytest.fixture
def make(tmp_path):
    """Write a set whose slices run downwards, as in set 3 of the challenge; file numbers need not begin at 0."""

    def make(number, n_slices=5, *, places=None, first=0, one_bit=True, shape=SHAPE, part="Train_Sets/CT", uid="1.2.3",
             name="i{:04d},0000b.dcm", masks=True, clutter=False):  # fmt: skip
        place = tmp_path / "chaos" / part / str(number)
        (place / "DICOM_anon").mkdir(parents=True, exist_ok=True)
        truth = organ(shape, n_slices)
        places = [1690.5 - STEP * k for k in range(n_slices)] if places is None else places
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        for k, z in enumerate(places):
            image = sitk.JoinSeries(sitk.GetImageFromArray(np.where(truth[k], LIVER + k, AIR).astype(np.int16)))
            image.SetSpacing((SPACING, SPACING, THICKNESS))
            image.SetOrigin((-180.0, -150.0, float(z)))
            for tag, value in {
                "0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0008|0018": f"{uid}.{k + 1}", "0008|0060": "CT",
                "0010|0010": f"CHAOS^CT_SET_{number}", "0020|000d": "1.2", "0020|000e": uid,
                "0020|0013": str(k + 1), "0020|0032": f"-180\\-150\\{z:.6g}", "0020|0037": "1\\0\\0\\0\\1\\0",
                "0028|0100": "16", "0028|0101": "16", "0028|0102": "15", "0028|0103": "1",
                "0028|1052": str(INTERCEPT), "0028|1053": "1", "0018|0050": str(THICKNESS),
            }.items():  # fmt: skip
                image.SetMetaData(tag, value)
            writer.SetFileName(str(place / "DICOM_anon" / name.format(first + k)))
            writer.Execute(image)
        if masks:
            (place / "Ground").mkdir(exist_ok=True)
            for k in range(n_slices):
                plane = truth[k] if one_bit else 255 * truth[k].astype(np.uint8)
                Image.fromarray(plane).save(place / "Ground" / f"liver_GT_{k:03d}.png")
        if clutter:
            for stray in (place / "Ground" / "._liver_GT_000.png", place / "DICOM_anon" / ".DS_Store"):
                stray.write_bytes(b"Mac")
        return place

    return make


@pytest.fixture
def root(tmp_path):
    return tmp_path / "chaos"


class TestSets:
    @pytest.mark.parametrize("inner", [".", "Train_Sets", "Train_Sets/CT"])
    def test_where_the_root_may_be(self, make, root, inner):
        make(18, 3)
        make(2, clutter=True)
        make(9, part="Train_Sets/MR")
        make(40, part="Test_Sets/CT", masks=False)
        pool = chaos(root / inner)
        assert pool.volumes == pool.patients == ("CT_SET_2", "CT_SET_18")
        assert [item.id for item in pool][4:6] == ["CT_SET_2/0004", "CT_SET_18/0000"]
        assert pool[0].image == str(root / "Train_Sets/CT/2/DICOM_anon")
        assert pool[0].label == str(root / "Train_Sets/CT/2/Ground")
        assert pool.classes == ("background", "liver")
        expected = ("1 sets of the test part have no masks and are left out.",) if inner == "." else ()
        assert pool.notes == expected

    def test_one_set_alone_and_the_test_part(self, make, root):
        assert chaos(make(3)).volumes == ("CT_SET_3",)
        with pytest.raises(DataError, match=r"Ground: there are no masks; --datalist#require_labels False takes"):
            chaos(make(40, part="Test_Sets/CT", masks=False).parent)
        assert chaos(root / "Test_Sets", require_labels=False, item="volume")[0].label is None

    def test_no_sets(self, tmp_path, make, root):
        with pytest.raises(DataError, match="holds no CT set"):
            chaos(tmp_path)
        make(1, part="Train_Sets/MR")
        with pytest.raises(DataError, match="holds no CT set"):
            chaos(root)
        make(1, part="a/CT")
        make(1, part="b/CT")
        with pytest.raises(DataError, match=r"sets of one number.*\n.*a/CT/1\n.*b/CT/1"):
            chaos(root)

    def test_all_incomplete_sets_are_listed(self, make, root):
        make(1)
        places = {number: make(number) for number in (2, 3, 4)}
        (places[2] / "Ground/liver_GT_004.png").unlink()
        for number, part in ((3, "DICOM_anon"), (4, "Ground")):
            for path in (places[number] / part).iterdir():
                path.unlink()
        with pytest.raises(DataError, match="3 cases are incomplete") as error:
            chaos(root)
        for line in (
            f"{places[2] / 'DICOM_anon'} has 5 slices but {places[2] / 'Ground'} has 4 masks",
            f"{places[3] / 'DICOM_anon'}: there are no DICOM files, but 5 masks",
            f"{places[4] / 'Ground'}: there are no masks",
        ):
            assert f"\n  {line}" in str(error.value)
        assert chaos(root, skip_incomplete=True).volumes == ("CT_SET_1",)

    def test_series_that_are_no_volume(self, make, root):
        make(1)
        make(2, places=[10, 8, 6, 2, 0])
        make(3, places=[10, 8, 5.96, 4, 2])
        make(4, 3)
        make(4, 3, first=50, uid="1.2.4")
        (root / "Train_Sets/CT/4/Ground").joinpath("liver_GT_100.png").write_bytes(b"")
        for k in (3, 4):
            (root / f"Train_Sets/CT/4/Ground/liver_GT_{k:03d}.png").write_bytes(b"")
        make(5, 3)
        make(5, 1, first=3, shape=(28, 24), masks=False, places=[0])
        (root / "Train_Sets/CT/5/Ground/liver_GT_003.png").write_bytes(b"")
        with pytest.raises(DataError, match="4 of 5 images cannot be used") as error:
            chaos(root)
        lines = str(error.value)
        assert "CT/2/DICOM_anon: the slices have no even steps, most are 2 mm: 4 mm between" in lines
        assert "(1 slice missing)" in lines
        assert "CT/3/DICOM_anon: the slices have no even steps" in lines
        assert "CT/4/DICOM_anon: holds 2 series" in lines
        assert "\n  1.2.3: CT, 3 files\n  1.2.4: CT, 3 files" in lines
        assert "have different sizes" in lines


class TestVolumes:
    @pytest.mark.parametrize("one_bit", [True, False])
    @pytest.mark.parametrize("name", ["i{:04d},0000b.dcm", "IMG-0004-{:05d}.dcm", "i{},0000b.dcm"])
    def test_pairs_lie_along_the_volume(self, make, root, one_bit, name):
        make(3, 12, one_bit=one_bit, name=name, first=1)
        pool = chaos(root)
        volume = read_volume(pool[0].image, pool[0].label, label_values=pool.label_values)
        truth = organ(SHAPE, 12)[::-1].transpose(1, 2, 0)  # the files run downwards, the volume upwards
        np.testing.assert_array_equal(volume.label, truth)
        levels = LIVER + np.arange(12)[::-1]
        np.testing.assert_array_equal(volume.image[0], np.where(truth, levels, AIR))
        assert volume.spacing == (SPACING, SPACING, STEP)
        # row, column, slice to RAS; the last file is the lowest slice
        np.testing.assert_allclose(volume.affine @ [0, 0, 0, 1], [180, 150, 1690.5 - 11 * STEP, 1])
        np.testing.assert_allclose(volume.affine @ [1, 2, 3, 1] - volume.affine @ [0, 0, 0, 1],
                                   [-2 * SPACING, -SPACING, 3 * STEP, 0])  # fmt: skip

    def test_masks_of_another_size_or_with_grey_values(self, make, root):
        place = make(1)
        grey = np.full(SHAPE, 63, np.uint8)
        for k in range(5):
            Image.fromarray(grey).save(place / "Ground" / f"liver_GT_{k:03d}.png")
        with pytest.raises(DataError, match=r"Ground: unexpected label values 63"):
            describe(chaos(root))
        for k in range(5):
            Image.fromarray(grey.T).save(place / "Ground" / f"liver_GT_{k:03d}.png")
        with pytest.raises(DataError, match=r"has shape \(30, 24, 5\) but its label .* has \(24, 30, 5\)"):
            describe(chaos(root))

    def test_summary(self, make, root, capsys, tmp_path):
        make(1)
        assert main(["datalist", "chaos", "--dataset_dir", str(root), "--json", str(tmp_path / "pool.json")]) == 0
        text = capsys.readouterr().out
        assert "30 x 24 x 5" in text
        assert "0.726562 x 0.726562 x 2 mm" in text
        assert "1 items without foreground" in text
        assert json.loads((tmp_path / "pool.json").read_text())["summary"]["intensity"] == [AIR, LIVER + 4]


class TestPreprocessing:
    @pytest.fixture
    def volume(self, make, root, tmp_path):
        make(1, shape=(300, 240))
        parser = ConfigParser(ConfigParser.load_config_files([TRAIN, OVERLAY]))
        parser.update({"dataset_dir": str(root), "pool": "@datalist"})
        pool = parser.get_parsed_content("datalist")
        return VolumeCache(tmp_path / "cache", parser.get_parsed_content("preprocessing"), pool.label_values).get(
            pool[0]
        )

    def test_image_and_mask_stay_together(self, volume):
        assert volume.image.shape == (5, 1, 192, 192)
        assert volume.label.shape == (5, 192, 192)
        assert volume.geometry.keeps_slices
        np.testing.assert_allclose(
            np.linalg.norm(volume.geometry.affine[:3, :3], axis=0), [1.89, 1.89, STEP], rtol=5e-3
        )
        inside = volume.valid[0]
        assert (volume.label[:, ~inside] == 255).all()
        assert (volume.image[:, 0, ~inside] == -1).all()
        assert volume.image.min() == -1
        assert 0.1 < volume.image.max() < 0.3  # 60 to 64 in the window from -60 to 140
        bright = volume.image[:, 0] > -0.4  # half way to the organ
        liver = volume.label == 1
        assert (bright != liver).mean() < 0.004
        assert (liver[:-1].sum(axis=(1, 2)) > 1000).all()

    def test_a_known_voxel_stays_in_place(self, volume):
        stored = np.array([100.0, 90.0, 2.0, 1.0])
        place = volume.geometry.stored_affine @ stored
        row, column, slice = np.linalg.solve(volume.geometry.affine, place)[:3]
        # 192 pixels of 1.89 mm around the centre of the 300 x 240 pixels
        expected = [95.5 + (100 - 149.5) * SPACING / 1.89, 95.5 + (90 - 119.5) * SPACING / 1.89]
        np.testing.assert_allclose([row, column], expected, atol=0.6)
        assert slice == pytest.approx(2)
        corner = organ((300, 240), 5)[::-1][2]
        rows, columns = np.flatnonzero(corner.any(axis=1)), np.flatnonzero(corner.any(axis=0))
        found = np.argwhere(volume.label[2] == 1)
        for axis, ends in enumerate((rows, columns)):
            for end, extreme in ((ends[0], found[:, axis].min()), (ends[-1], found[:, axis].max())):
                at = [0, 0, 2, 1]
                at[axis] = end
                expected = np.linalg.solve(volume.geometry.affine, volume.geometry.stored_affine @ at)[axis]
                assert extreme == pytest.approx(expected, abs=0.8)

    def test_the_way_back(self, volume):
        back = volume.geometry.to_stored(torch.from_numpy(volume.label[:, None] == 1).float())[:, 0].numpy()
        truth = organ((300, 240), 5)[::-1]
        overlap = 2 * ((back > 0.5) & truth).sum() / ((back > 0.5).sum() + truth.sum())
        assert overlap > 0.98


@pytest.mark.nightly
def test_two_rounds(make, root, tmp_path, one_thread):
    for number in range(1, 4):
        make(number, shape=(60, 50), uid=f"1.2.{number}")
    monai.bundle.run(
        config_file=[str(CONFIGS / "active_learning.yaml"), str(OVERLAY)],
        dataset_dir=str(root),
        output_dir=str(tmp_path / "run"),
        image_size=[32, 32],
        rounds=2,
        budget=3,
        steps=2,
        progress=False,
    )
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["labeled"] == 6
    pool = json.loads((tmp_path / "run" / "pool.json").read_text())
    assert sorted(pool["files"])[:2] == ["Train_Sets/CT/1/DICOM_anon", "Train_Sets/CT/1/Ground"]
    (tested,) = {item["volume"] for item in pool["items"] if item["split"] == "test"}
    monai.bundle.run(
        config_file=str(CONFIGS / "inference.yaml"),
        run_dir=str(tmp_path / "run"),
        dataset_dir=str(root),
        output_dir=str(tmp_path / "segmented"),
        progress=False,
    )
    written = nib.load(tmp_path / "segmented" / f"{tested}_seg.nii.gz")
    assert written.shape == (60, 50, 5)
    volume = read_volume(root / "Train_Sets/CT" / tested.removeprefix("CT_SET_") / "DICOM_anon")
    np.testing.assert_allclose(written.affine, volume.affine, atol=1e-3)
