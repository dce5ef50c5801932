# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What is asked for and what the files tell become one size and one spacing."""

from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_al.datasets import folder, plane_grid
from monai_al.datasets.plane_grid import PlaneGrid
from monai_al.records import Item, Pool

CONFIGS = Path(__file__).parents[2] / "bundles" / "active_learning" / "configs"
OVERLAY = Path(__file__).parents[2] / "configs" / "datasets" / "folder.yaml"


def pool_of(root, *volumes):
    """Volumes of ``(rows, columns, spacing)``, spacing None for a picture."""
    items = []
    for number, (rows, columns, spacing) in enumerate(volumes):
        if spacing is None:
            path = root / f"{number}.png"
            Image.fromarray(np.zeros((rows, columns), np.uint8)).save(path)
        else:
            path = root / f"{number}.nii"
            nib.save(nib.Nifti1Image(np.zeros((rows, columns, 2), np.uint8), np.diag([spacing, spacing, 8, 1])), path)
        items.append(Item(str(number), str(path), str(number), str(number)))
    return Pool(items)


THREE = (200, 180, 1.0), (100, 90, 1.5), (150, 150, 2.0)  # fields of view 200 x 180, 150 x 135, 300 x 300 mm


@pytest.mark.parametrize(
    ("asked", "size", "spacing"),
    [
        ({"longest_side": 512}, (144, 128), 1.5),  # median view 200 x 180 mm
        ({"longest_side": 100}, (96, 96), 2.0),  # 200 mm in 100 pixels; 96 is the multiple of 16 below
        ({"size": (100, 60)}, (100, 60), 3.0),  # 180 mm in 60 pixels
        ({"size": (400, 400)}, (400, 400), 1.5),
        ({"spacing": 1.0, "longest_side": 512}, (208, 192), 1.0),
        ({"spacing": 1.0}, (128, 128), 1.0),
        ({"spacing": None}, (128, 128), None),  # median of the sizes, 150 x 150, in 128
        ({"spacing": None, "size": (64, 32)}, (64, 32), None),
        ({"spacing": 0.5, "size": (64, 32)}, (64, 32), 0.5),
    ],
)
def test_of_what_is_asked_for_and_what_files_tell(tmp_path, asked, size, spacing):
    found = plane_grid(pool_of(tmp_path, *THREE), **asked)
    assert (found.size, found.spacing) == (size, spacing)


def test_that_it_is_coarser_than_the_files_is_told(tmp_path):
    pool = pool_of(tmp_path, *THREE)
    assert plane_grid(pool, longest_side=100).stored == PlaneGrid((144, 128), 1.5)
    for longest_side, spacing in ((512, "fit"), (100, 2.0)):
        assert plane_grid(pool, longest_side=longest_side, spacing=spacing).stored is None


def test_pictures_keep_their_proportions(tmp_path):
    pictures = (600, 800, None), (300, 400, None), (600, 800, None)
    found = plane_grid(pool_of(tmp_path, *pictures))
    assert (found.size, found.spacing) == ((96, 128), None)
    assert plane_grid(pool_of(tmp_path, (30, 40, None))).size == (32, 48)  # nothing is made larger
    assert plane_grid(pool_of(tmp_path, *pictures, (90, 90, 1.0))).spacing is None


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match="longest_side must be at least 16"):
        plane_grid(Pool([]), longest_side=8)
    with pytest.raises(ValueError, match="a number of mm, 'fit' or None, got 'median'"):
        plane_grid(Pool([]), spacing="median")
    with pytest.raises(ValueError, match=r"image_size must be rows and columns, two numbers, got \[48, 48, 16\]"):
        plane_grid(Pool([]), size=(48, 48, 16), spacing=1.0)


def write_case(root, name, spacing, seed=0):
    random = np.random.default_rng(seed)
    label = np.zeros((40, 30, 3), np.uint8)
    label[10:20, 8:20] = 1
    for kind, array in (("images", random.normal(0, 9, label.shape) + 50.0 * label), ("labels", label)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(array.astype(np.float32 if kind == "images" else np.uint8), np.diag([*spacing, 1.0]))
        nib.save(image, root / kind / f"{name}.nii.gz")


def test_a_run_keeps_the_grid_that_its_own_files_told(tmp_path, caplog):
    """New scans of another spacing are seen as the network was trained."""
    caplog.set_level("INFO")
    for number, size in enumerate((0.8, 1.0, 1.2, 1.0)):
        write_case(tmp_path / "data", f"case{number}", (size, size, 4.0), number)
    write_case(tmp_path / "new", "other", (0.5, 0.5, 4.0))
    quick = {"device": "cpu", "progress": False, "logging_file": False}
    monai.bundle.run(
        config_file=[str(CONFIGS / "active_learning.yaml"), str(OVERLAY)], dataset_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "run"), rounds=1, budget=4, steps=2, batch_size=2, channels=[4, 8], threads=1,
        longest_side=64, **quick,
    )  # fmt: skip
    assert "slices become 48 x 32 pixels of 1 mm, which fits the files" in caplog.text
    training = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["training"]
    assert (training["image_size"], training["spacing"]) == ([48, 32], 1.0)
    monai.bundle.run(
        config_file=str(CONFIGS / "evaluate.yaml"), run_dir=str(tmp_path / "run"), dataset_dir=str(tmp_path / "new"),
        part="all", output_dir=str(tmp_path / "evaluation"), cache_dir=str(tmp_path / "seen"), **quick,
    )  # fmt: skip
    seen = [json.loads(path.read_text())["geometry"] for path in (tmp_path / "seen").glob("images/*/geometry.json")]
    assert [(one["shape"], round(one["affine"][0][0], 5)) for one in seen] == [([48, 32, 3], 1.0)]


class TestRealData:
    def test_cardiac_slices(self, real_data):
        found = plane_grid(folder(real_data("ACDC"), patient=r"(patient\d+)_"), longest_side=256)
        assert found.spacing == pytest.approx(1.56, abs=0.1)
        assert max(found.size) <= 256
