# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The group-contrastive bundle from MONAI's own command line: encoder, cold start, rounds."""

from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "group_contrastive_cardiac" / "configs"
PHANTOM = {"patients": 12, "shape": [32, 32, 6], "classes": ["background", "ventricle", "myocardium", "other"]}
SMALL = {
    "phantom": PHANTOM, "image_size": [32, 32], "channels": [4, 8], "batch_size": 4, "steps": 4, "progress": False,
    "device": "cpu", "pretrain_epochs": 1, "encoder_width": 0.125, "tensorboard": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_one_thread(one_thread):
    """All tests of this file."""


@pytest.fixture
def run(tmp_path):
    def start(*names, folder="run", **overrides):
        files = [str(CONFIGS / "active_learning.yaml"), *(str(name) for name in names)]
        options = {**SMALL, "rounds": 2, "budget": 4, **overrides}
        monai.bundle.run(config_file=files, output_dir=str(tmp_path / folder), **options)
        return tmp_path / folder

    return start


def overlay(name):
    return ROOT / "configs" / f"{name}.yaml"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def causes(error):
    return "" if error is None else f"{error}; {causes(error.__cause__)}"


def test_pretraining_then_a_cold_start_then_rounds(run):
    folder = run()
    encoder = read(folder / "encoder.json")
    place = Path(encoder["folder"])
    assert place.parent == folder.parent / "cache" / "encoders"
    embeddings = np.load(place / "embeddings.npy")
    items = [item for item in read(folder / "pool.json")["items"] if item["split"] == "train"]
    assert embeddings.shape == (len(items), 64)
    first, second = (read(folder / f"round_0{i}" / "query.json") for i in (0, 1))
    assert first["strategy"] == second["strategy"] == "coreset (encoder)"

    ids = [item["id"] for item in items]
    slow = [int(np.linalg.norm(embeddings - embeddings.mean(0), axis=1).argmin())]
    while len(slow) < 8:
        distances = np.linalg.norm(embeddings[:, None].astype(float) - embeddings[slow][None], axis=2).min(1)
        slow.append(int(distances.argmax()))
    assert [item["id"] for query in (first, second) for item in query["items"]] == [ids[i] for i in slow]


@pytest.mark.nightly
def test_each_encoder_overlay_is_another_encoder(run):
    places = set()
    for name in ("nt_xent", "patient_volume"):
        folder = run(overlay(f"encoders/{name}"), folder=name, rounds=1)
        places.add(read(folder / "encoder.json")["folder"])
    assert len(places) == 2


def test_batches_are_plain_where_no_group_has_a_weight(tmp_path):
    """Of two patients: no batch could hold eight slices of different ones."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "pretrain.yaml"), str(overlay("encoders/nt_xent"))])
    phantom = {"patients": 2, "volumes_per_patient": 2, "shape": [16, 16, 10], "classes": PHANTOM["classes"]}
    parser.update({"phantom": phantom, "test_fraction": 0, "validation_fraction": 0, "cache_dir": str(tmp_path)})
    sampler = parser.get_parsed_content("train#sampler")
    assert sorted(position for batch in sampler for position in batch) == list(range(40))
    assert {len(batch) for batch in sampler} == {8}


@pytest.mark.parametrize(
    "groups",
    [(0, 0.05, 0.25, 0.7), *(pytest.param(one, marks=pytest.mark.nightly) for one in ((0, 1, 0, 0), (1, 0, 0, 0)))],
)
def test_every_combination_of_losses_trains(run, groups):
    names = ("nt_xent", "patient_group", "volume_group", "slice_group")
    folder = run(rounds=1, **dict(zip(names, groups, strict=True)))
    record = read(Path(read(folder / "encoder.json")["folder"]) / "encoder.json")
    assert tuple(record["config"][name] for name in names) == groups


def test_a_misspelled_id_of_the_pretraining_is_refused(run):
    with pytest.raises(RuntimeError) as refused:
        run(pretrain_epochz=3)
    assert "--pretrain_epochz: nothing in the bundle refers to it; did you mean pretrain_epochs" in causes(
        refused.value
    )


def test_options_of_the_pretraining_without_an_encoder_are_refused(run, tmp_path):
    (tmp_path / "none.yaml").write_text("encoder: null\n", encoding="utf-8")
    with pytest.raises(RuntimeError) as refused:
        run(overlay("strategies/random"), tmp_path / "none.yaml")
    assert "--pretrain_epochs: nothing in the bundle refers to it" in causes(refused.value)


@pytest.mark.nightly
def test_no_encoder_is_trained_for_other_strategies(run):
    folder = run(overlay("strategies/random"))
    assert not (folder / "encoder.json").exists()
    assert not (folder.parent / "cache" / "encoders").exists()


@pytest.mark.nightly
def test_another_bundle_takes_the_encoder_by_its_path(tmp_path):
    other = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs" / "active_learning.yaml"
    files = [str(other), str(overlay("strategies/coreset_encoder"))]
    options = {**SMALL, "phantom": {"patients": 8, "shape": [32, 32, 6], "classes": ["background", "spleen"]}}
    place = str(tmp_path / "run")
    monai.bundle.run(
        config_file=files, encoder=str(CONFIGS / "pretrain.yaml"), rounds=2, budget=3, output_dir=place, **options
    )
    assert read(tmp_path / "run" / "round_00" / "query.json")["strategy"] == "coreset (encoder)"


def test_pretraining_runs_alone_and_goes_on(tmp_path):
    def pretrain(epochs):
        names = ("phantom", "image_size", "progress", "device", "encoder_width", "tensorboard")
        options = {name: SMALL[name] for name in names} | {"cache_dir": str(tmp_path / "cache")}
        place = str(tmp_path / "pretrain")
        monai.bundle.run(
            config_file=str(CONFIGS / "pretrain.yaml"), output_dir=place, pretrain_epochs=epochs, **options
        )
        return torch.load(tmp_path / "pretrain" / "models" / "training.pt", weights_only=True)

    assert pretrain(1)["epoch"] == 1
    longer = pretrain(2)
    assert longer["epoch"] == 2
    batches = longer["iteration"]
    assert batches % 2 == 0  # the first epoch was not done again


@pytest.mark.nightly
def test_the_papers_settings_with_small_sizes(run):
    small = {"image_size": [32, 32], "encoder_width": 0.125, "steps": 4, "steps_per_epoch": 2, "members": 2}
    network = {"_target_": "BasicUNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 4, "features": [4] * 6}
    folder = run(CONFIGS / "paper.yaml", backbone=network, **small)
    metrics = read(folder / "round_01" / "metrics.json")
    assert metrics["model"] == "best on validation"
    assert len(metrics["validation_dice_3d"]) == 2
    assert metrics["validation_labeled"] > 0


def test_the_papers_training_length_follows_the_labeled_share(tmp_path):
    files = [str(CONFIGS / "train.yaml"), str(CONFIGS / "paper.yaml")]
    found = {}
    for share in (0.25, 0.5):
        parser = monai.bundle.ConfigParser(monai.bundle.ConfigParser.load_config_files(files))
        parser.update({"cache_dir": str(tmp_path), "phantom": PHANTOM})
        items = parser.get_parsed_content("pool").part("train").items
        parser.update({"train::dataset::data": items[: round(share * len(items))]})
        found[share] = parser.get_parsed_content("steps")
    assert found == {0.25: 15000, 0.5: 30000}  # 60000 times the labeled share
