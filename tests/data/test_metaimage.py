# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import re
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from monai_al.data import DataError, read_volume, stored_shape
from monai_al.data.metaimage import check_voxel_file

TYPES = [
    np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64, np.float32, np.float64
]  # fmt: skip


def write(path, dtype=np.int16, shape=(6, 5, 4), compressed=False, vector=False):
    values = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    sitk.WriteImage(sitk.GetImageFromArray(values, isVector=vector), path, compressed)
    return path


def edit(path, **fields):
    """Give a header other fields; None removes one."""
    text = path.read_text(encoding="utf-8")
    for key, value in fields.items():
        text = re.sub(rf"^{key} = .*\n", "" if value is None else f"{key} = {value}\n", text, flags=re.MULTILINE)
        if value is not None and f"{key} = " not in text:
            text = text.replace("ElementDataFile", f"{key} = {value}\nElementDataFile")
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_bytes_of_every_type(tmp_path, dtype, vector):
    shape = (4, 3, 2, 3) if vector else (4, 3, 2)
    path = write(tmp_path / "a.mhd", dtype, shape, vector=vector)
    check_voxel_file(path)
    raw = tmp_path / "a.raw"
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    assert raw.stat().st_size == expected
    for content in (raw.read_bytes()[:-1], raw.read_bytes() + b"\0"):
        raw.write_bytes(content)
        with pytest.raises(DataError) as error:
            check_voxel_file(path)
        found = f"{path}: its voxel file {raw} has {len(content)} bytes, expected {expected} (2 x 3 x 4 voxels"
        assert str(error.value).startswith(found)


@pytest.mark.parametrize("compressed", [False, True])
def test_absent_voxel_file(tmp_path, compressed):
    path = write(tmp_path / "a.mhd", compressed=compressed)
    (voxels,) = {*tmp_path.iterdir()} - {path}
    voxels.unlink()
    with pytest.raises(DataError, match=rf"a\.mhd: its voxel file .*{voxels.name} does not exist, expected 240 \(4 x"):
        check_voxel_file(path)


@pytest.mark.parametrize("name", ["a.mhd", "a.mha"])
def test_compressed_voxels(tmp_path, name):
    path = write(tmp_path / name, compressed=True)
    check_voxel_file(path, inflate=True)


@pytest.mark.parametrize("name", ["a.mhd", "a.mha"])
def test_plain_voxels_in_the_header_s_own_file(tmp_path, name):
    path = write(tmp_path / "a.mha")
    path = path.rename(tmp_path / name)
    check_voxel_file(path, inflate=True)
    assert sitk.ReadImage(path).GetSize() == (4, 5, 6)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=rf"{name}: holds voxels of 230 bytes, expected 240 .*; copy it again"):
        check_voxel_file(path)


LISTED = [("LIST", 2), ("LIST 2", 2), ("a%02d.raw 3 8 1", 2), ("LIST 1", 1)]


@pytest.mark.parametrize(("entry", "axes"), LISTED)
def test_lists_of_voxel_files(tmp_path, entry, axes):
    path = write(tmp_path / "a.mhd")
    values = sitk.GetArrayFromImage(sitk.ReadImage(path))
    parts = values.reshape(-1, *values.shape[3 - axes :])
    names = [f"a{number:02d}.raw" for number in range(3, 3 + len(parts))]
    for name, part in zip(names, parts, strict=True):
        (tmp_path / name).write_bytes(part.tobytes())
    edit(path, ElementDataFile="\n".join([entry, *([] if "%" in entry else names)]))
    check_voxel_file(path)
    if axes == 2:
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), values)
    (tmp_path / names[1]).write_bytes(b"short")
    with pytest.raises(
        DataError, match=rf"a\.mhd: its voxel file .*{names[1]} has 5 bytes, expected {parts[0].nbytes} "
    ):
        check_voxel_file(path)
    (tmp_path / names[1]).unlink()
    with pytest.raises(DataError, match=rf"{names[1]} does not exist"):
        check_voxel_file(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("LIST\na.raw", "names 1 voxel files for 6 parts"),
        ("a%02d.raw 3 7 1", "names 5 voxel files for 6 parts"),
        ("a%d%d.raw 3 7 1", "are no pattern"),
        ("a%02d.raw x", "are no pattern"),
    ],
)
def test_lists_that_do_not_fit(tmp_path, entry, message):
    path = write(tmp_path / "a.mhd")
    edit(path, ElementDataFile=entry)
    with pytest.raises(DataError, match=rf"a\.mhd: .*{message}"):
        check_voxel_file(path)


@pytest.mark.parametrize("name", ["../a.raw", "{absolute}", "sub/../../a.raw", "LIST\n../a.raw", "../a%d.raw 1 6 1"])
@pytest.mark.parametrize("equals", [" = ", "=", ": "])
def test_voxel_files_outside_the_folder_are_refused(tmp_path, name, equals):
    (tmp_path / "below").mkdir()
    path = write(tmp_path / "below" / "a.mhd")
    raw = (tmp_path / "below" / "a.raw").rename(tmp_path / "a.raw")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(" = a.raw", equals + name.format(absolute=raw)), encoding="utf-8")
    for read in (check_voxel_file, read_volume, stored_shape):
        with pytest.raises(DataError, match=r"a\.mhd: names \S*a(%d|1)?\.raw.* as its voxel file, which lies outside"):
            read(path)


def test_voxel_files_below_the_folder_and_links_are_taken(tmp_path):
    (tmp_path / "scans" / "raw").mkdir(parents=True)
    path = write(tmp_path / "scans" / "a.mhd")
    values = read_volume(path).image
    (tmp_path / "scans" / "a.raw").rename(tmp_path / "elsewhere.raw")
    (tmp_path / "scans" / "raw" / "a.raw").symlink_to(tmp_path / "elsewhere.raw")
    for name in ("raw/a.raw", str(tmp_path / "scans" / "raw" / "a.raw")):
        edit(path, ElementDataFile=name)
        np.testing.assert_array_equal(read_volume(path).image, values)


def test_text_voxels_and_unknown_types(tmp_path):
    path = write(tmp_path / "a.mhd")
    (tmp_path / "a.raw").write_text("1 2 3")
    for fields in ({"BinaryData": "False"}, {"BinaryData": "True", "ElementType": "MET_OTHER"}):
        with pytest.raises(DataError):
            check_voxel_file(path)
        edit(path, **fields)
        check_voxel_file(path)
        edit(path, BinaryData="True", ElementType="MET_SHORT")


@pytest.mark.parametrize(("size", "skipped"), [(0, 0), (0, -1), (17, 17), (17, -1)])
def test_header_inside_the_voxel_file(tmp_path, size, skipped):
    path = write(tmp_path / "a.mhd")
    values = sitk.GetArrayFromImage(sitk.ReadImage(path))
    raw = tmp_path / "a.raw"
    raw.write_bytes(bytes(size) + raw.read_bytes())
    edit(path, HeaderSize=skipped)
    check_voxel_file(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), values)
    raw.write_bytes(raw.read_bytes()[size + 1 :])
    with pytest.raises(DataError, match="expected 240"):
        check_voxel_file(path)


def test_compressed_size_in_the_header(tmp_path):
    path = write(tmp_path / "a.mhd", compressed=True)
    voxels = tmp_path / "a.zraw"
    content = voxels.read_bytes()
    voxels.write_bytes(content + b"more")
    check_voxel_file(path)
    voxels.write_bytes(content[:-1])
    with pytest.raises(DataError, match=rf"has {len(content) - 1} bytes, expected {len(content)} compressed"):
        check_voxel_file(path)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("damage", ["voxel", "checksum"])
def test_damaged_compressed_voxels(tmp_path, named, damage):
    """SimpleITK returns wrong voxels."""
    path = write(tmp_path / "a.mha", shape=(30, 40, 50), compressed=True)
    if not named:
        content = path.read_bytes()
        path.write_bytes(re.sub(rb"CompressedDataSize = .*\n", b"", content))
    content = bytearray(path.read_bytes())
    content[-1 if damage == "checksum" else -2000] ^= 1
    path.write_bytes(content)
    check_voxel_file(path)
    with pytest.raises(DataError, match=r"a\.mha: holds voxels of (compressed bytes|\d+ bytes when unpacked)"):
        read_volume(path)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["a.mhd", "a.mha"])
def test_more_voxels_than_the_file_can_hold(tmp_path, name, compressed):
    path = write(tmp_path / name, compressed=compressed)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 4 5 6", b"DimSize = 40000 50000 60000"))
    for read in (stored_shape, read_volume):
        with pytest.raises(DataError, match=r"40000 x 50000 x 60000|240000000000000 \(40000"):
            read(path)


def test_more_compressed_voxels_than_the_header_says(tmp_path):
    path = write(tmp_path / "a.mha", shape=(30, 40, 50), compressed=True)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 50", b"DimSize = 49"))
    with pytest.raises(DataError, match="more than 117600 bytes when unpacked, expected 117600"):
        read_volume(path)


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
@pytest.mark.parametrize("inside", [False, True])
def test_compressed_voxels_of_unknown_size_are_counted_on_demand(tmp_path, pack, inside):
    path = write(tmp_path / "a.mhd", shape=(30, 40, 50))
    edit(path, CompressedData="True", CompressedDataSize=None, ElementDataFile="LOCAL" if inside else "a.raw")
    raw = tmp_path / "a.raw"
    content, header = pack(raw.read_bytes()), path.read_bytes()
    for cut in (0, len(content) // 2):
        packed = content[: len(content) - cut]
        (path if inside else raw).write_bytes(header + packed if inside else packed)
        check_voxel_file(path)
        if cut:
            with pytest.raises(DataError, match=r"(of|has) \d+ bytes when unpacked, expected 120000 \(50 x 40 x 30"):
                check_voxel_file(path, inflate=True)
        else:
            check_voxel_file(path, inflate=True)


@pytest.mark.parametrize("content", [b"", b"not a header", bytes(range(256)) * 99, b"ElementDataFile ="])
def test_what_is_no_header(tmp_path, content):
    (tmp_path / "a.mhd").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mhd: cannot be read: its header states no NDims and no DimSize and no El"):
        check_voxel_file(tmp_path / "a.mhd")


def test_windows_line_ends_and_names_with_spaces(tmp_path):
    path = write(tmp_path / "a.mhd")
    raw = (tmp_path / "a.raw").rename(tmp_path / "case a, é.raw")
    edit(path, ElementDataFile=raw.name)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    check_voxel_file(path)
    raw.write_bytes(b"")
    with pytest.raises(DataError, match=r"case a, é\.raw has 0 bytes"):
        check_voxel_file(path)
