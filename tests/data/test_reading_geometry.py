# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where stored images and labels lie, and when they lie at one place."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from monai_al.data import DataError
from monai_al.data.reading import read_volume

TWO = {0: 0, 1: 1}


def save(path, array, affine=None):
    nib.save(nib.Nifti1Image(np.asarray(array), np.eye(4) if affine is None else affine), path)
    return path


SPACING = np.diag([0.5, 2.0, 3.0, 1.0])


def test_s_form_wins_over_q_form(tmp_path):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), None)
    image.set_qform(np.eye(4), code=1)
    image.set_sform(SPACING, code=2)
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.affine, SPACING)
    assert volume.spacing == (0.5, 2.0, 3.0)
    assert not volume.placeholder_spacing


def test_q_form_where_the_s_form_has_code_0(tmp_path):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), None)
    image.set_sform(np.diag([9.0, 9.0, 9.0, 1.0]), code=0)
    image.set_qform(SPACING, code=1)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").affine, SPACING)


@pytest.mark.parametrize(("zooms", "placeholder"), [((1, 1, 1), True), ((1, 1, 5), False)])
def test_voxel_sizes_where_no_form_is_set(tmp_path, zooms, placeholder):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), None)
    image.header.set_zooms(zooms)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.spacing == zooms
    assert volume.placeholder_spacing is placeholder


def test_no_axis_is_permuted(tmp_path):
    posterior_superior_right = np.array([[0, 0, -4, 0], [-1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1.0]])
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    volume = read_volume(save(tmp_path / "a.nii", array, posterior_superior_right))
    np.testing.assert_array_equal(volume.image[0], array)
    assert volume.spacing == (1, 2, 4)


def test_unusable_geometry(tmp_path):
    affine = np.eye(4)
    affine[2, 2] = 0
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), None)
    image.set_sform(affine, code=1, update_affine=False)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(DataError, match="no usable geometry"):
        read_volume(tmp_path / "a.nii")


def test_affines_that_differ(tmp_path):
    other = np.eye(4)[[1, 0, 2, 3]]
    other[0, 3] = 200
    image = save(tmp_path / "image.nii", np.zeros((3, 3, 3), np.uint8))
    label = save(tmp_path / "label.nii", np.ones((3, 3, 3), np.uint8), other)
    with pytest.raises(
        DataError, match=r"image\.nii.*label\.nii.*differ by up to 20\d voxel edges.*--datalist#affine_tolerated"
    ):
        read_volume(image, label, label_values=TWO)
    with pytest.warns(UserWarning, match="the image's geometry is used") as caught:
        volume = read_volume(image, label, label_values=TWO, affine_tolerated=True)
    assert len(caught) == 1
    np.testing.assert_array_equal(volume.affine, np.eye(4))
    assert (volume.label == 1).all()


@pytest.mark.parametrize(("shift", "fine"), [(0.049, True), (0.051, False)])
def test_tolerance_of_affines(tmp_path, shift, fine):
    affine, other = (np.diag([0.5, 2.0, 3.0, 1.0]) for _ in range(2))
    other[1, 3] = shift
    image = save(tmp_path / "image.nii", np.zeros((3, 3, 3), np.uint8), affine)
    label = save(tmp_path / "label.nii", np.zeros((3, 3, 3), np.uint8), other)
    if fine:
        assert read_volume(image, label, label_values=TWO).label is not None
    else:
        with pytest.raises(DataError, match=r"0\.102 voxel edges, more than 0\.1"):
            read_volume(image, label, label_values=TWO)


@pytest.mark.parametrize("both_placed", [True, False])
@pytest.mark.parametrize("tolerated", [True, False])
def test_a_label_in_another_order_of_its_voxels(tmp_path, both_placed, tolerated):
    labels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5) % 3
    affine = np.array([[0.6, -1.6, 0, 5], [0.8, 1.2, 0, -6], [0, 0, 3, 7], [0, 0, 0, 1]])
    image = save(tmp_path / "image.nii", np.zeros((3, 4, 5), np.int16), affine)
    turned = sitk.GetImageFromArray(np.ascontiguousarray(labels.T))
    turned.SetDirection((np.diag([-1, -1, 1]) @ (affine[:3, :3] / [1, 2, 3])).ravel().tolist())
    turned.SetSpacing((1, 2, 3))
    turned.SetOrigin((-5, 6, 7))
    turned = sitk.Flip(sitk.PermuteAxes(turned, (2, 0, 1)), (True, False, True))
    sitk.WriteImage(turned, tmp_path / "label.mhd")
    options = {"label_values": {n: n for n in range(3)}, "affine_tolerated": tolerated}
    if both_placed:
        found = read_volume(image, tmp_path / "label.mhd", **options)
        np.testing.assert_array_equal(found.label, labels)
        np.testing.assert_allclose(found.affine, affine, atol=1e-6)
        return
    header = (tmp_path / "label.mhd").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "label.mhd").write_text("".join(x for x in header if not x.startswith("Transform")), "utf-8")
    with pytest.raises(DataError, match=r"has shape \(3, 4, 5\) but its label .* has \(5, 3, 4\)"):
        read_volume(image, tmp_path / "label.mhd", **options)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_headers_that_state_no_voxel_size(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    image = sitk.Image(4, 5, 6, sitk.sitkInt16)
    sitk.WriteImage(image, path)
    assert not read_volume(path).placeholder_spacing
    text = path.read_bytes()
    for field in (b"ElementSpacing", b"space"):
        text = b"\n".join(line for line in text.split(b"\n") if not line.startswith(field))
    path.write_bytes(text)
    assert read_volume(path).placeholder_spacing
    extra = b"spacings: 2 2 2\n" if suffix == ".nrrd" else b"ElementSize = 2 2 2\n"
    before = b"encoding" if suffix == ".nrrd" else b"ElementDataFile"
    path.write_bytes(text.replace(before, extra + before))
    volume = read_volume(path)
    assert (volume.spacing, volume.placeholder_spacing) == ((2, 2, 2), False)
