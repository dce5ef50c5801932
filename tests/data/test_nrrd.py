# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from monai_al.data import DataError, read_volume, stored_shape
from monai_al.data.nrrd import check_nrrd

VALUES = np.random.default_rng(0).integers(0, 99, (6, 5, 4)).astype(np.int16)
HEADER = "NRRD0004\n# made by hand\ntype: {type}\ndimension: 3\nsizes: 4 5 6\nendian: little\nencoding: {encoding}\n"


def write(path, content, *, type="short", encoding="raw", more=""):
    path.write_bytes((HEADER.format(type=type, encoding=encoding) + more + "\n").encode() + content)
    return path


@pytest.mark.parametrize("type", ["short", "signed short int", "INT16", "int16_t"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "ascii"])
def test_what_is_there_is_read(tmp_path, type, encoding):
    packed = {"raw": VALUES.tobytes(), "gzip": gzip.compress(VALUES.tobytes())}
    packed["ascii"] = b" ".join(b"%d" % value for value in VALUES.ravel())
    path = write(tmp_path / "a.nrrd", packed[encoding], type=type.lower(), encoding=encoding)
    np.testing.assert_array_equal(read_volume(path).image[0], VALUES.T)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("compressed", [True, False])
def test_more_voxels_than_the_file_can_hold(tmp_path, dtype, compressed):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(VALUES.astype(dtype)), path, compressed)
    check_nrrd(path)
    path.write_bytes(path.read_bytes().replace(b"sizes: 4 5 6", b"sizes: 4000 5000 6000"))
    for read in (stored_shape, read_volume):
        with pytest.raises(
            DataError, match=r"a\.nrrd: its header declares 4000 x 5000 x 6000 values .* but the file has"
        ):
            read(path)


@pytest.mark.parametrize("field", ["data file", "datafile", "Data File"])
@pytest.mark.parametrize("name", ["../a.raw", "{absolute}", "x/../../a.raw", "LIST\n../a.raw", "../a%d.raw 1 6 1"])
def test_voxel_files_outside_the_folder_are_refused(tmp_path, field, name):
    (tmp_path / "below").mkdir()
    (tmp_path / "a.raw").write_bytes(VALUES.tobytes())
    more = f"{field}: {name.format(absolute=tmp_path / 'a.raw')}\n"
    path = write(tmp_path / "below" / "a.nrrd", b"", more=more)
    for read in (stored_shape, read_volume):
        with pytest.raises(DataError, match=r"a\.nrrd: names \S*a(%d)?\.raw.* as its voxel file, which lies outside"):
            read(path)


def test_a_voxel_file_in_the_folder(tmp_path):
    path = write(tmp_path / "a.nrrd", b"", more="data file: a.raw\n")
    with pytest.raises(DataError, match=r"a\.nrrd: its voxel file .*a\.raw does not exist"):
        read_volume(path)
    (tmp_path / "a.raw").write_bytes(VALUES.tobytes())
    np.testing.assert_array_equal(read_volume(path).image[0], VALUES.T)
    (tmp_path / "a.raw").write_bytes(VALUES.tobytes()[:-1])
    with pytest.raises(DataError, match=r"4 x 5 x 6 values of 2 bytes, together 240, but the file has 239 bytes"):
        read_volume(path)


def test_damaged_compressed_voxels(tmp_path):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), path, True)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # of the checksum
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.nrrd: cannot be read"):
        read_volume(path)


@pytest.mark.parametrize(("more", "fine"), [(16, True), (70 * 60 * 2, False)])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_bytes_behind_the_voxels(tmp_path, suffix, more, fine):
    values = np.random.default_rng(0).integers(0, 99, (3, 60, 70)).astype(np.int16)
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(values), path)
    path.write_bytes(path.read_bytes() + bytes(more))
    if fine:
        np.testing.assert_array_equal(read_volume(path).image[0], values.T)
        return
    with pytest.raises(DataError, match=rf"a\{suffix}: holds more slices than the 70 x 60 x 3 voxels"):
        read_volume(path)
