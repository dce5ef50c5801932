# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_al.data import DataError, read_volume
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


class TestTiff:
    @pytest.fixture
    def root(self, tmp_path):
        place = tmp_path / "kaggle_3m"
        for patient, n in (("TCGA_CS_1_19970222", 11), ("TCGA_DU_2_19980101", 2)):
            (place / patient).mkdir(parents=True)
            for k in range(1, n + 1):
                colours = np.stack([np.full((4, 5), 100 * c + k, np.uint8) for c in range(3)], axis=-1)
                Image.fromarray(colours).save(place / patient / f"{patient}_{k}.tif")
                mask = np.zeros((4, 5), np.uint8)
                mask[0, k % 5] = 255
                Image.fromarray(mask).save(place / patient / f"{patient}_{k}_mask.tif")
        (place / "data.csv").write_text("Patient\n")
        (place / "README.md").write_text("")
        return place

    def test_slices_in_numeric_order_of_the_flair_channel(self, root):
        pool = lgg(root)
        assert pool.volumes == pool.patients == ("TCGA_CS_1_19970222", "TCGA_DU_2_19980101")
        assert len(pool) == 13
        stored = read_volume(pool[0].image, pool[0].label, label_values=pool.label_values)
        assert stored.image[:, 0, 0].tolist() == [[100 + k for k in range(1, 12)]]
        assert stored.label[0].argmax(axis=0).tolist() == [k % 5 for k in range(1, 12)]
        assert describe(pool)["channels"] == [1]

    def test_missing_slices(self, root):
        patient = root / "TCGA_CS_1_19970222"
        (patient / "TCGA_CS_1_19970222_3.tif").unlink()
        (patient / "TCGA_CS_1_19970222_10_mask.tif").unlink()
        with pytest.raises(DataError, match=r"1 cases.*\n  TCGA_CS_1_19970222: no .*222_3\.tif, .*_10_mask\.tif"):
            lgg(root)
        assert lgg(root, skip_incomplete=True).patients == ("TCGA_DU_2_19980101",)

    def test_without_masks(self, root):
        for mask in root.rglob("*_mask.tif"):
            mask.unlink()
        with pytest.raises(DataError, match="2 cases are incomplete"):
            lgg(root)
        assert [item.label for item in lgg(root, item="volume", require_labels=False)] == [None, None]


def test_real_lgg(real_data):
    pool = lgg(real_data("LGG"))
    assert len(pool.patients) == 10
    few = pool.with_items(item for item in pool if item.patient in pool.patients[:2])
    summary = describe(few)
    assert summary["spacing"] == [[1, 1, 5], [1, 1, 5]]
    assert 0 < summary["class_share"]["tumour"] < 0.1
