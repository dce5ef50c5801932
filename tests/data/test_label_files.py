# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Label maps lie exactly where their images lie."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monai_al.data import DataError, read_volume
from monai_al.data.label_files import is_untouched, stored_values, write_label_map

OBLIQUE = np.array([[1.4, -0.3, 0.2, -31.5], [0.4, 0.6, -1.1, 12.25], [0.1, 0.2, 4.0, 7.0], [0, 0, 0, 1]])
ROTATED = np.array([[0.6, -1.6, 0, 5], [0.8, 1.2, 0, -6], [0, 0, 3, 7], [0, 0, 0, 1]], dtype=float)


def labels_of(shape, dtype=np.uint8):
    values = np.random.default_rng(0).choice([0, 2, 7], shape)
    return values.astype(dtype)


def save_nifti(path, shape, *, sform=(OBLIQUE, 1), qform=(ROTATED, 1), kind=nib.Nifti1Image, header=None):
    image = kind(np.zeros(shape, np.float32), None, header)
    if sform is not None:
        image.set_sform(*sform)
    if qform is not None:
        image.set_qform(*qform)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"a name that must not go on"
    nib.save(image, path)


def written(folder, labels, like, affine=None):
    affine = read_volume(like).affine if affine is None else affine
    write_label_map(folder / "out" / "seg.nii.gz", labels, like=like, affine=affine)
    return nib.load(folder / "out" / "seg.nii.gz")


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 1), (5, 4, 3, 2), (5, 4, 3, 1, 2)])
@pytest.mark.parametrize(
    "forms",
    [
        {"sform": (OBLIQUE, 1), "qform": (ROTATED, 2)},
        {"sform": (OBLIQUE, 4), "qform": None},
        {"sform": None, "qform": (ROTATED, 1)},
        {"sform": None, "qform": None},
    ],
)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_nifti_gives_its_geometry_as_it_is(tmp_path, shape, forms, kind):
    save_nifti(tmp_path / "image.nii.gz", shape, kind=kind, **forms)
    labels = labels_of((*shape[:3], 1)[:3])
    found, image = written(tmp_path, labels, tmp_path / "image.nii.gz"), nib.load(tmp_path / "image.nii.gz")
    assert found.shape == shape[:3]
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(found.dataobj), labels.reshape(shape[:3]))
    np.testing.assert_array_equal(found.affine, image.affine)
    for get in ("get_sform", "get_qform"):
        (ours, code), (theirs, their_code) = (getattr(n.header, get)(coded=True) for n in (found, image))
        assert code == their_code
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs)
    assert found.header.get_zooms() == image.header.get_zooms()[: found.ndim]
    assert found.header["descrip"].item().startswith(b"monai_al label map ")
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4)])
def test_what_was_written_is_known_again_until_it_is_changed(tmp_path, shape):
    save_nifti(tmp_path / "image.nii.gz", shape)
    for dtype in (np.uint8, np.uint16):
        found = written(tmp_path, labels_of((*shape, 1)[:3], dtype), tmp_path / "image.nii.gz")
        path = tmp_path / "out" / "seg.nii.gz"
        assert is_untouched(path)
        corrected = np.asarray(found.dataobj).copy()
        corrected[0, 0] += 1
        nib.save(type(found)(corrected, found.affine, found.header), path)  # keeps the header, as editors do
        assert not is_untouched(path)
        path.write_bytes(b"no NIfTI")
        assert not is_untouched(path)
    assert not is_untouched(tmp_path / "image.nii.gz")
    assert not is_untouched(tmp_path / "gone.nii.gz")


def test_a_big_endian_header_is_understood(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    save_nifti(tmp_path / "image.nii", (5, 4, 3), header=header)
    found = written(tmp_path, labels_of((5, 4, 3)), tmp_path / "image.nii")
    np.testing.assert_array_equal(found.affine, nib.load(tmp_path / "image.nii").affine)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
@pytest.mark.parametrize("size", [(5, 4), (5, 4, 3), (5, 4, 1)])
def test_other_volumes_are_found_again_by_simpleitk(tmp_path, suffix, size):
    image = sitk.GetImageFromArray(np.zeros(size[::-1], np.float32))
    angle = np.deg2rad(30)
    turn = np.eye(len(size))
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    image.SetDirection(turn.ravel().tolist())
    image.SetSpacing([0.7, 1.3, 4.0][: len(size)])
    image.SetOrigin([-12.5, 3.0, 40.0][: len(size)])
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(image, str(path))
    labels = labels_of((*size, 1)[:3])
    found = written(tmp_path, labels, path)
    assert found.shape == size
    np.testing.assert_allclose(found.affine, read_volume(path).affine, atol=1e-5)
    again = sitk.ReadImage(str(tmp_path / "out" / "seg.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(again).T, labels.reshape(size))
    if len(size) == 3:
        for get in ("GetOrigin", "GetSpacing", "GetDirection"):
            np.testing.assert_allclose(getattr(again, get)(), getattr(image, get)(), atol=1e-5)


def test_a_picture_has_rows_and_columns(tmp_path):
    Image.fromarray(np.zeros((5, 4, 3), np.uint8)).save(tmp_path / "image.png")
    labels = labels_of((5, 4, 1))
    found = written(tmp_path, labels, tmp_path / "image.png")
    np.testing.assert_array_equal(np.asarray(found.dataobj), labels[:, :, 0])
    assert int(found.header["sform_code"]) == int(found.header["qform_code"]) == 0
    with_label = read_volume(tmp_path / "image.png", tmp_path / "out" / "seg.nii.gz", label_values={0: 0, 2: 1, 7: 2})
    np.testing.assert_array_equal(np.array([0, 2, 7])[with_label.label], labels)


def test_another_shape_is_an_error(tmp_path):
    save_nifti(tmp_path / "image.nii", (5, 4, 3))
    with pytest.raises(DataError, match=r"image\.nii: has the shape \(5, 4, 3\), its label map \(4, 5, 3\)"):
        written(tmp_path, labels_of((4, 5, 3)), tmp_path / "image.nii")
    assert not list(tmp_path.rglob("seg*"))


@pytest.mark.parametrize("value", [-3, 200, 300, 70000])
def test_large_and_negative_values_are_kept(tmp_path, value):
    save_nifti(tmp_path / "image.nii", (2, 2, 2))
    values = stored_values({0: 0, value: 1})
    found = written(tmp_path, values[np.eye(2, dtype=int)[..., None].repeat(2, 2)], tmp_path / "image.nii")
    assert set(np.unique(np.asarray(found.dataobj))) == {0, value}


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.integers(-100, 1000), st.integers(0, 5), min_size=1))
def test_stored_values_lead_back_to_their_classes(label_values):
    numbers = set(label_values.values())
    if numbers != set(range(len(numbers))):
        with pytest.raises(ValueError, match="no stored label value stands for class"):
            stored_values(label_values)
        return
    found = stored_values({**label_values, 2000: 255})
    assert [label_values[int(value)] for value in found] == list(range(len(numbers)))
    for number, value in enumerate(found):
        assert value == min(v for v, n in label_values.items() if n == number)
