# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from monai_al.data import (
    DataError,
    Item,
    VolumeCache,
    content_hash,
    file_identity,
    pool_to_json,
    read_volume,
    stored_shape,
)
from monai_al.data.dicom_series import dicom_series
from monai_al.data.label_files import write_label_map
from monai_al.data.reading import stored_label_values
from monai_al.records.pool import Pool

TWO = {0: 0, 1: 1}


def write_pictures(folder, planes, names=None):
    """The planes, ``(rows, columns)`` or ``(rows, columns, 3)``, under numbered names."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, plane in enumerate(planes):
        Image.fromarray(plane).save(folder / (names[k] if names else f"{k}.png"))
    return folder


def write_dicom(folder, positions, *, names=None, shape=(6, 5), uid="1.2.3", spacing=(0.8, 0.7), thickness=3.2):
    """Slices whose voxel (row, column) at position k is 100 k + 10 row + column; ``spacing`` has this order, too."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetImageIO("GDCMImageIO")
    rows, columns = np.indices(shape)
    for k, position in enumerate(positions):
        image = sitk.JoinSeries(sitk.GetImageFromArray((100 * k + 10 * rows + columns).astype(np.int16)))
        image.SetSpacing((spacing[1], spacing[0], thickness))
        image.SetOrigin([float(x) for x in position])
        place = "\\".join(f"{x:.6g}" for x in position)
        for tag, value in {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0008|0018": f"{uid}.{k + 1}", "0008|0060": "CT",
            "0020|000d": "1.2", "0020|000e": uid, "0020|0013": str(k + 1), "0020|0032": place,
            "0020|0037": "1\\0\\0\\0\\1\\0", "0028|0100": "16", "0028|0101": "16", "0028|0102": "15", "0028|0103": "1",
            "0028|1052": "-1000", "0028|1053": "1", "0018|0050": str(thickness),
        }.items():  # fmt: skip
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / (names[k] if names else f"i{k:04d},0000b.dcm")))
        writer.Execute(image)
    return folder


def along_z(*places):
    return [(-10.0, 20.0, z) for z in places]


class TestPictures:
    @pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
    def test_are_ordered_by_number(self, tmp_path, suffix):
        planes = np.random.default_rng(0).integers(0, 256, (12, 4, 5), dtype=np.uint8)
        folder = write_pictures(tmp_path / "a", planes, [f"f{k}.{suffix}" for k in range(12)])
        (folder / "._f3.png").write_bytes(b"Mac")
        (folder / "notes.txt").write_text("no picture")
        (folder / "sub").mkdir()
        assert stored_shape(folder) == (4, 5, 12)
        volume = read_volume(folder)
        np.testing.assert_array_equal(volume.image[0], planes.transpose(1, 2, 0))
        assert volume.image.dtype == np.float32
        assert volume.placeholder_spacing
        np.testing.assert_array_equal(volume.affine, np.eye(4))

    def test_colours_and_a_mask(self, tmp_path):
        planes = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
        masks = np.random.default_rng(1).integers(0, 2, (3, 4, 5), dtype=np.uint8)
        image, label = write_pictures(tmp_path / "a", planes), write_pictures(tmp_path / "b", 255 * masks)
        volume = read_volume(image, label, label_values=TWO)
        assert volume.image.shape == (3, 4, 5, 3)
        np.testing.assert_array_equal(volume.image, planes.transpose(3, 1, 2, 0))
        np.testing.assert_array_equal(volume.label, masks.transpose(1, 2, 0))

    def test_kinds_of_masks(self, tmp_path):
        rng = np.random.default_rng(2)
        mask = rng.integers(0, 2, (2, 4, 5)).astype(bool)
        image = write_pictures(tmp_path / "image", (200 * mask).astype(np.uint8))
        write_pictures(tmp_path / "one_bit", mask)
        write_pictures(tmp_path / "equal_channels", np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=-1))
        objects = (mask * rng.integers(1, 4, mask.shape)).astype(np.uint8)
        for k, plane in enumerate(objects):
            (tmp_path / "palette").mkdir(exist_ok=True)
            picture = Image.fromarray(plane)
            picture.putpalette([k * 7 % 256 for k in range(768)])
            picture.save(tmp_path / f"palette/{k}.png")
        assert Image.open(tmp_path / "one_bit/0.png").mode == "1"
        assert Image.open(tmp_path / "palette/0.png").mode == "P"
        for kind in ("one_bit", "equal_channels", "palette"):
            label = read_volume(image, tmp_path / kind, label_values=TWO).label
            np.testing.assert_array_equal(label, mask.transpose(1, 2, 0), err_msg=kind)
        assert stored_label_values(tmp_path / "palette") == tuple(sorted(np.unique(objects)))
        coloured = np.zeros((4, 5, 3), np.uint8)
        coloured[0, 0, 1] = 255
        write_pictures(tmp_path / "equal_channels", [coloured], ["1.png"])
        with pytest.raises(DataError, match=r"equal_channels/1\.png: a label in colours"):
            read_volume(image, tmp_path / "equal_channels", label_values=TWO)

    def test_planes_that_do_not_fit(self, tmp_path):
        ones = np.ones((4, 5), np.uint8)
        image = write_pictures(tmp_path / "a", [ones, ones[:3]])
        with pytest.raises(DataError, match=r"a/1\.png is 3 x 5 with 1 channels but 0\.png is 4 x 5"):
            read_volume(image)
        image = write_pictures(tmp_path / "b", [ones, np.ones((4, 5, 3), np.uint8)])
        with pytest.raises(DataError, match=r"b/1\.png is 4 x 5 with 3 channels but 0\.png"):
            read_volume(image)
        image = write_pictures(tmp_path / "c", [ones, ones])
        label = write_pictures(tmp_path / "d", [ones > 0, ones])
        with pytest.raises(DataError, match=r"d/1\.png is a 8-bit grey picture but 0\.png a 1-bit one"):
            read_volume(image, label, label_values=TWO)
        Image.fromarray(ones).save(tmp_path / "c/1.tif", save_all=True, append_images=[Image.fromarray(ones)])
        with pytest.raises(DataError, match=r"1\.tif: holds 2 pages"):
            read_volume(image)
        (tmp_path / "b/1.png").write_bytes(b"no png")
        with pytest.raises(DataError, match=r"b/1\.png: cannot be read"):
            read_volume(tmp_path / "b")

    def test_planes_whose_palettes_differ(self, tmp_path):
        for k, colour in enumerate([(200, 0, 0), (200, 0, 0), (0, 200, 0)]):
            mask = Image.fromarray(np.uint8([[0, 1], [1, 1]]))
            mask.putpalette([0, 0, 0, *colour])
            (tmp_path / "a").mkdir(exist_ok=True)
            mask.save(tmp_path / f"a/{k}.png")
        with pytest.raises(DataError, match=r"a/2\.png shows index 1 in another colour"):
            stored_label_values(tmp_path / "a")
        (tmp_path / "a/2.png").unlink()
        assert stored_label_values(tmp_path / "a") == (0, 1)

    def test_another_number_of_masks(self, tmp_path):
        ones = np.ones((3, 4, 5), np.uint8)
        image, label = write_pictures(tmp_path / "a", ones), write_pictures(tmp_path / "b", ones[:2])
        with pytest.raises(DataError, match=r"a has shape \(4, 5, 3\) but its label .*b has \(4, 5, 2\)"):
            read_volume(image, label, label_values=TWO)


class TestDicom:
    @pytest.mark.parametrize("order", [None, (2, 0, 1)])
    def test_a_mask_that_another_program_stored_in_its_own_order(self, tmp_path, order):
        image = write_dicom(tmp_path / "a", along_z(0, 2, 4, 6))
        series = sitk.ReadImage(dicom_series(image).files)
        mask = sitk.Cast(series > 120, sitk.sitkUInt8)
        expected = read_volume(image).image[0] > 120
        if order is not None:
            mask = sitk.Flip(sitk.PermuteAxes(mask, order), (False, True, True))
        sitk.WriteImage(mask, tmp_path / "mask.nii.gz")
        volume = read_volume(image, tmp_path / "mask.nii.gz", label_values=TWO)
        assert 0 < expected.mean() < 1
        np.testing.assert_array_equal(volume.label, expected)

    @pytest.mark.parametrize("places", [(0, 2, 4, 6), (6, 4, 2, 0), (4, 0, 6, 2)])
    def test_rows_by_columns_along_the_normal(self, tmp_path, places):
        folder = write_dicom(tmp_path / "ct", along_z(*places))
        assert stored_shape(folder) == (6, 5, 4)
        volume = read_volume(folder)
        order = np.argsort(places)
        rows, columns = np.indices((6, 5))
        for k, z in enumerate(order):
            np.testing.assert_array_equal(volume.image[0, :, :, k], 100 * z + 10 * rows + columns)
        assert volume.spacing == (0.8, 0.7, 2.0)  # not the thickness
        assert not volume.placeholder_spacing
        # voxel (row, column, slice) to RAS
        expected = [[0, -0.7, 0, 10], [-0.8, 0, 0, -20], [0, 0, 2, 0], [0, 0, 0, 1]]
        np.testing.assert_allclose(volume.affine, expected, atol=1e-6)

    @pytest.mark.parametrize("places", [(0, 2, 4), (4, 2, 0), (2, 4, 0)])
    def test_masks_follow_their_slices(self, tmp_path, places):
        names = ["i0002,b.dcm", "i0010,b.dcm", "i0100,b.dcm"]
        image = write_dicom(tmp_path / "ct", along_z(*places), names=names)
        masks = np.zeros((3, 6, 5), bool)
        for k in range(3):
            masks[k, k, k + 1] = True
        label = write_pictures(tmp_path / "masks", masks, ["m_2.png", "m_9.png", "m_11.png"])
        volume = read_volume(image, label, label_values=TWO)
        for slice, k in enumerate(np.argsort(places)):
            assert np.argwhere(volume.label[:, :, slice]).tolist() == [[k, k + 1]]
            assert volume.image[0, k, k + 1, slice] == 111 * k + 1

    def test_several_series(self, tmp_path):
        write_dicom(tmp_path / "ct", along_z(0, 2), names=["a.dcm", "b.dcm"])
        write_dicom(tmp_path / "ct", along_z(0, 2), names=["c.dcm", "d.dcm"], uid="1.2.4")
        for read in (stored_shape, read_volume):
            with pytest.raises(DataError, match=r"holds 2 series; keep them in folders.*:\n  1\.2\.3.*\n  1\.2\.4"):
                read(tmp_path / "ct")

    def test_pictures_among_them(self, tmp_path):
        write_dicom(tmp_path / "ct", along_z(0, 2))
        write_pictures(tmp_path / "ct", [np.ones((4, 5), np.uint8)])
        with pytest.raises(DataError, match=r"holds pictures beside DICOM files such as i0000,0000b\.dcm"):
            read_volume(tmp_path / "ct")


@pytest.mark.parametrize("files", [[], [".hidden"]])
def test_empty_folder(tmp_path, files):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="is a folder without files"):
        stored_shape(tmp_path)


class TestIdentity:
    @pytest.fixture
    def folder(self, tmp_path):
        return write_pictures(tmp_path / "a", np.ones((3, 4, 5), np.uint8))

    @pytest.mark.parametrize("change", ["content", "name", "new", "gone"])
    def test_every_change_counts(self, folder, change):
        before = file_identity(folder), content_hash(folder)
        if change == "content":
            Image.fromarray(np.full((4, 5), 2, np.uint8)).save(folder / "1.png")
        elif change == "name":
            (folder / "1.png").rename(folder / "9.png")
        elif change == "new":
            (folder / "3.png").write_bytes(b"")
        else:
            (folder / "2.png").unlink()
        assert file_identity(folder) != before[0]
        assert content_hash(folder) != before[1]

    def test_the_content_is_the_same_elsewhere(self, folder, tmp_path):
        other = write_pictures(tmp_path / "b", np.ones((3, 4, 5), np.uint8))
        assert content_hash(other) == content_hash(folder)
        assert file_identity(other) != file_identity(folder)
        (other / ".DS_Store").write_bytes(b"Mac")
        (other / "sub").mkdir()
        assert content_hash(other) == content_hash(folder)

    def test_bytes_cannot_move_between_files(self, tmp_path):
        for folder, contents in (("a", ("ab", "c")), ("b", ("a", "bc"))):
            (tmp_path / folder).mkdir()
            for name, content in zip("xy", contents, strict=True):
                (tmp_path / folder / name).write_text(content)
        assert content_hash(tmp_path / "a") != content_hash(tmp_path / "b")

    def test_cache_and_record(self, folder, tmp_path):
        item = Item("a", str(folder), "a", "a", str(folder))
        values = {1: 1, 2: 0}
        first = VolumeCache(tmp_path / "cache", label_values=values).get(item)
        assert first.image.shape == (3, 1, 4, 5)
        assert first.hashes == (content_hash(folder),) * 2
        Image.fromarray(np.full((4, 5), 2, np.uint8)).save(folder / "1.png")
        second = VolumeCache(tmp_path / "cache", label_values=values).get(item)
        assert second.image[1].max() == 2
        assert second.label[:, 0, 0].tolist() == [1, 0, 1]
        assert second.hashes != first.hashes
        pool = Pool([item], root=str(tmp_path))
        assert pool_to_json(pool, {str(folder): second.hashes[0]})["files"] == {"a": second.hashes[0]}

    def test_missing_folder(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            VolumeCache(tmp_path / "cache").get(Item("a", str(tmp_path / "gone"), "a", "a"))


class TestLabelMaps:
    def test_on_the_grid_of_a_series(self, tmp_path):
        folder = write_dicom(tmp_path / "ct", along_z(6, 4, 2))
        volume = read_volume(folder)
        labels = (volume.image[0] > 0).astype(np.uint8)
        write_label_map(tmp_path / "seg.nii.gz", labels, like=folder, affine=volume.affine)
        written = nib.load(tmp_path / "seg.nii.gz")
        np.testing.assert_array_equal(np.asarray(written.dataobj), labels)
        np.testing.assert_allclose(written.affine, volume.affine, atol=1e-5)
        corner = written.affine @ [0, 0, 0, 1]
        np.testing.assert_allclose(corner[:3], [10, -20, 2], atol=1e-5)
        # the same places as the series itself, whose voxels are counted (column, row, slice)
        series = dicom_series(folder).affine
        np.testing.assert_allclose(written.affine @ [3, 1, 2, 1], series @ [1, 3, 2, 1], atol=1e-5)

    def test_pictures_have_no_place(self, tmp_path):
        folder = write_pictures(tmp_path / "a", np.ones((1, 4, 5), np.uint8))
        write_label_map(tmp_path / "seg.nii.gz", np.ones((4, 5, 1), np.uint8), like=folder, affine=np.eye(4))
        written = nib.load(tmp_path / "seg.nii.gz")
        assert written.shape == (4, 5, 1)
        assert int(written.header["sform_code"]) == 0
