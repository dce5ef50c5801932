# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
import warnings

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from monai_al.data import DataError
from monai_al.data.reading import name_without_suffix, read_volume, stored_label_values, stored_shape
from monai_al.datasets import folder

TWO = {0: 0, 1: 1}


def save(path, array, affine=None, **codes):
    image = nib.Nifti1Image(np.asarray(array), np.eye(4) if affine is None else affine)
    for key, code in codes.items():
        image.header[key] = code
    nib.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, ">i2"])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 3, 2)])
def test_nifti_image(tmp_path, suffix, dtype, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    path = save(tmp_path / f"a{suffix}", array)
    volume = read_volume(path)
    assert stored_shape(path) == shape
    assert volume.image.dtype == np.float32
    assert volume.label is None
    expected = array.astype(np.float32).reshape(shape + (1,) * (4 - len(shape)))
    np.testing.assert_array_equal(volume.image, np.transpose(expected, (3, 0, 1, 2)))


def test_scale_factor_of_an_image(tmp_path):
    image = nib.Nifti1Image(np.float64([[[0.0, 10.0]]]), np.eye(4))
    image.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").image.ravel().tolist() == [-3, 2]  # the stored 0 and 10, half of them - 3


def test_channel(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    path = save(tmp_path / "a.nii", array)
    np.testing.assert_array_equal(read_volume(path, channel=1).image, array[None, ..., 1])
    with pytest.raises(DataError, match=r"a\.nii: channel 2 .* has 2"):
        read_volume(path, channel=2)
    with pytest.raises(DataError, match="channel -1"):
        read_volume(path, channel=-1)


class TestFilesThatCannotBeRead:
    @pytest.mark.parametrize("name", ["a.nii.gz", "a.png", "a.mha"])
    @pytest.mark.parametrize("read", [stored_shape, read_volume, stored_label_values])
    def test_missing(self, tmp_path, name, read):
        with pytest.raises(DataError, match=f"{name}: does not exist"):
            read(tmp_path / name)

    def test_folder(self, tmp_path):
        (tmp_path / "a.nii").mkdir()
        with pytest.raises(DataError, match="is a folder"):
            read_volume(tmp_path / "a.nii")

    def test_unknown_kind(self, tmp_path):
        (tmp_path / "a.txt").write_text("no image")
        with pytest.raises(DataError, match=r"a\.txt: unknown kind"):
            stored_shape(tmp_path / "a.txt")

    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.png", "a.tif", "a.nrrd"])
    def test_truncated(self, tmp_path, name):
        path = tmp_path / name
        noise = np.random.default_rng(0).integers(0, 255, (40, 40, 5)).astype(np.uint8)
        if ".nii" in name:
            save(path, noise)
        elif name == "a.nrrd":
            sitk.WriteImage(sitk.GetImageFromArray(noise), path)
        else:
            Image.fromarray(noise[..., 0]).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(
            DataError, match=rf"{name}: (cannot be read \(\w+: .*\)|its header declares .* x 40 ).*truncated"
        ):
            read_volume(path)

    @pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.png", "a.mhd", "a.nrrd"])
    def test_garbage(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"not an image")
        for read in (stored_shape, read_volume):
            with pytest.raises(DataError, match=f"{name}: cannot be read"):
                read(tmp_path / name)

    def test_raw_file_too_short(self, tmp_path):
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 8, 8), np.int16)), tmp_path / "a.mhd")
        (tmp_path / "a.raw").write_bytes(b"\0" * 100)
        message = r"a\.mhd: its voxel file .*a\.raw has 100 bytes, expected 1024 \(8 x 8 x 8"
        for read in (stored_shape, read_volume, stored_label_values):
            with pytest.raises(DataError, match=message):
                read(tmp_path / "a.mhd")

    @pytest.mark.parametrize("place", ["asanyarray", "isfinite", "zeros"])
    @pytest.mark.parametrize("error", [MemoryError, RuntimeError("ITK: Failed to allocate memory for image.")])
    def test_too_little_memory(self, tmp_path, monkeypatch, place, error):
        def full(*_args, **_options):
            raise error

        path = save(tmp_path / "a.nii", np.zeros((4, 5, 6), np.uint8))
        with monkeypatch.context() as patched:
            patched.setattr(np, place, full)
            with pytest.raises(DataError, match=r"a\.nii: .*too large for the memory"):
                read_volume(path, path, label_values=TWO)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_voxels_that_are_no_numbers(self, tmp_path, value):
        array = np.zeros((3, 4, 5), np.float32)
        array[1, 2, 3] = value
        with pytest.raises(DataError, match=r"a\.nii: 1 voxels are NaN or infinite, the first at \(1, 2, 3\)"):
            read_volume(save(tmp_path / "a.nii", array))

    def test_constant_image_is_fine(self, tmp_path):
        assert (read_volume(save(tmp_path / "a.nii", np.full((3, 3, 3), 7, np.int16))).image == 7).all()

    def test_colour_voxels(self, tmp_path):
        colours = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        with pytest.raises(DataError, match="store real numbers"):
            read_volume(save(tmp_path / "a.nii", colours))


class TestLabels:
    @pytest.fixture
    def image(self, tmp_path):
        return save(tmp_path / "image.nii", np.zeros((2, 2, 3), np.float32))

    def label(self, tmp_path, values, dtype):
        array = np.zeros((2, 2, 3), dtype)
        array.ravel()[: len(values)] = values
        return save(tmp_path / "label.nii.gz", array)

    def test_values_become_class_numbers(self, tmp_path, image):
        label = self.label(tmp_path, [1, 2, 4, -7], np.int16)
        volume = read_volume(image, label, label_values={0: 0, 1: 1, 2: 0, 4: 2, -7: 255})
        assert volume.label.dtype == np.uint8
        assert volume.label.ravel().tolist()[:5] == [1, 0, 2, 255, 0]

    def test_float_labels_as_in_brats_2015(self, tmp_path, image):
        label = self.label(tmp_path, [0.0, 1.0, 2.0, 3.0, 4.0], np.float32)
        volume = read_volume(image, label, label_values={v: v for v in range(5)})
        assert volume.label.ravel().tolist()[:5] == [0, 1, 2, 3, 4]

    @given(
        values=st.lists(st.integers(0, 4), min_size=12, max_size=12), error=st.floats(-0.0009, 0.0009, allow_nan=False)
    )
    @settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_nearly_whole_numbers_are_rounded(self, tmp_path, image, values, error):
        label = self.label(tmp_path, np.array(values) + error, np.float64)
        volume = read_volume(image, label, label_values={v: v for v in range(5)})
        assert volume.label.ravel().tolist() == values

    def test_one_less_a_rounding_error(self, tmp_path, image):
        label = self.label(tmp_path, [0.99999997], np.float64)
        assert read_volume(image, label, label_values=TWO).label.ravel()[0] == 1

    def test_scale_factor(self, tmp_path, image):
        stored = nib.Nifti1Image(np.float64(np.arange(12).reshape(2, 2, 3) % 2), np.eye(4))
        stored.set_data_dtype(np.int32)
        nib.save(stored, tmp_path / "label.nii")
        assert read_volume(image, tmp_path / "label.nii", label_values=TWO).label.ravel().tolist() == [0, 1] * 6

    @pytest.mark.parametrize("value", [0.5, 0.002, np.nan, np.inf])
    def test_fractions(self, tmp_path, image, value):
        label = self.label(tmp_path, [1, value], np.float64)
        with pytest.raises(DataError, match=rf"label\.nii\.gz: label value {value:.6g} is not a whole number"):
            read_volume(image, label, label_values=TWO)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
    def test_unexpected_values_are_sorted(self, tmp_path, image, dtype):
        label = self.label(tmp_path, [9, 1, 5, 3, 9], dtype)
        with pytest.raises(DataError, match=r"label\.nii\.gz: unexpected label values 3, 5, 9; expected \[0, 1\]"):
            read_volume(image, label, label_values=TWO)

    def test_a_nifti_mask_of_0_and_255_is_not_guessed(self, tmp_path, image):
        label = self.label(tmp_path, [255], np.uint8)
        with pytest.raises(DataError, match="unexpected label values 255"):
            read_volume(image, label, label_values=TWO)

    def test_scribble_0_is_background_and_4_is_not_annotated(self, tmp_path, image):
        label = self.label(tmp_path, [0, 1, 4], np.uint8)
        volume = read_volume(image, label, label_values={0: 0, 1: 1, 4: 255})
        assert volume.label.ravel().tolist()[:4] == [0, 1, 255, 0]

    def test_label_values_are_needed(self, tmp_path, image):
        with pytest.raises(DataError, match="give label_values"):
            read_volume(image, self.label(tmp_path, [1], np.uint8))

    @pytest.mark.parametrize("number", [-1, 256])
    def test_class_numbers_out_of_range(self, tmp_path, image, number):
        with pytest.raises(DataError, match="class numbers lie in"):
            read_volume(image, self.label(tmp_path, [1], np.uint8), label_values={0: 0, 1: number})

    def test_shapes_that_differ(self, tmp_path, image):
        label = save(tmp_path / "label.nii", np.zeros((2, 3, 2), np.uint8))
        with pytest.raises(DataError, match=r"image\.nii has shape \(2, 2, 3\).*label\.nii has \(2, 3, 2\)"):
            read_volume(image, label, label_values=TWO)

    def test_channels_do_not_count_for_the_shape(self, tmp_path):
        image = save(tmp_path / "image.nii", np.zeros((2, 2, 3, 4), np.float32))
        label = self.label(tmp_path, [1], np.uint8)
        assert read_volume(image, label, label_values=TWO).image.shape == (4, 2, 2, 3)
        with pytest.raises(DataError, match="a label has one channel, this file holds 4"):
            read_volume(image, image, label_values=TWO)

    def test_stored_label_values(self, tmp_path):
        assert stored_label_values(self.label(tmp_path, [7, -2, 7], np.int16)) == (-2, 0, 7)


class TestPictures:
    array = np.random.default_rng(0).integers(0, 255, (6, 4, 3)).astype(np.uint8)

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
    def test_colours(self, tmp_path, suffix):
        path = tmp_path / f"a, b{suffix}"
        Image.fromarray(self.array).save(path)
        volume = read_volume(path)
        assert stored_shape(path) == (6, 4)
        np.testing.assert_array_equal(volume.image, np.moveaxis(self.array, 2, 0)[..., None])
        assert volume.placeholder_spacing
        np.testing.assert_array_equal(read_volume(path, channel=1).image[0, :, :, 0], self.array[..., 1])

    def test_jpeg_and_pages(self, tmp_path):
        Image.fromarray(self.array).save(tmp_path / "a.jpg")
        assert read_volume(tmp_path / "a.jpg").image.shape == (3, 6, 4, 1)
        pages = [Image.fromarray(self.array[..., c]) for c in range(3)]
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
        assert stored_shape(tmp_path / "a.tif") == (6, 4, 3)
        np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").image[0], self.array)

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
    def test_masks(self, tmp_path, mode):
        foreground = np.zeros((6, 4), bool)
        foreground[1:3, 2] = True
        grey = Image.fromarray(foreground.astype(np.uint8) * 255)
        if mode == "P":
            mask = Image.fromarray(foreground.astype(np.uint8) * 3, mode="L")
            mask.putpalette([0, 0, 0, 9, 9, 9, 8, 8, 8, 200, 0, 0])
        else:
            mask = grey.convert(mode)
        Image.fromarray(self.array).save(tmp_path / "a.png")
        mask.save(tmp_path / "mask.png")
        volume = read_volume(tmp_path / "a.png", tmp_path / "mask.png", label_values=TWO)
        np.testing.assert_array_equal(volume.label[:, :, 0], foreground)

    @pytest.mark.parametrize("mode", ["L", "P"])
    def test_class_numbers_in_a_mask(self, tmp_path, mode):
        numbers = np.arange(24, dtype=np.uint8).reshape(6, 4) % 3
        mask = Image.fromarray(numbers)
        if mode == "P":
            mask.putpalette([0, 0, 0, 9, 0, 0, 8, 8, 8])
        mask.save(tmp_path / "mask.png")
        volume = read_volume(tmp_path / "mask.png", tmp_path / "mask.png", label_values={0: 0, 1: 2, 2: 1})
        np.testing.assert_array_equal(volume.label[:, :, 0], np.choose(numbers, [0, 2, 1]))

    def test_declared_255_stays_not_annotated(self, tmp_path):
        Image.fromarray(np.uint8([[0, 1, 255]])).save(tmp_path / "mask.png")
        path = tmp_path / "mask.png"
        assert read_volume(path, path, label_values={0: 0, 1: 1, 255: 255}).label.ravel().tolist() == [0, 1, 255]

    def test_two_codings_in_one_mask(self, tmp_path):
        path = tmp_path / "mask.png"
        Image.fromarray(np.uint8([[0, 1, 255]])).save(path)
        with pytest.raises(DataError, match=r"mask\.png: unexpected label values 255; .*declare with label_values"):
            read_volume(path, path, label_values=TWO)

    def test_grey_values_and_colours_are_errors(self, tmp_path):
        Image.fromarray(np.uint8([[0, 255, 254, 3]])).save(tmp_path / "grey.png")
        with pytest.raises(DataError, match=r"grey\.png: unexpected label values 3, 254, 255; .*threshold it first"):
            read_volume(tmp_path / "grey.png", tmp_path / "grey.png", label_values=TWO)
        Image.fromarray(self.array).save(tmp_path / "colour.png")
        with pytest.raises(DataError, match=r"colour\.png: a label in colours"):
            read_volume(tmp_path / "colour.png", tmp_path / "colour.png", label_values=TWO)

    def test_mask_of_another_size(self, tmp_path):
        Image.fromarray(self.array).save(tmp_path / "a.png")
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "mask.png")
        with pytest.raises(DataError, match=r"a\.png has shape \(6, 4, 1\).*mask\.png has \(8, 8, 1\)"):
            read_volume(tmp_path / "a.png", tmp_path / "mask.png", label_values=TWO)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_oblique_metaimage_agrees_with_nifti(tmp_path, suffix):
    array = np.random.default_rng(0).integers(-5, 90, (4, 3, 2)).astype(np.int16)  # z, y, x
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((10, -20, 30))
    cos, sin = np.cos(0.3), np.sin(0.3)
    image.SetDirection((cos, -sin, 0, sin, cos, 0, 0, 0, 1))
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, path)
    sitk.WriteImage(image, tmp_path / "b.nii.gz")
    ours, nifti = read_volume(path), read_volume(tmp_path / "b.nii.gz")
    assert stored_shape(path) == (2, 3, 4)
    np.testing.assert_array_equal(ours.image, array.T[None])
    np.testing.assert_array_equal(ours.image, nifti.image)
    np.testing.assert_allclose(ours.affine, nifti.affine, atol=1e-5)
    assert ours.spacing == pytest.approx((0.5, 0.75, 3.0))
    mixed = read_volume(path, tmp_path / "b.nii.gz", label_values={int(v): 0 for v in np.unique(array)})
    assert mixed.label.shape == (2, 3, 4)


def test_metaimage_channels_and_2d(tmp_path):
    array = np.arange(48, dtype=np.float32).reshape(2, 3, 4, 2)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), tmp_path / "a.mha")
    assert stored_shape(tmp_path / "a.mha") == (4, 3, 2)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mha").image, array.transpose(3, 2, 1, 0))
    sitk.WriteImage(sitk.GetImageFromArray(array[0, :, :, 0]), tmp_path / "b.mha")
    np.testing.assert_array_equal(read_volume(tmp_path / "b.mha").image[0, :, :, 0], array[0, :, :, 0].T)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_colours_are_no_slices(tmp_path, suffix):
    colours = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), tmp_path / f"a{suffix}")
    assert stored_shape(tmp_path / f"a{suffix}") == (5, 4)
    assert [item.id for item in folder(tmp_path, labels=None)] == ["a"]
    np.testing.assert_array_equal(read_volume(tmp_path / f"a{suffix}").image[..., 0], colours.transpose(2, 1, 0))


def test_name_without_suffix():
    assert [name_without_suffix(n) for n in ("x/a.nii.gz", "b.v2.NII", "c", "d, e.png")] == ["a", "b.v2", "c", "d, e"]


def test_reading_alone_imports_neither_torch_nor_monai():
    code = (
        "import importlib.util, sys, types; import monai_al;"
        "package = types.ModuleType('monai_al.data'); package.__path__ = [monai_al.__path__[0] + '/data'];"
        "sys.modules['monai_al.data'] = package; import monai_al.data.reading;"
        "assert not {'torch', 'monai', 'nibabel', 'SimpleITK', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_warning_in_normal_use(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.ones((3, 3, 3), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_volume(path, path, label_values=TWO)
