# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the table of the Model Zoo is made of, without the zoo and without real data."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "model_zoo"
NAMES = ("layouts", "real_images", "results", "trying", "zoo_bundles")


@pytest.fixture
def zoo(monkeypatch):
    """The modules of the benchmark, as they are when it runs."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield {name: __import__(name) for name in NAMES}
    for name in NAMES:
        sys.modules.pop(name, None)


def line(step, ok, **more):
    return {"bundle": "a", "step": step, "version": "1.0", "ok": ok, "status": int(not ok), **more}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["KeyError: 'x'", "", "The above exception was ...", "RuntimeError: Failed to evaluate"], "KeyError: 'x'"),
        (["torch.AcceleratorError: none", "at exit"], "torch.AcceleratorError: none"),
        (["FutureWarning: old", "ValueError: bad"], "ValueError: bad"),
        (["ValueError: inner", "error: no trainer;", "       name another"], "no trainer; name another"),
        (["Killed"], "Killed"),
        ([], "it said nothing"),
    ],
)  # fmt: skip
def test_reason_is_what_was_raised_first_or_our_own_message(zoo, given, told):
    assert zoo["trying"].reason(given) == told


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ([line("alone", True), line("active", True, dice=[0.25, None], own_dice=[])], "2 rounds, Dice 0.250 -> –"),
        ([line("alone", True), line("active", False, reason="no pool")], "refused: no pool"),
        ([line("alone", False, reason="no GPU"), line("active", False, reason="x")], "fails by itself: no GPU"),
        (
            [
                line("alone", False, reason="old"),
                line("repaired", True),
                line("active", True, dice=[0.1, 0.2], own_dice=[0.3]),
            ],
            "2 rounds, Dice 0.100 -> 0.200 (its own validation: 0.300); unrepaired it fails by itself: old",
        ),
        (
            [line("alone", False, reason="old"), line("repaired", True), line("active", False, reason="no pool")],
            "refused: no pool",
        ),
    ],
)
def test_result_tells_whose_failure_it_is(zoo, steps, shown):
    assert zoo["results"].result({one["step"]: one for one in steps}) == shown


def test_what_has_a_line_is_skipped_and_a_torn_line_is_none(zoo, tmp_path):
    results, file = zoo["results"], tmp_path / "results.jsonl"
    bundles = {"a": zoo["zoo_bundles"].ZooBundle("one", repairs={"x": 1}), "b": zoo["zoo_bundles"].ZooBundle("other")}
    results.add_line(file, line("alone", True))
    with file.open("a") as out:
        out.write('{"bundle": "a", "step": "act')
    results.add_line(file, line("repaired", False, reason="old"))
    lines = results.read_lines(file)
    steps = ("alone", "repaired", "active")
    assert results.missing(bundles, steps, lines, bundles, False) == [("b", "alone"), ("a", "active"), ("b", "active")]
    assert len(results.missing(bundles, steps, lines, bundles, True)) == 5
    assert results.table(lines, bundles).splitlines()[2].startswith("| a | 1.0 | one; repaired by `x 1` | ")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("old.json", {"training": ["$@trainer.run()"]}, "training"),
        ("new.json", {"train": {"training": 3}, "run": ["$@trainer.run()"]}, "run"),
    ],
)
def test_run_id_is_that_of_the_config(zoo, tmp_path, name, text, expected):
    (tmp_path / name).write_text(json.dumps(text, indent=4))
    assert zoo["trying"].run_id(tmp_path / name) == expected


def test_reason_has_no_path_of_this_machine(zoo, tmp_path):
    assert zoo["trying"].without(tmp_path, f"{tmp_path}/data/a.png is read twice") == "data/a.png is read twice"


def test_own_dice_is_read_off_what_the_validation_says(zoo):
    said = "05:30 - INFO - Epoch[1] Metrics -- val_iou: 0.1000 val_mean_dice: 0.2500 val_mean_dice_tc: 0.5000 "
    others = ["Epoch[1] Metrics -- train_dice: 0.9", "Key metric: val_mean_dice best value: 0.25 at epoch: 1"]
    assert zoo["trying"].own_dice([*others, said, said.replace("2500", "3000")]) == [0.25, 0.3]


def test_recut_gives_every_class_about_as_many_voxels(zoo):
    label = np.zeros((8, 9, 10), np.uint8)
    label[2:6, 3:8, 1:7] = 1
    recut = zoo["real_images"].recut(label, 7)
    counts = np.bincount(recut.ravel(), minlength=8)
    assert np.array_equal(recut > 0, label > 0)
    assert len(counts) == 8
    assert np.ptp(counts[1:]) <= 1


def test_pairs_of_volumes_are_in_both_folders_and_off_the_axes_of_the_world(zoo, tmp_path):
    source, data = tmp_path / "Task04_Hippocampus", tmp_path / "data"
    label = np.zeros((7, 9, 8), np.float32)
    label[2:5, 3:7, 2:6] = 1
    for folder, array in (("imagesTr", np.arange(label.size).reshape(label.shape)), ("labelsTr", label)):
        zoo["layouts"].write_nifti(source / folder / "hippocampus_001.nii.gz", array)
    how = {"n": 1, "shape": (12, 11, 10), "spacing": (1.5, 2, 3), "classes": 4}
    (pair,) = zoo["layouts"].folder_pairs(zoo["real_images"].RealImages(tmp_path), tmp_path, data, **how)
    image, mask = (nibabel.load(data / pair[key]) for key in ("image", "label"))
    assert image.shape == mask.shape == (12, 11, 10)
    assert np.array_equal(np.unique(mask.dataobj), range(5))
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    assert np.allclose(image.header.get_zooms(), (1.5, 2, 3))
    assert np.ptp(image.dataobj) > 300  # as on CT, whatever the range was


def test_every_bundle_with_a_config_has_data_and_a_number_of_epochs(zoo):
    bundles = zoo["zoo_bundles"].BUNDLES
    assert len(bundles) == 31
    assert all(one.make and one.epochs for one in bundles.values() if one.config)
