# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run's record, read again: what JSON cannot hold, places on any level, a bundle that has moved away."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from monai_al.annotators import Oracle
from monai_al.bundle.run_record import run_record, training_of
from monai_al.cli import find_asset
from monai_al.data import config_hash
from monai_al.engines import ActiveLearner, TrainedRun
from monai_al.passes import evaluate_items
from monai_al.strategies import Random

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"
SMALL = {"image_size": [16, 16], "channels": [4, 8], "steps": 2, "batch_size": 4, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run on a folder whose labels hold 0, 1 and 7, as its options say."""
    root = tmp_path_factory.mktemp("values")
    (root / "data").mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        label = random.choice([0, 1, 7], (12, 14, 4)).astype(np.uint8)
        nib.save(nib.Nifti1Image(label * 9.0, np.eye(4)), root / "data" / f"{number}.nii.gz")
        nib.save(nib.Nifti1Image(label, np.eye(4)), root / "data" / f"{number}_seg.nii.gz")
    listing = {
        "_target_": "monai_al.datasets.folder", "root": "@dataset_dir", "classes": ["background", "a", "b"],
        "label_values": {0: 0, 1: 1, 7: 2},
    }  # fmt: skip
    overrides = {**SMALL, "datalist": listing, "dataset_dir": str(root / "data"), "cache_dir": str(root / "cache")}
    ActiveLearner(
        TRAIN, Random(), root / "run", overrides=overrides, budget=3, rounds=1, progress=False, threads=1
    ).run()
    return root / "run"


def test_label_values_of_the_options(run_dir):
    run = TrainedRun(run_dir)
    data = run.source
    assert data.data.label_values == {0: 0, 1: 1, 7: 2}
    test = data.data.part("test").items
    before = {path.name for path in (run_dir.parent / "cache").glob("*/*")}
    data.prepare(test)
    assert {path.name for path in (run_dir.parent / "cache").glob("*/*")} == before  # the same entries
    scores = evaluate_items(data, run.network(0), test)
    expected = json.loads((run_dir / "round_00" / "metrics.json").read_text())
    assert scores["dice_3d"] == expected["dice_3d"]


def test_a_bundle_whose_folder_is_gone(run_dir, tmp_path, begun_otherwise):
    gone = {"bundle_root": str(tmp_path / "gone")}
    run = TrainedRun(begun_otherwise(run_dir, tmp_path / "run", lambda record: record["places"].update(gone)))
    run.source.prepare(run.source.data[:1])
    assert run.network().activation == "softmax"
    assert run.training.root is None


FOREIGN = {
    "device": "$torch.device('cpu')",
    "network_def": {"_target_": "UNet", "channels": [4, 8]},
    "cache": [{"_target_": "A", "cache_dir": "here"}, {"parts": ({"device": "@device", "keys": "image"}, 3)}],
    "train": {"dataloader": {"batch_size": 2, "num_workers": 4}, "trainer": {"device": "@device", "max_epochs": 3}},
}


def record_of(training):
    return json.loads(json.dumps(run_record(Random(), Oracle(), training, {"seed": 0})))


def changed(**values):
    training = json.loads(json.dumps(FOREIGN))
    training["device"] = values.get("device", training["device"])
    training["cache"][0]["cache_dir"] = values.get("cache_dir", "here")
    training["train"]["trainer"]["device"] = values.get("device", "@device")
    training["train"]["dataloader"] |= {k: v for k, v in values.items() if k in ("num_workers", "batch_size")}
    return training


def test_places_on_any_level_are_no_part_of_the_hash():
    first = config_hash(record_of(FOREIGN)["config"])
    assert config_hash(record_of(changed(num_workers=0, device="cuda:1", cache_dir="there"))["config"]) == first
    assert config_hash(record_of(changed(batch_size=3))["config"]) != first


def test_all_that_was_asked_is_found_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = json.loads(json.dumps(FOREIGN))
    expected["cache"][0]["cache_dir"] = str(tmp_path / "here")  # found from any folder
    assert training_of(record_of(FOREIGN)) == expected


def test_a_run_finds_the_workers_that_its_record_tells(run_dir, tmp_path, begun_otherwise):
    def change(record):
        assert "num_workers" not in json.dumps(record["config"])
        record["places"]["train#dataloader#num_workers"] = 3

    again = TrainedRun(begun_otherwise(run_dir, tmp_path / "run", change))
    assert again.training.resolve("train::dataloader::num_workers") == [3]
    assert TrainedRun(run_dir).training.raw()["train"]["dataloader"]["num_workers"] == "@num_workers"
