# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from monai_al.data.file_ends import may_be_cut_off
from monai_al.data.reading import read_volume, stored_shape
from monai_al.records import DataError


@pytest.fixture
def write(tmp_path):
    def write(name, shape, dtype=np.int16):
        path = str(tmp_path / name)
        values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
        if name.endswith((".png", ".jpg")):
            Image.fromarray(values[0].astype(np.uint8)).save(path)
        else:
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), path, useCompression=True)
        return path

    return write


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.png", "a.jpg", "a.nii", "a.mha"])
def test_no_file_that_can_be_read_is_cut_off_and_each_that_is_cut_is_told(write, name, dtype):
    path = write(name, (3, 20, 16), dtype)
    assert not may_be_cut_off(path)
    with open(path, "rb") as file:
        whole = file.read()
    for share in (0.5, 0.7, 0.9):
        with open(path, "wb") as file:
            file.write(whole[: int(share * len(whole))])
        with pytest.raises(DataError):
            read_volume(path)
        try:
            stored_shape(path)
        except DataError:  # the header tells already
            continue
        assert may_be_cut_off(path), share


def test_what_lies_behind_the_end_makes_only_reading_decide(write):
    path = write("a.jpg", (1, 20, 16))
    with open(path, "ab") as file:
        file.write(b"of the camera")
    assert may_be_cut_off(path)
    assert read_volume(path).image.shape == (1, 20, 16, 1)
