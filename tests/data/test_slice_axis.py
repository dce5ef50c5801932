# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Files with another order of axes are read alike once it is said where their slices lie, and written as they lie."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monai_al.data import Pool, SliceDataset, VolumeCache, read_volume, slices_of, whole_volumes
from monai_al.data.label_files import is_untouched, write_label_map
from monai_al.data.slice_axis import coarsest_axis, in_stored_order, slices_last, stored_spacing

OBLIQUE = np.array([[0.6, -0.3, 0.8, -31.5], [0.3, 0.6, -1.1, 12.25], [0.1, 0.2, 4.0, 7.0], [0, 0, 0, 1]])
AXES = st.integers(0, 2)
SHAPES = st.tuples(*[st.integers(1, 5)] * 3)


def store(path, array, affine):
    """Write an array ``(x, y, z)`` and its affine in RAS as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".nii":
        nib.save(nib.Nifti1Image(array, affine), path)
    elif path.suffix == ".tif":
        pages = [Image.fromarray(np.ascontiguousarray(array[:, :, z])) for z in range(array.shape[2])]
        pages[0].save(path, save_all=True, append_images=pages[1:])
    else:
        image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
        lps = np.diag([-1.0, -1, 1, 1]) @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        sitk.WriteImage(image, str(path))


@given(shape=SHAPES, axis=AXES, data=st.data())
@settings(deadline=None, max_examples=40)
def test_every_voxel_keeps_its_place_and_the_way_back_is_exact(shape, axis, data):
    array = np.random.default_rng(0).random((2, *shape))
    last, affine = slices_last(array, OBLIQUE, axis)
    assert last.shape[-1] == shape[axis]
    voxel = data.draw(st.tuples(*(st.integers(0, n - 1) for n in shape)))
    moved = (*(v for a, v in enumerate(voxel) if a != axis), voxel[axis])
    assert (last[(slice(None), *moved)] == array[(slice(None), *voxel)]).all()
    np.testing.assert_allclose(affine @ [*moved, 1], OBLIQUE @ [*voxel, 1])
    back, affine = in_stored_order(last, affine, axis)
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(affine, OBLIQUE)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".tif"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_transposed_file_reads_alike_and_its_label_map_lies_on_it(tmp_path, suffix, axis):
    rng = np.random.default_rng(1)
    image, label = rng.integers(0, 200, (9, 8, 4), np.uint8), rng.integers(0, 3, (9, 8, 4), np.uint8)
    label[0, 0, 0] = 2
    for folder, own in (("plain", 2), ("turned", axis)):
        for name, array in (("image", image), ("label", label)):
            store(tmp_path / folder / f"{name}{suffix}", *in_stored_order(array, OBLIQUE, own))
    files = {name: [tmp_path / name / f"{part}{suffix}" for part in ("image", "label")] for name in ("plain", "turned")}
    values = {number: number for number in range(3)}
    plain = read_volume(*files["plain"], label_values=values)
    turned = read_volume(*files["turned"], label_values=values, slice_axis=axis)
    for name in ("image", "label", "spacing"):
        np.testing.assert_allclose(getattr(turned, name), getattr(plain, name), rtol=1e-6)
    if suffix != ".tif":  # which has no geometry
        np.testing.assert_allclose(turned.affine, plain.affine, atol=1e-4)

    write_label_map(
        tmp_path / "seg.nii.gz", turned.label, like=files["turned"][0], affine=turned.affine, slice_axis=axis
    )
    written, stored = nib.load(tmp_path / "seg.nii.gz"), read_volume(*files["turned"], label_values=values)
    np.testing.assert_array_equal(np.asarray(written.dataobj), stored.label)
    assert is_untouched(tmp_path / "seg.nii.gz")
    if suffix != ".tif":
        np.testing.assert_allclose(written.affine, stored.affine, atol=1e-4)


def test_the_cache_tells_the_axes_of_one_file_apart(tmp_path):
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    store(tmp_path / "a.nii", image, np.eye(4))
    cache = VolumeCache(tmp_path / "cache", progress=False)
    for again in (cache, VolumeCache(tmp_path / "cache", progress=False)):
        for axis in range(3):
            item = slices_of(3, image=str(tmp_path / "a.nii"), volume="a", patient="a", slice_axis=axis)[1]
            np.testing.assert_array_equal(again.get(item).image[1, 0], image.take(1, axis))


def test_whole_volumes_have_the_axis_last_too(tmp_path):
    image = np.random.default_rng(0).random((4, 6, 8)).astype(np.float32)
    store(tmp_path / "a.nii", image, OBLIQUE)
    (whole,) = whole_volumes(Pool(slices_of(4, image=str(tmp_path / "a.nii"), volume="a", patient="a", slice_axis=0)))
    entry = SliceDataset([whole], VolumeCache(tmp_path / "cache", progress=False))[0]
    np.testing.assert_array_equal(entry["image"][0], np.moveaxis(image, 0, -1))


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_spacing_is_that_of_the_axes_and_needs_the_header_alone(tmp_path, suffix):
    store(tmp_path / f"a{suffix}", np.zeros((20, 30, 10), np.float32), OBLIQUE)
    if suffix != ".mha":  # whose voxels are looked at
        whole = (tmp_path / f"a{suffix}").read_bytes()
        (tmp_path / f"a{suffix}").write_bytes(whole[:1000])
    np.testing.assert_allclose(
        stored_spacing(tmp_path / f"a{suffix}"), np.linalg.norm(OBLIQUE[:3, :3], axis=0), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((4, 0.5, 0.5), 0), ((0.5, 4, 0.6), 1), ((0.5, 0.5, 4), 2), ((1, 1, 1), None), ((1.4, 1, 1), None),
     ((3, 3, 1), None), ((1.5, 1, 1), 0), ((float("nan"), 1, 1), None), ((0, 1, 1), None), (None, None)],
)  # fmt: skip
def test_coarsest_axis(spacing, axis):
    assert coarsest_axis(spacing) == axis
