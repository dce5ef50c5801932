# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_al.data import DataError
from monai_al.datasets import describe, lgg


@pytest.fixture
def root(write, tmp_path):
    for patient in ("TCGA_10", "TCGA_2"):
        write(f"{patient}/{patient}_flair.nii.gz")
        write(f"{patient}/{patient}_seg.nii.gz")
    (tmp_path / "data.csv").write_text("")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_patients_in_numeric_order(root):
    pool = lgg(root)
    assert pool.patients == ("TCGA_2", "TCGA_10")
    assert len(pool) == 6
    assert pool[0].image.endswith("TCGA_2_flair.nii.gz")
    assert pool[0].label.endswith("TCGA_2_seg.nii.gz")
    assert "placeholder" in pool.notes[0]


def test_missing_files(root):
    (root / "TCGA_2/TCGA_2_seg.nii.gz").unlink()
    (root / "TCGA_10/TCGA_10_flair.nii.gz").unlink()
    with pytest.raises(DataError, match="2 cases.*\n  TCGA_2: no TCGA_2_seg.*\n  TCGA_10: no .*but TCGA_10_seg"):
        lgg(root)
    with pytest.raises(DataError, match="1 cases"):
        lgg(root, require_labels=False)
    (root / "TCGA_10/TCGA_10_seg.nii.gz").unlink()
    assert [item.label for item in lgg(root, require_labels=False, item="volume")] == [None]
    with pytest.raises(DataError, match="no images found"):
        lgg(root, skip_incomplete=True)


def test_incomplete_patients_can_be_skipped(root):
    (root / "TCGA_2/TCGA_2_seg.nii.gz").unlink()
    pool = lgg(root, skip_incomplete=True)
    assert pool.patients == ("TCGA_10",)
    assert "TCGA_2" in pool.notes[1]


def test_real_lgg(real_data):
    pool = lgg(real_data("LGG"))
    assert len(pool.patients) == 10
    few = pool.with_items(item for item in pool if item.patient in pool.patients[:2])
    summary = describe(few)
    assert summary["spacing"] == [[1, 1, 5], [1, 1, 5]]
    assert 0 < summary["class_share"]["tumour"] < 0.1
