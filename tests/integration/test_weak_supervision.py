# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Training on scribbles with two decoders: by itself, and in the loop."""

from __future__ import annotations

import json

import monai.bundle
import pytest
import torch
from monai.data import list_data_collate

from monai_al.assets import find_asset
from monai_al.bundle import RoundTraining
from monai_al.data import SliceDataset
from monai_al.losses import PartialCrossEntropyLoss

CONFIGS = find_asset("active_learning") / "configs"
WEAK = find_asset("training/weak_supervision")
HELD_OUT = {"patient001": "test", "patient002": "validation"}
SMALL = {
    "phantom": {"patients": 8, "volumes_per_patient": 1, "shape": [32, 32, 8], "classes": 2, "scribbles": True},
    "image_size": [32, 32], "channels": [8, 8, 16, 16, 16], "batch_size": 8, "progress": False, "device": "cpu",
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def scribbled(tmp_path):
    """An overlay: the patients that may be annotated have the phantom's scribbles, the others its masks."""
    path = tmp_path / "scribbled.json"
    of_training = "dataclasses.replace(item, label=item.label.replace('_label', '_scribble'))"
    overlay = {
        "+imports": ["$import dataclasses", "$import monai_al.datasets.parts", "$import monai_al.records as records"],
        "drawn": "$datasets.phantom(@cache_dir, **@phantom)",
        "parted": f"$datasets.parts.in_parts(@drawn, {HELD_OUT})",
        "items": f"$[{of_training} if item.split == 'train' else item for item in @parted]",
        "datalist": "$records.Pool(@items, @drawn.classes, {0: 0, 1: 1, 255: 255}, @drawn.root)",
    }
    path.write_text(json.dumps(overlay))
    return path


def test_a_training_alone_learns_the_scribbles(scribbled, tmp_path):
    files, cache = [str(CONFIGS / "train.yaml"), str(scribbled), str(WEAK)], str(tmp_path / "cache")
    monai.bundle.run(config_file=files, output_dir=str(tmp_path / "train"), cache_dir=cache, steps=30, **SMALL)
    overrides = {**SMALL, "output_dir": str(tmp_path), "cache_dir": cache}
    network, pool, volumes = RoundTraining(files, overrides).resolve("network_def", "pool", "cache")
    slices = list_data_collate([dict(one) for one in SliceDataset(pool.part("train").items, volumes)])
    assert 0.01 < (slices["label"] != 255).float().mean() < 0.1

    def loss_of_the_scribbles():
        with torch.no_grad():
            return PartialCrossEntropyLoss()(network.eval()(slices["image"]), slices["label"]).item()

    before = loss_of_the_scribbles()
    state = torch.load(tmp_path / "train" / "models" / "model.pt", weights_only=True)
    assert {name.split(".")[0] for name in state} == {"network", "auxiliary"}
    network.load_state_dict(state)
    assert loss_of_the_scribbles() < 0.5 * before


def test_a_loop_of_scribbles(scribbled, tmp_path):
    files = [str(CONFIGS / "active_learning.yaml"), str(find_asset("strategies/mc_dropout"))]
    options = {**SMALL, "steps": 4, "rounds": 2, "budget": 4, "train_overlays": [str(scribbled), "weak_supervision"]}
    monai.bundle.run(config_file=files, output_dir=str(tmp_path / "run"), **options)
    for number in range(2):
        folder = tmp_path / "run" / f"round_0{number}"
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["labeled"] == 4 * (number + 1)
        assert metrics["cost"]["per_kind"]["weak"]["items"] == metrics["labeled"]
        assert 0 <= metrics["dice_3d"]["mean"] <= 1
        state = torch.load(folder / "model_0.pt", weights_only=True)["model"]
        assert {name.split(".")[0] for name in state} == {"network", "auxiliary"}
