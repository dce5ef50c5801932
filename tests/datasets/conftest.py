# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


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
