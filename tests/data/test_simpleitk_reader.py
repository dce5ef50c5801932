# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import monai.data
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.data import NibabelReader
from monai.transforms import LoadImage, LoadImaged

import monai_al.data
from monai_al.data import DataError, SimpleITKReader, read_volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ITK = [".mhd", ".mha", ".nrrd"]


def random_affine(rng, shear=0.0, handed=None):
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if handed and np.linalg.det(axes) * handed < 0:
        axes[:, 0] *= -1
    affine = np.eye(4)
    affine[:3, :3] = axes @ (np.eye(3) + shear * np.triu(np.ones((3, 3)), 1)) @ np.diag(rng.uniform(0.3, 5, 3))
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    return affine


def numbers(rng, shape, dtype=np.int16):
    low = 0 if np.dtype(dtype).kind == "u" else -120
    return rng.integers(low, 120, shape).astype(dtype)


def itk_image(values, affine=None, vector=False):
    """A SimpleITK image of ``(x, y[, z][, c])`` values at a RAS affine, put together by its definition."""
    spatial = values.ndim - vector
    order = (*reversed(range(spatial)), *range(spatial, values.ndim))
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(order)), isVector=vector)
    if affine is not None:
        lps = LPS @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
    return image


def load(path, reader=SimpleITKReader, **options):
    return LoadImaged("image", reader=reader, **options)({"image": path})["image"]


def assert_alike(ours, theirs, tolerance=1e-5):
    """Equal values and channels; affines equal in relation to their size."""
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert ours.dtype == theirs.dtype
    for key in ("affine", "original_affine"):
        ours_, theirs_ = (np.asarray(image.meta[key]) for image in (ours, theirs))
        np.testing.assert_allclose(ours_, theirs_, rtol=0, atol=tolerance * np.abs(theirs_).max())
    assert np.asarray(ours.meta["spatial_shape"]).tolist() == np.asarray(theirs.meta["spatial_shape"]).tolist()
    assert str(ours.meta["original_channel_dim"]) == str(theirs.meta["original_channel_dim"])
    assert ours.meta["space"] == theirs.meta["space"] == "RAS"


# --- NIfTI: the same as MONAI's own reader ----------------------------------------------------------------------------


def save_nifti(path, values, affine=None, *, slope=None, **codes):
    image = nib.Nifti1Image(values, affine)
    image.header.set_data_dtype(values.dtype)
    for name, (form, code) in codes.items():
        getattr(image, f"set_{name}")(form, code)
        image.header[f"{name}_code"] = code
    content = bytearray(image.to_bytes())
    if slope is not None:  # nibabel itself writes none for values that need none
        header = image.header.copy()
        header["vox_offset"], header["magic"] = 352, b"n+1"
        header["scl_slope"], header["scl_inter"] = slope
        content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    shape=st.sampled_from([(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 3, 1), (5, 4, 3, 2), (5, 4, 1, 3), (5, 4, 3, 1, 2)]),
    dtype=st.sampled_from([np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64, ">i2", ">f4"]),
    slope=st.sampled_from([None, (1, -1024), (0.37, -3.1), (-2, 0.5)]),
    forms=st.sampled_from(["both", "q", "s", "none", "different", "sheared", "sheared and q"]),
    codes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    channel_first=st.booleans(),
)
def test_nifti_equals_nibabel_reader(tmp_path, seed, shape, dtype, slope, forms, codes, channel_first):
    rng = np.random.default_rng(seed)
    first, second = random_affine(rng), random_affine(rng)
    q, s = codes
    sheared = random_affine(rng, shear=rng.choice([1e-6, 1e-4, 1e-2, 0.3]))
    qform, sform = {
        "both": ((first, q), (first, s)),
        "q": ((first, q), (second, 0)),
        "s": ((second, 0), (first, s)),
        "none": ((first, 0), (second, 0)),
        "different": ((first, q), (second, s)),
        "sheared": ((first, 0), (sheared, s)),
        "sheared and q": ((first, q), (sheared, s)),
    }[forms]
    path = save_nifti(tmp_path / "a.nii", numbers(rng, shape, dtype), slope=slope, qform=qform, sform=sform)
    options = {"ensure_channel_first": channel_first}
    assert_alike(load(path, **options), load(path, NibabelReader, **options), tolerance=0)


@pytest.mark.parametrize("channel_dim", [None, 0, -1, 3, "no_channel"])
def test_channel_axis_of_nifti(tmp_path, channel_dim):
    path = save_nifti(tmp_path / "a.nii", numbers(np.random.default_rng(0), (3, 5, 4, 2)), np.eye(4))
    options = {"channel_dim": channel_dim, "ensure_channel_first": channel_dim != "no_channel"}
    assert_alike(load(path, **options), load(path, NibabelReader, **options))


def test_compressed_and_truncated_nifti(tmp_path):
    values = numbers(np.random.default_rng(0), (20, 20, 20))
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    assert_alike(load(tmp_path / "a.nii.gz"), load(tmp_path / "a.nii.gz", NibabelReader))
    save_nifti(tmp_path / "a.nii", values)
    for path in (tmp_path / "a.nii", tmp_path / "a.nii.gz"):
        path.write_bytes(path.read_bytes()[:-300])
        assert sitk.ReadImage(path).GetSize() == (20, 20, 20)  # SimpleITK invents the rest
        with pytest.raises(DataError, match=f"{path.name}: .* it (may be|is) truncated"):
            SimpleITKReader().get_data(SimpleITKReader().read(path))


def test_colours_of_nifti(tmp_path):
    values = np.zeros((4, 3, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    values["G"][1, 2, 0] = 7
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    loaded = load(tmp_path / "a.nii", ensure_channel_first=True)
    assert loaded.shape == (3, 4, 3, 2)
    assert loaded[1, 1, 2, 0] == 7 == loaded.sum()


# --- MetaImage and NRRD -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ITK)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shear", [0, 0.2])
@pytest.mark.parametrize("handed", [1, -1])
def test_a_volume_is_what_it_would_be_as_nifti(tmp_path, suffix, compressed, shear, handed):
    rng = np.random.default_rng([handed + 1, int(10 * shear), ITK.index(suffix)])
    for dtype in (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64):
        values, affine = numbers(rng, (5, 4, 3), dtype), random_affine(rng, shear, handed)
        sitk.WriteImage(itk_image(values, affine), tmp_path / f"a{suffix}", compressed)
        nib.save(nib.Nifti1Image(values, affine), tmp_path / "b.nii")
        ours, theirs = (load(tmp_path / name, dtype=None) for name in (f"a{suffix}", "b.nii"))
        assert_alike(ours, theirs)
        np.testing.assert_allclose(ours.affine, affine, rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours.meta["spacing"], np.linalg.norm(affine[:3, :3], axis=0), atol=1e-5)
        np.testing.assert_allclose(read_volume(tmp_path / f"a{suffix}").affine, affine, rtol=0, atol=1e-4)


@pytest.mark.parametrize("suffix", ITK)
@pytest.mark.parametrize(
    ("shape", "vector", "first"),
    [
        ((5, 4), False, (1, 5, 4)),
        ((5, 4, 3), True, (3, 5, 4)),
        ((5, 4, 2), False, (1, 5, 4, 2)),
        ((5, 4, 1), False, (1, 5, 4, 1)),
        ((5, 4, 2, 3), True, (3, 5, 4, 2)),
        ((5, 4, 2, 3), False, (3, 5, 4, 2)),
    ],
)
def test_channels(tmp_path, suffix, shape, vector, first):
    values = numbers(np.random.default_rng(0), shape, np.uint8)
    sitk.WriteImage(itk_image(values, vector=vector), tmp_path / f"a{suffix}")
    loaded = load(tmp_path / f"a{suffix}", ensure_channel_first=True)
    assert loaded.shape == first
    assert loaded.dtype == torch.float32
    assert loaded.affine.shape == (4, 4)
    expected = np.moveaxis(values, -1, 0) if first[0] > 1 else values[None]
    np.testing.assert_array_equal(loaded, expected)
    plain = load(tmp_path / f"a{suffix}")
    assert plain.shape == shape
    assert tuple(plain.meta["spatial_shape"]) == first[1:]
    assert len(plain.meta["spacing"]) == len(first) - 1


def test_channel_dim(tmp_path):
    values = numbers(np.random.default_rng(0), (3, 5, 4))
    sitk.WriteImage(itk_image(values), tmp_path / "a.mha")
    loaded = load(tmp_path / "a.mha", channel_dim=0, ensure_channel_first=True)
    np.testing.assert_array_equal(loaded, values)
    assert tuple(loaded.meta["spatial_shape"]) == (5, 4)
    alone = load(tmp_path / "a.mha", channel_dim="no_channel", ensure_channel_first=True)
    assert alone.shape == (1, 3, 5, 4)


@pytest.mark.parametrize(("shape", "vector"), [((5, 4, 3), False), ((5, 4, 3, 2), True), ((5, 4), False)])
def test_reverse_indexing_keeps_channels_and_meta_data(tmp_path, shape, vector):
    values = numbers(np.random.default_rng(0), shape)
    sitk.WriteImage(itk_image(values, vector=vector), tmp_path / "a.nrrd")
    plain, turned = (load(tmp_path / "a.nrrd", reverse_indexing=on, ensure_channel_first=True) for on in (False, True))
    np.testing.assert_array_equal(turned, np.asarray(plain).transpose(0, *reversed(range(1, plain.ndim))))
    assert turned.affine.tolist() == plain.affine.tolist()
    assert list(turned.meta["spatial_shape"]) == list(plain.meta["spatial_shape"])


@pytest.mark.parametrize("name", ["a.nii", "a.mhd"])
def test_affine_in_lps(tmp_path, name):
    affine = random_affine(np.random.default_rng(0))
    values = numbers(np.random.default_rng(0), (5, 4, 3))
    if name == "a.nii":
        nib.save(nib.Nifti1Image(values, affine), tmp_path / name)
    else:
        sitk.WriteImage(itk_image(values, affine), tmp_path / name)
    _, meta = SimpleITKReader(affine_lps_to_ras=False).get_data(SimpleITKReader().read(tmp_path / name))
    assert meta["space"] == "LPS"
    for key in ("affine", "original_affine"):
        np.testing.assert_allclose(meta[key], LPS @ affine, atol=1e-4)


def test_a_header_as_text(tmp_path):
    """The nine numbers of TransformMatrix are the axes' directions, one after another."""
    matrix = [[0.9972, -0.0151, 0.0732], [0.0, 0.9794, 0.2019], [-0.0748, -0.2013, 0.9767]]
    spacing, offset = [0.625, 0.5, 3.6], [-99.1, -110.2, 20.3]
    (tmp_path / "a.raw").write_bytes(np.arange(24, dtype="<i2").tobytes())
    row = " ".join(str(n) for axis in matrix for n in axis)
    (tmp_path / "a.mhd").write_text(
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nTransformMatrix = {row}\n"
        f"Offset = {' '.join(map(str, offset))}\nElementSpacing = {' '.join(map(str, spacing))}\nDimSize = 2 3 4\n"
        "ElementType = MET_SHORT\nElementDataFile = a.raw\n"
    )
    loaded = load(tmp_path / "a.mhd")
    for x, y, z in np.ndindex(2, 3, 4):
        lps = [sum(matrix[a][i] * spacing[a] * (x, y, z)[a] for a in range(3)) + offset[i] for i in range(3)]
        np.testing.assert_allclose(
            (loaded.affine @ torch.tensor([x, y, z, 1.0]).double())[:3], [-lps[0], -lps[1], lps[2]]
        )
        assert loaded[x, y, z] == x + 2 * y + 6 * z


# --- DICOM ------------------------------------------------------------------------------------------------------------


def write_dicom(folder, values, *, uid="1.2.3", skip=()):
    """A series of (z, y, x) values 2 mm apart whose names run backwards."""
    folder.mkdir(exist_ok=True)
    for z in sorted(set(range(len(values))) - set(skip)):
        image = sitk.JoinSeries(sitk.GetImageFromArray(values[z]))
        image.SetSpacing((0.5, 0.75, 3.2))
        image.SetOrigin((1, 2, 2.0 * z))
        tags = {"0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0008|0018": f"{uid}.{z + 1}", "0008|0060": "CT"}
        tags |= {"0020|000d": "1.2", "0020|000e": uid, "0020|0013": str(99 - z), "0020|0052": "1.2.9"}
        tags |= {"0020|0032": f"1\\2\\{2 * z}", "0020|0037": "1\\0\\0\\0\\1\\0", "0018|0050": "3.2"}
        tags |= {"0028|1052": "-1000", "0028|1053": "1"}
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{uid}_{99 - z}.dcm"))
        writer.Execute(image)
    return folder


class TestDicom:
    values = numbers(np.random.default_rng(0), (6, 4, 5))

    def test_a_series(self, tmp_path):
        loaded = load(write_dicom(tmp_path / "s", self.values), ensure_channel_first=True)
        np.testing.assert_array_equal(loaded[0], self.values.transpose(2, 1, 0))
        np.testing.assert_allclose(loaded.affine[:3], [[-0.5, 0, 0, -1], [0, -0.75, 0, -2], [0, 0, 2, 0]])
        assert loaded.pixdim.tolist() == [0.5, 0.75, 2]
        assert loaded.meta["filename_or_obj"] == str(tmp_path / "s")

    def test_a_single_file(self, tmp_path):
        folder = write_dicom(tmp_path / "s", self.values)
        loaded = load(folder / "1.2.3_97.dcm")
        np.testing.assert_array_equal(loaded, self.values[2].T[..., None])

    def test_series_by_name(self, tmp_path):
        write_dicom(tmp_path / "s", self.values)
        write_dicom(tmp_path / "s", self.values[:3] + 1, uid="1.2.4")
        with pytest.raises(DataError, match=r"1\.2\.3: CT, 6 files\n  1\.2\.4: CT, 3 files"):
            load(tmp_path / "s")
        loaded = load(tmp_path / "s", series_name="1.2.4")
        np.testing.assert_array_equal(loaded, (self.values[:3] + 1).transpose(2, 1, 0))

    def test_a_gap_is_told_and_no_other_reader_is_asked(self, tmp_path):
        class Careless(NibabelReader):
            def read(self, data, **kwargs):
                self.filenames = data
                return nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))

        folder = write_dicom(tmp_path / "s", self.values, skip=[2, 3])
        with pytest.raises(DataError, match=r"6 mm between 1\.2\.3_98\.dcm and 1\.2\.3_95\.dcm \(2 slices missing\)"):
            load(folder, reader=[Careless(), SimpleITKReader()])
        assert len(load(tmp_path / "a.png", reader=[Careless(), SimpleITKReader()])) == 2


# --- several files, errors, use in MONAI ------------------------------------------------------------------------------


class TestSeveralFiles:
    def write(self, folder, n=3, affine=None, shape=(5, 4, 3), vector=False):
        rng = np.random.default_rng(0)
        arrays = [numbers(rng, shape) for _ in range(n)]
        paths = [folder / f"{k}{[*ITK, '.nii'][k % 4]}" for k in range(n)]
        for path, array in zip(paths, arrays, strict=True):
            if path.suffix == ".nii" and not vector:
                nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
            else:
                sitk.WriteImage(itk_image(array, affine, vector=vector), path)
        return arrays, paths

    def test_become_channels(self, tmp_path):
        affine = random_affine(np.random.default_rng(1))
        arrays, paths = self.write(tmp_path, 4, affine)
        loaded = load(paths, ensure_channel_first=True)
        np.testing.assert_array_equal(loaded, np.stack(arrays))
        np.testing.assert_allclose(loaded.affine, affine, atol=1e-4)
        assert loaded.meta["filename_or_obj"] == str(paths[0])

    def test_as_nibabel_reader_does(self, tmp_path):
        for shape in ((5, 4, 3), (5, 4, 3, 2)):
            paths = [tmp_path / f"{k}.nii" for k in range(2)]
            for path in paths:
                nib.save(nib.Nifti1Image(numbers(np.random.default_rng(0), shape), np.eye(4)), path)
            assert_alike(load(paths), load(paths, NibabelReader))

    def test_are_joined_along_channels_that_they_have(self, tmp_path):
        arrays, paths = self.write(tmp_path, 2, shape=(5, 4, 3, 2), vector=True)
        loaded = load(paths, ensure_channel_first=True)
        np.testing.assert_array_equal(loaded, np.moveaxis(np.concatenate(arrays, axis=-1), -1, 0))

    def test_of_different_shapes(self, tmp_path):
        _, paths = self.write(tmp_path, 2)
        sitk.WriteImage(itk_image(np.zeros((5, 3, 4), np.int16)), paths[1])
        with pytest.raises(DataError, match=r"0\.mhd has shape \(5, 4, 3\), .*1\.mha \(5, 3, 4\)"):
            SimpleITKReader().get_data(SimpleITKReader().read(paths))

    def test_of_different_places(self, tmp_path):
        _, paths = self.write(tmp_path, 2)
        image = sitk.ReadImage(paths[1])
        image.SetOrigin((0, 0.5, 0))
        sitk.WriteImage(image, paths[1])
        with pytest.raises(DataError, match=r"0\.mhd and .*1\.mha have affines that differ by up to 0\.5 voxel edges"):
            SimpleITKReader().get_data(SimpleITKReader().read(paths))
        with pytest.raises(DataError, match="image 0 and image 1 have affines"):
            SimpleITKReader().get_data([sitk.ReadImage(path) for path in paths])


class TestFilesThatCannotBeRead:
    def message(self, path):
        with pytest.raises(DataError) as error:
            load(path)
        return str(error.value)

    @pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", None])
    def test_raw_file(self, tmp_path, change):
        sitk.WriteImage(itk_image(np.zeros((5, 4, 3), np.int16)), tmp_path / "a.mhd")
        raw = tmp_path / "a.raw"
        raw.write_bytes(change(raw.read_bytes())) if change else raw.unlink()
        found = "does not exist," if change is None else f"has {raw.stat().st_size} bytes,"
        assert f"{tmp_path / 'a.mhd'}: its voxel file {raw} {found} expected 120 (5 x 4 x 3" in self.message(
            tmp_path / "a.mhd"
        )

    @pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_truncated(self, tmp_path, name, compressed):
        noise = numbers(np.random.default_rng(0), (30, 20, 10))
        sitk.WriteImage(itk_image(noise), tmp_path / name, compressed)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-400])
        assert self.message(tmp_path / name).startswith(
            f"{tmp_path / name}: {'holds' if name == 'a.mha' else 'cannot' if compressed else 'its header declares'}"
        )

    @pytest.mark.parametrize("name", ["a.mhd", "a.nrrd", "a.nii.gz", "a.dcm"])
    def test_missing(self, tmp_path, name):
        assert f"{name}: does not exist" in self.message(tmp_path / name)

    def test_other_kinds_are_left_to_other_readers(self, tmp_path):
        from PIL import Image

        Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "a.png")
        assert load(tmp_path / "a.png").shape == (4, 3)
        with pytest.raises(DataError, match=r"a\.png: unknown kind of file; readable are \.mha.* and folders"):
            SimpleITKReader().read([tmp_path / "b.mhd", tmp_path / "a.png"])


def test_verify_suffix(tmp_path):
    reader = SimpleITKReader()
    assert all(reader.verify_suffix(f"a{suffix}") for suffix in (*ITK, ".nii", ".nii.gz", ".MHD", ".dcm"))
    assert reader.verify_suffix(["a.mhd", tmp_path])
    assert not any(reader.verify_suffix(name) for name in ("a.png", "a.gz", "mhd", ["a.mhd", "a.npy"]))
    load_any = LoadImage()
    load_any.register(reader)
    sitk.WriteImage(itk_image(np.ones((5, 4, 3), np.int16)), tmp_path / "a.mhd")
    assert load_any(tmp_path / "a.mhd").shape == (5, 4, 3)


def test_images_of_simpleitk():
    affine = random_affine(np.random.default_rng(0))
    values = numbers(np.random.default_rng(0), (5, 4, 3))
    array, meta = SimpleITKReader().get_data(itk_image(values, affine))
    np.testing.assert_array_equal(array, values)
    np.testing.assert_allclose(meta["affine"], affine, atol=1e-9)


@pytest.mark.parametrize("reader", ["monai_al.data.SimpleITKReader", "monai_al.data.simpleitk_reader.SimpleITKReader"])
def test_by_name_from_a_config_in_workers(tmp_path, reader):
    values = numbers(np.random.default_rng(0), (5, 4, 3))
    for k in range(3):
        sitk.WriteImage(itk_image(values + k), tmp_path / f"{k}.mhd")
    config = {"_target_": "LoadImaged", "keys": "image", "reader": reader, "ensure_channel_first": True}
    transform = ConfigParser({"load": config}).get_parsed_content("load")
    pickle.loads(pickle.dumps(transform))
    entries = tuple({"image": tmp_path / f"{k}.mhd"} for k in range(3))
    loader = monai.data.DataLoader(
        monai.data.Dataset(entries, transform), batch_size=3, num_workers=1, multiprocessing_context="fork"
    )
    (batch,) = loader
    np.testing.assert_array_equal(batch["image"][:, 0], np.stack([values + k for k in range(3)]))


def test_loaded_when_it_is_asked_for():
    code = "import sys, monai_al.data; assert not {'monai', 'SimpleITK', 'nibabel'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Reader'"):
        monai_al.data.Reader  # noqa: B018


def test_real_volumes(tmp_path):
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "Task04_Hippocampus" / "imagesTr"
    if not folder.is_dir():
        pytest.skip("real data Task04_Hippocampus is not here")
    for path in sorted(folder.glob("hippocampus_*.nii.gz"))[:4]:
        image = nib.load(path)
        theirs = load(path, NibabelReader)
        for suffix in ITK:
            sitk.WriteImage(itk_image(np.asanyarray(image.dataobj), image.affine), tmp_path / f"a{suffix}", True)
            assert_alike(load(tmp_path / f"a{suffix}"), theirs)
