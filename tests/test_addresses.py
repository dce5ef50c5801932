# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Addresses that bundles, docs and users' scripts have used since the first release go on working."""

from __future__ import annotations

import importlib
import json
import shutil
import warnings
from pathlib import Path

import monai.bundle
import pytest

ROOT = Path(__file__).parents[1]
MOVED = {  # where a name stood -> where it stands
    "monai_al.bundle.AppliedRun": "monai_al.engines.AppliedRun",
    "monai_al.bundle.EncoderTraining": "monai_al.engines.EncoderTraining",
    "monai_al.bundle.Members": "monai_al.engines.Members",
    "monai_al.bundle.TrainedNetwork": "monai_al.inferers.TrainedNetwork",
    "monai_al.bundle.TrainedRun": "monai_al.engines.TrainedRun",
    "monai_al.bundle.apply_to_part": "monai_al.engines.apply_to_part",
    "monai_al.bundle.apply_to_scans": "monai_al.engines.apply_to_scans",
    "monai_al.bundle.evaluation_text": "monai_al.engines.evaluation_text",
    "monai_al.bundle.training_options.infer_activation": "monai_al.bundle.activation.infer_activation",
    "monai_al.bundle.write_evaluation": "monai_al.engines.write_evaluation",
    "monai_al.cli.find_asset": "monai_al.assets.find_asset",
    "monai_al.cli.main": "monai_al.commands.main",
    "monai_al.comparison.places.OnRay": "monai_al.comparison.on_ray.OnRay",
    "monai_al.comparison.places.OnSlurm": "monai_al.comparison.on_slurm.OnSlurm",
    "monai_al.data.DataError": "monai_al.records.DataError",
    "monai_al.data.Item": "monai_al.records.Item",
    "monai_al.data.NOT_ANNOTATED": "monai_al.records.NOT_ANNOTATED",
    "monai_al.data.Pool": "monai_al.records.Pool",
    "monai_al.data.Query": "monai_al.records.Query",
    "monai_al.data.QueryItem": "monai_al.records.QueryItem",
    "monai_al.data.Round": "monai_al.records.Round",
    "monai_al.data.RunFolder": "monai_al.records.RunFolder",
    "monai_al.data.RunFolderError": "monai_al.records.RunFolderError",
    "monai_al.data.config_hash": "monai_al.records.config_hash",
    "monai_al.data.content_hash": "monai_al.records.content_hash",
    "monai_al.data.derived_seed": "monai_al.records.derived_seed",
    "monai_al.data.file_identity": "monai_al.records.file_identity",
    "monai_al.data.pool_to_json": "monai_al.records.pool_to_json",
    "monai_al.data.rng": "monai_al.records.rng",
    "monai_al.data.round_sizes": "monai_al.records.round_sizes",
    "monai_al.data.slice_id": "monai_al.records.slice_id",
    "monai_al.data.slices_of": "monai_al.records.slices_of",
    "monai_al.data.split_by_patient": "monai_al.records.split_by_patient",
    "monai_al.data.whole_volumes": "monai_al.records.whole_volumes",
    "monai_al.engines.ContrastiveBatch": "monai_al.transforms.ContrastiveBatch",
    "monai_al.engines.run_pass": "monai_al.passes.run_pass",
    "monai_al.engines.score_items": "monai_al.passes.score_items",
    "monai_al.engines.slice_data.slice_loader": "monai_al.data.slice_loader",
    "monai_al.engines.train_graph_encoder": "monai_al.passes.train_graph_encoder",
    "monai_al.engines.train_vaal": "monai_al.passes.train_vaal",
}
STAYED = [
    "monai_al.annotators.Oracle", "monai_al.bundle.BundleConfigError", "monai_al.bundle.RoundTraining",
    "monai_al.bundle.infer_activation", "monai_al.bundle.load_best_weights", "monai_al.bundle.running_bundle",
    "monai_al.bundle.training_length", "monai_al.data.GroupBatchSampler", "monai_al.data.SimpleITKReader",
    "monai_al.data.SliceDataset", "monai_al.data.VolumeCache", "monai_al.data.reading.read_volume",
    "monai_al.datasets.unlabeled.unlabeled_images", "monai_al.engines.ActiveLearner", "monai_al.engines.RoundEvents",
    "monai_al.handlers.VolumeScoresHandler", "monai_al.handlers.VolumeSegmentationHandler",
]  # fmt: skip


def at(address):
    module, _, name = address.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("old", MOVED)
def test_a_name_is_found_where_it_stood(old):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert at(old) is at(MOVED[old])


@pytest.mark.parametrize("address", STAYED)
def test_a_name_is_where_it_was(address):
    assert at(address) is not None


def test_a_move_is_told_with_the_new_address():
    with pytest.warns(DeprecationWarning, match=r"monai_al\.bundle\.TrainedRun stands in monai_al\.engines now"):
        at("monai_al.bundle.TrainedRun")
    with pytest.raises(AttributeError, match="has no attribute 'TrainedRum'"):
        at("monai_al.bundle.TrainedRum")


@pytest.fixture
def older(tmp_path):
    """A copy of a bundle that says the addresses of before, in the words of its inference and evaluation then."""
    folder = tmp_path / "bundle"
    shutil.copytree(ROOT / "bundles" / "selective_uncertainty_spleen", folder)
    before = {new: old for old, new in MOVED.items() if old.startswith(("monai_al.bundle.", "monai_al.engines."))}
    before |= {"  - $import monai_al.engines as engines\n": "", "$engines.write_evaluation": "$bundle.write_evaluation"}
    changed = 0
    for file in (folder / "configs").glob("*.yaml"):
        text = told = file.read_text(encoding="utf-8")
        for new, old in before.items():
            told = told.replace(new, old)
        changed += told != text
        file.write_text(told, encoding="utf-8")
    assert changed == 2
    return folder / "configs"


@pytest.mark.filterwarnings("ignore:.*stands in monai_al:DeprecationWarning")
def test_a_bundle_with_the_addresses_of_before_runs(older, tmp_path):
    small = {
        "phantom": {"patients": 4, "shape": [32, 32, 6], "classes": ["background", "spleen"]}, "image_size": [32, 32],
        "channels": [4, 8], "steps": 3, "batch_size": 4, "progress": False, "device": "cpu",
    }  # fmt: skip
    run = str(tmp_path / "run")
    monai.bundle.run(config_file=str(older / "active_learning.yaml"), output_dir=run, rounds=2, budget=4, **small)
    places = {"run_dir": run, "progress": False}
    monai.bundle.run(config_file=str(older / "evaluate.yaml"), output_dir=str(tmp_path / "scores"), **places)
    found, recorded = (
        json.loads((tmp_path / name).read_text()) for name in ("scores/metrics.json", "run/round_01/metrics.json")
    )
    assert found["dice_3d"] == recorded["dice_3d"]
    monai.bundle.run(config_file=str(older / "inference.yaml"), output_dir=str(tmp_path / "maps"), **places)
    assert list((tmp_path / "maps").rglob("*.nii.gz"))
