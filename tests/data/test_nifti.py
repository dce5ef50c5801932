# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest

from monai_al.data import DataError, SimpleITKReader, read_volume, stored_shape
from monai_al.data.file_ends import may_be_cut_off
from monai_al.data.nifti import nifti_affines, nifti_shape, open_nifti
from monai_al.data.slice_axis import stored_spacing

NOISE = np.random.default_rng(0).integers(0, 999, (20, 21, 22)).astype(np.int16)


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(NOISE, np.eye(4)), path)
    return path


def reader(path):
    return SimpleITKReader().get_data(SimpleITKReader().read(path))


def changed(content, place, change):
    """A gzip file whose unpacked content differs in a byte, with the trailer of before."""
    unpacked = bytearray(gzip.decompress(content))
    unpacked[place] ^= change
    return gzip.compress(bytes(unpacked), mtime=0)[:-8] + content[-8:]


@pytest.mark.parametrize("read", [read_volume, reader])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: changed(content, -1, 1),
        lambda content: changed(content, 352, 64),
        lambda content: content[:-8] + bytes(4) + content[-4:],
        lambda content: content[:-4] + bytes(4),
        lambda content: content[:-3],
        lambda content: content + b"garbage",
    ],
    ids=["last voxel", "first voxel", "checksum", "length", "no trailer", "garbage behind"],
)
def test_a_gzip_file_is_read_to_its_end(packed, damage, read):
    packed.write_bytes(damage(packed.read_bytes()))
    with pytest.raises(DataError, match=r"a\.nii\.gz: cannot be read \(\w+: .*copy it again"):
        read(packed)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("more", "fine"), [(16, True), (20 * 21 * 22 * 2, False)])
def test_bytes_behind_the_voxels(tmp_path, packed, suffix, more, fine):
    content = gzip.decompress(packed.read_bytes()) + bytes(more)
    path = tmp_path / f"b{suffix}"
    path.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    if fine:
        np.testing.assert_array_equal(read_volume(path).image[0], NOISE)
        return
    with pytest.raises(DataError, match=r"b\.nii.*: holds more slices than the 20 x 21 x 22 voxels"):
        read_volume(path)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("read", [read_volume, stored_shape, reader])
def test_more_voxels_than_the_file_can_hold(tmp_path, kind, suffix, read):
    path = tmp_path / f"a{suffix}"
    shape = (30000, 30000, 30000) if kind is nib.Nifti1Image else (1 << 20, 1 << 20, 50)
    content = bytearray(kind(np.zeros((4, 4, 4), np.int16), np.eye(4)).to_bytes())
    place, code = (40, "<4h") if kind is nib.Nifti1Image else (16, "<4q")
    struct.pack_into(code, content, place, 3, *shape)
    path.write_bytes(gzip.compress(bytes(content)) if suffix == ".nii.gz" else content)
    with pytest.raises(
        DataError, match=rf"a\.nii.*: its header declares {shape[0]} x {shape[1]} x .* but the file has"
    ):
        read(path)


@pytest.mark.parametrize("shape", [(-5, 4, 4), (0, 4, 4), (4, 4, 0)])
@pytest.mark.parametrize("read", [read_volume, stored_shape, reader])
def test_no_voxels(tmp_path, shape, read):
    content = bytearray(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)).to_bytes())
    struct.pack_into("<3h", content, 42, *shape)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.nii: holds no voxels \(shape \({shape[0]}, 4, {shape[2]}\)\)"):
        read(tmp_path / "a.nii")


def test_the_best_compression_is_not_refused(tmp_path):
    content = gzip.compress(nib.Nifti1Image(np.zeros((200, 200, 200), np.uint8), np.eye(4)).to_bytes(), compresslevel=9)
    assert len(content) < 200**3 / 950
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert stored_shape(tmp_path / "a.nii.gz") == (200, 200, 200)


@pytest.mark.parametrize("size", [0.1625, 0.0045, 0.7, 0.2734375])
@pytest.mark.parametrize(("unit", "millimetres"), [("micron", 1e-3), ("mm", 1)])
def test_small_voxels_keep_their_size(tmp_path, size, unit, millimetres):
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([size, size, 3 * size, 1]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    expected = np.array([size, size, 3 * size]) * millimetres
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").spacing, expected, rtol=1e-6)


@pytest.mark.parametrize(("unit", "millimetres"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1), ("unknown", 1)])
@pytest.mark.parametrize("form", ["sform", "qform", "pixdim"])
@pytest.mark.parametrize("read", [read_volume, reader])
def test_units_become_millimetres(tmp_path, unit, millimetres, form, read):
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = [10, -20, 30]
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), affine if form != "pixdim" else None)
    if form == "pixdim":
        image.header.set_zooms((2, 3, 4))
    image.header[{"sform": "qform_code", "qform": "sform_code"}.get(form, "qform_code")] = 0
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "a.nii")
    expected = nib.load(tmp_path / "a.nii").affine
    expected[:3] *= millimetres
    if read is reader:
        meta = reader(tmp_path / "a.nii")[1]
        np.testing.assert_allclose(meta["affine"], expected)
        np.testing.assert_allclose(meta["original_affine"], expected)
        np.testing.assert_allclose(meta["spacing"], np.array([2, 3, 4]) * millimetres)
        return
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.affine, expected)
    np.testing.assert_allclose(volume.spacing, np.array([2, 3, 4]) * millimetres)
    assert not volume.placeholder_spacing


def test_an_unknown_code_of_a_unit_is_taken_for_millimetres(tmp_path):
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header["xyzt_units"] = 7
    nib.save(image, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").spacing == (2, 2, 2)


def test_what_went_wrong_inside_is_told_first(packed):
    with pytest.raises(ZeroDivisionError), open_nifti(packed):
        raise ZeroDivisionError


def test_a_header_is_read_once_and_anew_when_its_file_changed(tmp_path, monkeypatch):
    name, opened, load = str(tmp_path / "a.nii.gz"), [], nib.load
    monkeypatch.setattr(nib, "load", lambda path, **options: opened.append(path) or load(path, **options))
    for shape in ((4, 5, 6), (4, 5, 7)):
        nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), np.diag([2, 2, 3, 1])), name)
        opened.clear()
        for _ in range(3):
            assert nifti_shape(name) == shape
            assert stored_spacing(name) == (2, 2, 3)
            assert not may_be_cut_off(name)
        assert opened == [name]
        assert nifti_affines(name)[0][0, 0] == 2
        nifti_affines(name)[0][:] = 0  # which is the caller's own
        assert nifti_affines(name)[0][0, 0] == 2
