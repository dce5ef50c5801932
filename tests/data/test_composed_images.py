# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images put together from several files."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_al.data import DataError, Item, VolumeCache, read_volume, stored_shape
from monai_al.data.label_files import write_label_map
from monai_al.records.stored_files import as_channels


@pytest.fixture
def channels(tmp_path):
    def make(*arrays, affines=()):
        paths = []
        for k, array in enumerate(arrays):
            paths.append(tmp_path / f"a_{k}.nii.gz")
            nib.save(nib.Nifti1Image(array, affines[k] if affines else np.diag([1.0, 1, 3, 1])), paths[-1])
        return as_channels(paths)

    return make


def test_channels_in_order(channels, tmp_path):
    arrays = [np.random.default_rng(k).integers(0, 9, (4, 5, 3)).astype(np.int16) for k in range(3)]
    image = channels(*arrays)
    assert stored_shape(image) == (4, 5, 3)
    stored = read_volume(image)
    np.testing.assert_array_equal(stored.image, np.stack(arrays))
    assert stored.spacing == (1, 1, 3)
    cached = VolumeCache(tmp_path / "cache", progress=False).get(Item("a", image, "a", "a"))
    assert cached.image.shape == (3, 3, 4, 5)
    write_label_map(tmp_path / "seg.nii.gz", np.zeros((4, 5, 3), np.uint8), like=image, affine=stored.affine)
    assert nib.load(tmp_path / "seg.nii.gz").header.get_zooms() == (1, 1, 3)


def test_one_grid_for_all(channels):
    zeros = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(DataError, match=r"a_1\.nii\.gz and .*a_0\.nii\.gz are channels .* different shapes"):
        stored_shape(channels(zeros, zeros[:3]))
    shifted = np.eye(4)
    shifted[0, 3] = 2
    with pytest.raises(DataError, match="different positions, 2 voxel edges apart;"):
        read_volume(channels(zeros, zeros, affines=[np.eye(4), shifted]))
    with pytest.raises(DataError, match=r"gone\.nii: does not exist"):
        read_volume(channels(zeros) + "|gone.nii")
    with pytest.raises(DataError, match="a label is one file"):
        read_volume(channels(zeros), channels(zeros, zeros), label_values={0: 0})


def test_one_channel(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_volume(f"{tmp_path}/a.png#channel=2").image[0, ..., 0], colours[..., 2])
    with pytest.raises(DataError, match=r"a\.png#channel=3: the image has 3 channels"):
        read_volume(f"{tmp_path}/a.png#channel=3")


def test_some_files_of_a_folder(tmp_path):
    for k in range(1, 12):
        Image.fromarray(np.full((4, 5), k, np.uint8)).save(tmp_path / f"x_{k}.tif")
        Image.fromarray(np.full((4, 5), k % 2, np.uint8)).save(tmp_path / f"x_{k}_mask.tif")
    stored = read_volume(tmp_path / "*[0-9].tif", tmp_path / "*_mask.tif", label_values={0: 0, 1: 1})
    assert stored.image[0, 0, 0].tolist() == list(range(1, 12))
    assert stored.label[0, 0].tolist() == [k % 2 for k in range(1, 12)]
    with pytest.raises(DataError, match=r"\*\.png: does not exist"):
        read_volume(tmp_path / "*.png")


@pytest.mark.parametrize(
    ("kinds", "slices", "message"),
    [
        ((1, 1, 3), False, r"2\.png: is of 3 channels, as 1 of 3 images are, .*0\.png of 1 channel \(2\).*channel 0"),
        ((1, 3, 1), True, r"1\.nii: is of 3 channels"),
        (("2D", 1, 1), False, r"0\.png: is 2D, as 1 of 3 images are, .*1\.nii 3D \(2\)"),
    ],
)
def test_images_of_several_kinds_are_refused(tmp_path, kinds, slices, message):
    flat = not slices and "2D" not in kinds
    items = []
    for k, kind in enumerate(kinds):
        n = 1 if kind == "2D" else kind
        if flat or kind == "2D":
            image = tmp_path / f"{k}.png"
            Image.fromarray(np.zeros((4, 5, 3) if n == 3 else (4, 5), np.uint8)).save(image)
        else:
            image = tmp_path / f"{k}.nii"
            nib.save(nib.Nifti1Image(np.zeros((4, 5, 2, n), np.uint8), np.eye(4)), image)
        items.append(Item(f"{k}/0000" if slices else str(k), str(image), str(k), str(k), slice=0 if slices else None))
    cache = VolumeCache(tmp_path / "cache", progress=False)
    with pytest.raises(DataError, match=message):
        cache.prepare(items)
    with pytest.raises(DataError, match=message):  # also when all of it was read before
        VolumeCache(tmp_path / "cache", progress=False).prepare(items)
