# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""evaluate.yaml: a run's network on labeled volumes, with the loop's own numbers on its own data."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from monai_al.bundle import BundleConfigError
from monai_al.data import DataError
from monai_al.engines import apply_to_part, evaluation_text

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs"
OVERLAY = str(ROOT / "configs" / "datasets" / "folder.yaml")
SETTINGS = {
    "image_size": [24, 24], "channels": [4, 8], "steps": 50, "batch_size": 4, "rounds": 2, "budget": 6, "threads": 1,
    "progress": False, "device": "cpu", "members": 2,
}  # fmt: skip
SCORES = ("dice_3d", "dice_2d", "hd95_3d", "counts", "empty_policy")


def make_data(folder, names, seed=0):
    for number, name in enumerate(names):
        random = np.random.default_rng(100 * seed + number)
        label = np.zeros((18, 22, 4), np.uint8)
        for value in (1, 2):
            row, column = random.integers(2, 10, 2)
            label[row : row + 6, column : column + 6, 1:] = value
        image = random.normal(0, 5, label.shape) + 40 * label
        for kind, array in (("images", image.astype(np.float32)), ("labels", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([1, 2, 3, 1])), folder / kind / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluated")
    make_data(root / "data", [f"case_{i}" for i in range(6)])
    monai.bundle.run(
        config_file=[str(CONFIGS / "active_learning.yaml"), OVERLAY],
        dataset_dir=str(root / "data"),
        output_dir=str(root / "run"),
        **SETTINGS,
    )
    return root / "run"


def evaluate(output, **overrides):
    files = overrides.pop("config_file", [str(CONFIGS / "evaluate.yaml")])
    monai.bundle.run(config_file=files, output_dir=str(output), **{"progress": False, "device": "cpu", **overrides})
    return json.loads((output / "metrics.json").read_text())


@pytest.mark.parametrize("number", [0, 1, None])
def test_the_runs_own_numbers_come_out_again(run_dir, tmp_path, number):
    found = evaluate(tmp_path / "out", run_dir=str(run_dir), round=number)
    expected = json.loads((run_dir / f"round_{1 if number is None else number:02d}" / "metrics.json").read_text())
    assert expected["dice_3d"]["mean"] > 0.1
    assert {key: found[key] for key in SCORES} == {key: expected[key] for key in SCORES}
    assert (found["round"], found["part"]) == (1 if number is None else number, "test")


def test_scores_are_those_of_the_written_segmentations(run_dir, tmp_path):
    metrics = evaluate(tmp_path / "out", run_dir=str(run_dir))
    files = [str(CONFIGS / "inference.yaml")]
    monai.bundle.run(
        config_file=files, run_dir=str(run_dir), output_dir=str(tmp_path / "seg"), progress=False, device="cpu"
    )
    for volume, scores in metrics["dice_3d"]["per_volume"].items():
        found = np.asarray(nib.load(tmp_path / "seg" / f"{volume}_seg.nii.gz").dataobj)
        truth = np.asarray(nib.load(run_dir.parent / "data" / "labels" / f"{volume}.nii.gz").dataobj)
        for value in (1, 2):
            both, sizes = ((found == value) & (truth == value)).sum(), (found == value).sum() + (truth == value).sum()
            assert scores[f"class {value}"] == pytest.approx(2 * both / sizes)


def test_one_row_for_each_volume_and_class(run_dir, tmp_path):
    metrics = evaluate(tmp_path / "out", run_dir=str(run_dir), part="all")
    with open(tmp_path / "out" / "per_volume.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 2
    assert [(row["volume"], row["class"]) for row in rows[:2]] == [("case_0", "class 1"), ("case_0", "class 2")]
    for row in rows:
        assert row["patient"] == row["volume"]
        for key in ("dice_3d", "hd95_3d", "dice_2d"):
            value = metrics[key]["per_volume"][row["volume"]][row["class"]]
            assert row[key] == ("" if value is None else str(value))


def test_a_moved_data_set_is_still_the_runs_own(run_dir, tmp_path):
    shutil.copytree(run_dir.parent / "data", tmp_path / "data")
    found = evaluate(tmp_path / "out", run_dir=str(run_dir), dataset_dir=str(tmp_path / "data"))
    expected = json.loads((run_dir / "round_01" / "metrics.json").read_text())
    assert {key: found[key] for key in SCORES} == {key: expected[key] for key in SCORES}


def test_of_another_data_set_all_is_taken_and_seen_as_the_network_was_trained(run_dir, tmp_path, caplog):
    folder = make_data(tmp_path / "data", ["new_a", "new_b"], seed=1)
    expected = evaluate(tmp_path / "plain", run_dir=str(run_dir), dataset_dir=str(folder), logging_file=False)
    crop = {"_target_": "CenterSpatialCropd", "keys": ["image", "label"], "roi_size": [9, 9, -1]}
    found = evaluate(
        tmp_path / "out",
        run_dir=str(run_dir),
        dataset_dir=str(folder),
        config_file=[str(CONFIGS / "evaluate.yaml"), OVERLAY],
        preprocessing={"_target_": "Compose", "transforms": [crop]},
        logging_file=False,
    )
    assert found["part"] == "all"
    assert list(found["dice_3d"]["per_volume"]) == ["new_a", "new_b"]
    assert found["dice_3d"] == expected["dice_3d"]
    assert found["dice_3d"]["mean"] > 0.1
    assert "image_size, spacing stay as the run was trained" in caplog.text


def test_one_volume_that_no_split_could_take(run_dir, tmp_path):
    make_data(tmp_path / "data", ["alone"], seed=2)
    assert len(apply_to_part(run_dir, overrides={"dataset_dir": str(tmp_path / "data")}).items) == 4


def test_a_data_set_that_shares_volumes_needs_a_part(run_dir, tmp_path):
    shutil.copytree(run_dir.parent / "data", tmp_path / "data")
    make_data(tmp_path / "data", ["new"])
    overrides = {"dataset_dir": str(tmp_path / "data")}
    with pytest.raises(BundleConfigError, match="24 of its 28 items in common.*give --part"):
        apply_to_part(run_dir, overrides=overrides)
    assert len(apply_to_part(run_dir, "all", overrides=overrides).items) == 28


def test_what_the_run_was_trained_on_is_said(run_dir, caplog):
    with caplog.at_level(logging.INFO, "monai_al"):
        apply_to_part(run_dir)
        assert "labeled" not in caplog.text
        apply_to_part(run_dir, "train")
        assert "note: 12 of these 16 items are labeled in the run" in caplog.text
        apply_to_part(run_dir, "all", round=0)
        assert "note: 6 of these 24 items are labeled in the run" in caplog.text


@pytest.mark.parametrize("policy", ["strict", "ignore_empty", "count_empty"])
def test_empty_policy(run_dir, tmp_path, policy):
    assert evaluate(tmp_path / "out", run_dir=str(run_dir), empty_policy=policy)["empty_policy"] == policy


def test_undefined_numbers(run_dir, tmp_path, capsys):
    """No class is in the truth, and false positives are left out."""
    folder = make_data(tmp_path / "data", ["new"], seed=3)
    empty = nib.Nifti1Image(np.zeros((18, 22, 4), np.uint8), np.diag([1, 2, 3, 1]))
    nib.save(empty, folder / "labels" / "new.nii.gz")
    listing = {
        "_target_": "monai_al.datasets.folder", "root": "@dataset_dir", "classes": ["background", "class 1", "class 2"],
    }  # fmt: skip
    found = evaluate(
        tmp_path / "out",
        run_dir=str(run_dir),
        dataset_dir=str(folder),
        datalist=listing,
        empty_policy="ignore_empty",
    )
    assert found["dice_3d"]["mean"] is None
    assert "–" in capsys.readouterr().out
    assert "new,new,class 1,,," in (tmp_path / "out" / "per_volume.csv").read_text()


def test_table():
    dice = {"mean": 0.75, "per_class": {"liver": 0.5, "lesion": 1.0}}
    distance = {"mean": 3.0, "per_class": {"liver": 3.0, "lesion": None}, "spacing_is_placeholder": True}
    metrics = {"dice_3d": dice, "dice_2d": dice, "hd95_3d": distance, "empty_policy": "strict"}
    text = evaluation_text({**metrics, "counts": {"volumes": 3, "patients": 2}})
    assert text.splitlines() == [
        "class   3D Dice  2D Dice  HD95 mm",
        "liver    0.5000   0.5000     3.00",
        "lesion   1.0000   1.0000        –",
        "mean     0.7500   0.7500     3.00",
        "3 volumes of 2 patients, empty masks: strict",
        "the spacing is a placeholder, so millimetres mean nothing",
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"part": "tset"}, BundleConfigError, "part must be one of train, validation, test, all, got 'tset'"),
        ({"round": 9}, DataError, "round 9 is not trained"),
        ({"run_dir": None}, DataError, "--run_dir"),
        ({"overrides": {"dataset_dir": "nowhere"}}, DataError, "nowhere: does not exist"),
        ({"overrides": {"bach_size": 3}}, BundleConfigError, "did you mean batch_size"),
        (
            {"overrides": {"datalist": {"_target_": "monai_al.datasets.folder", "root": "@dataset_dir",
                                        "classes": ["background", "a", "b"]}}},
            DataError,
            "classes background, a, b, the run background, class 1, class 2",
        ),
    ],
)  # fmt: skip
def test_mistakes(run_dir, arguments, error, message):
    with pytest.raises(error, match=message):
        apply_to_part(**{"run_dir": run_dir, **arguments})


def test_an_empty_part(run_dir):
    with pytest.raises(DataError, match="there are no items: the part 'validation' is empty"):
        apply_to_part(run_dir, "validation").prepare()


def test_it_is_a_standard_inference_config(run_dir):
    file = str(CONFIGS / "evaluate.yaml")
    workflow = ConfigWorkflow(file, workflow_type="infer", logging_file=False, run_dir=str(run_dir))
    workflow.initialize()
    assert workflow.check_properties() == []
    running = workflow.parser.get_parsed_content("running")
    assert running.forwarded("train.yaml", own="evaluate.yaml") == {}


@pytest.mark.parametrize("overlay", sorted((ROOT / "configs" / "datasets").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("config", ["inference", "evaluate"])
def test_every_data_set_overlay_names_only_ids_that_are_read(config, overlay):
    from monai_al.bundle import RunningBundle

    files = [str(CONFIGS / f"{config}.yaml"), str(overlay)]
    running = RunningBundle(CONFIGS.parent, monai.bundle.ConfigParser.load_config_files(files))
    running.check_overrides("train.yaml", own=f"{config}.yaml")
    assert set(running.forwarded("train.yaml", own=f"{config}.yaml")) == set(
        monai.bundle.ConfigParser.load_config_file(str(overlay))
    )
    with pytest.raises(BundleConfigError, match="--datalisst"):
        RunningBundle(CONFIGS.parent, {**running.config, "datalisst": 1}).check_overrides(
            "train.yaml", own=f"{config}.yaml"
        )
