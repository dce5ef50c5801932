# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest

from monai_al.data import DataError, Item, Pool, split_by_patient
from monai_al.datasets import describe, description_text, folder


@pytest.fixture
def pool(write, tmp_path):
    generator = np.random.default_rng(0)
    for number, depth in enumerate((3, 4, 5)):
        write(f"images/c{number}.nii", generator.integers(-9, 99, (4, 6, depth)), np.int16)
        label = generator.integers(0, 3, (4, 6, depth))
        label[:, :, 0] = 0
        label[0, 0, 1] = 9
        write(f"labels/c{number}.nii", label)
    values = {0: 0, 1: 1, 2: 2, 9: 255}
    return folder(tmp_path, classes=("background", "a", "b"), label_values=values, patient="(c)")


def test_against_numpy(pool, tmp_path):
    import nibabel as nib

    images = [nib.load(tmp_path / f"images/c{n}.nii").get_fdata() for n in range(3)]
    labels = [nib.load(tmp_path / f"labels/c{n}.nii").get_fdata() for n in range(3)]
    voxels = np.concatenate([label.ravel() for label in labels])
    summary = describe(pool)
    assert (summary["patients"], summary["volumes"], summary["items"], summary["labeled_items"]) == (1, 3, 12, 12)
    assert summary["shape"] == [[4, 6, 3], [4, 6, 5]]
    assert summary["spacing"] == [[1, 1, 5], [1, 1, 5]]
    assert summary["channels"] == [1]
    assert summary["intensity"] == [min(i.min() for i in images), max(i.max() for i in images)]
    annotated = (voxels != 9).sum()
    expected = [(voxels == value).sum() / annotated for value in range(3)]
    assert list(summary["class_share"].values()) == pytest.approx(expected)
    assert summary["not_annotated_share"] == pytest.approx((voxels == 9).mean())
    assert summary["items_without_foreground"] == 3
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_only_the_items_of_the_pool_count(pool):
    assert describe(pool.with_items(item for item in pool if item.slice != 0))["items_without_foreground"] == 0


def test_without_reading_no_file_is_opened():
    pool = Pool([Item("a", "gone.nii", "a", "a")], notes=["Hm."])
    summary = describe(pool, read=False)
    assert summary["items"] == 1
    assert "shape" not in summary
    assert description_text(summary).endswith("note      Hm.")


def test_nothing_defined_is_none(write):
    pool = Pool([Item("a", str(write("a.nii")), "a", "a")])
    summary = describe(pool)
    assert summary["class_share"] == {"background": None, "foreground": None}
    assert summary["items_without_foreground"] is None
    assert "empty" not in description_text(summary)


def test_one_bad_file_hides_no_other(pool, tmp_path):
    (tmp_path / "images/c0.nii").write_bytes(b"garbage")
    (tmp_path / "labels/c2.nii").unlink()
    with pytest.raises(
        DataError, match=r"2 of 3 volumes cannot be used:\n  .*c0\.nii: cannot.*\n  .*c2\.nii: does not"
    ):
        describe(pool)


def test_long_lists_of_problems_are_capped():
    pool = Pool([Item(f"c{n}", f"c{n}.nii", f"c{n}", f"c{n}") for n in range(30)])
    with pytest.raises(DataError, match="30 of 30 volumes") as caught:
        describe(pool)
    assert str(caught.value).count("\n") == 21
    assert str(caught.value).endswith("... and 10 more")


def test_slices_that_are_not_there(write):
    pool = Pool([Item("a/0003", str(write("a.nii", (4, 5, 3))), "a", "a", slice=3)])
    with pytest.raises(DataError, match="has 3 slices, but the pool has item a/0003"):
        describe(pool)


def test_splits(write, tmp_path):
    for name in "abc":
        write(f"{name}.nii")
        write(f"{name}_seg.nii")
    pool = split_by_patient(folder(tmp_path, classes=("background", "organ")), test=1 / 3)
    summary = describe(pool)
    assert summary["splits"]["test"] == {"patients": 1, "volumes": 1, "items": 3}
    text = description_text(summary)
    assert "train      2 patients, 2 volumes, 6 items" in text
    assert "empty      9 items without foreground (100 %)" in text
