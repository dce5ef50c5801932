# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk


@pytest.fixture
def write(tmp_path):
    """Write a NIfTI file below tmp_path: ``write("a/b.nii.gz", array or shape)``."""

    def write(name, content=(4, 5, 3), dtype=np.uint8):
        array = np.zeros(content, dtype) if isinstance(content, tuple) else np.asarray(content, dtype)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 5.0, 1.0])), path)
        return path

    return write


@pytest.fixture
def real_data():
    """The folder of real data beside the checkout; the test is skipped where it is absent."""

    def folder(name):
        path = Path(__file__).resolve().parents[3] / "shared" / "data" / name
        if not path.is_dir():
            pytest.skip(f"real data {name} is not here")
        return path

    return folder


@pytest.fixture
def write_dicom(tmp_path):
    """Write a DICOM series of 6 x 5 pixels below tmp_path: ``write_dicom("a/b", slices=4, uid="1.2.3", number=1)``.

    Returns the volume (row, column, slice) and its affine.
    """

    def write(folder, slices=4, *, uid="1.2.3", number=1, name="{}.dcm", seed=0):
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        values = np.random.default_rng(seed).integers(0, 3, (slices, 6, 5)).astype(np.int16)
        for k in range(slices):
            image = sitk.JoinSeries(sitk.GetImageFromArray(values[k]))
            image.SetSpacing((0.7, 0.8, 2.0))
            image.SetOrigin((-10.0, 20.0, 2.0 * k))
            for tag, value in {
                "0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0008|0018": f"{uid}.{k + 1}", "0008|0060": "CT",
                "0020|000d": "1.2", "0020|000e": uid, "0020|0011": str(number), "0020|0013": str(k + 1),
                "0020|0032": f"-10\\20\\{2 * k}", "0020|0037": "1\\0\\0\\0\\1\\0", "0028|0100": "16",
                "0028|0101": "16", "0028|0102": "15", "0028|0103": "1",
            }.items():  # fmt: skip
                image.SetMetaData(tag, value)
            writer.SetFileName(str(place / f"{uid}-{k}.dcm"))
            writer.Execute(image)
            (place / f"{uid}-{k}.dcm").rename(place / name.format(f"{uid}-{k}"))
        return values

    return write


@pytest.fixture
def write_mask(tmp_path):
    """Write where a series (slice, row, column) is above 1, as tools store it: ``write_mask("a.nrrd", values)``."""

    def write(name, values):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = sitk.GetImageFromArray((values > 1).astype(np.uint8))
        image.SetSpacing((0.7, 0.8, 2.0))
        image.SetOrigin((-10.0, 20.0, 0.0))
        sitk.WriteImage(image, str(path))

    return write
