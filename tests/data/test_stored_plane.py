# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Size and spacing of slices from headers alone agree with what is read of whole files."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from monai_al.data.reading import read_volume
from monai_al.data.stored_plane import stored_plane

SHAPE, SPACING = (20, 14, 6), (0.7, 1.25, 4.0)


def nifti(path, unit=None, scale=1.0):
    image = nib.Nifti1Image(np.zeros(SHAPE, np.float32), np.diag([*(np.array(SPACING) * scale), 1.0]))
    if unit:
        image.header.set_xyzt_units(unit)
    nib.save(image, path)


def itk(path):
    image = sitk.GetImageFromArray(np.zeros(SHAPE[::-1], np.float32))
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["mm.nii.gz", "micron.nii", "a.mha", "a.nrrd"])
def test_as_the_whole_file_says(tmp_path, kind, slice_axis):
    path = tmp_path / kind
    if kind == "micron.nii":
        nifti(path, "micron", 1000.0)
    elif ".nii" in kind:
        nifti(path)
    else:
        itk(path)
    size, spacing = stored_plane(path, slice_axis)
    volume = read_volume(str(path), slice_axis=slice_axis)
    assert size == volume.image.shape[1:3]
    assert spacing == pytest.approx(volume.spacing[:2], rel=1e-5)


def test_files_that_tell_no_spacing(tmp_path):
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "a.png")
    bare = nib.Nifti1Image(np.zeros(SHAPE, np.float32), None)
    nib.save(bare, tmp_path / "bare.nii")
    assert stored_plane(tmp_path / "a.png", 2) == ((30, 40), None)
    assert stored_plane(tmp_path / "bare.nii", 2) == (SHAPE[:2], None)
