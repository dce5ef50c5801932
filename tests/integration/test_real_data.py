# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Short runs on real volumes, where they are there."""

from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import pytest

from monai_al.datasets import acdc, slice_deviations

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
CONFIGS = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs"


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("dataset", "folder", "volumes", "smallest"),
    [("hippocampus", "Task04_Hippocampus", 60, 0.4), ("lgg", "LGG", 3, 0.0)],
)
def test_two_short_rounds(dataset, folder, volumes, smallest, tmp_path):
    if not (DATA / folder).is_dir():
        pytest.skip(f"{folder} is not at {DATA.name}/")
    monai.bundle.run(
        config_file=[str(CONFIGS / "active_learning.yaml"), str(ROOT / "configs" / "datasets" / f"{dataset}.yaml")],
        dataset_dir=str(DATA / folder),
        output_dir=str(tmp_path / "run"),
        rounds=2,
        budget=20,
        steps=150,
        progress=False,
    )
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["labeled"] == 40
    assert len(metrics["dice_3d"]["per_volume"]) == volumes
    assert metrics["dice_3d"]["mean"] >= smallest


@pytest.mark.nightly
def test_a_pretraining_and_two_rounds_on_skin_lesions(tmp_path):
    if not (DATA / "ISIC2017").is_dir():
        pytest.skip(f"ISIC2017 is not at {DATA.name}/")
    monai.bundle.run(
        config_file=str(ROOT / "bundles" / "ssl_cluster_skin_lesion" / "configs" / "active_learning.yaml"),
        dataset_dir=str(DATA / "ISIC2017"),
        output_dir=str(tmp_path / "run"),
        rounds=2,
        budget=12,
        steps=60,
        pretrain_epochs=1,
        progress=False,
    )
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["labeled"] == 24
    assert metrics["dice_3d"]["mean"] >= 0.3
    record = json.loads((tmp_path / "run" / "warm_start.json").read_text())
    assert record["new"] == ["model.2.conv.weight", "model.2.conv.bias"]
    entry = Path(json.loads((tmp_path / "run" / "encoder.json").read_text())["folder"])
    assert (entry / "restoration.png").is_file()


@pytest.mark.nightly
def test_neighbors_on_acdc_are_most_alike_as_in_the_paper():
    """0.217 of all, 0.159 of a patient, 0.166 of a volume, 0.115 of neighbors, of all 80 patients."""
    root = DATA / "ACDC" / "database" / "training"
    if not root.is_dir():
        pytest.skip(f"ACDC is not at {DATA.name}/")
    pool = acdc(root)
    known = {patient for patient in pool.patients if int(patient[-3:]) <= 80}
    found = slice_deviations(pool.with_items(item for item in pool if item.patient in known))
    published = {"all": 0.217, "patient": 0.159, "volume": 0.166, "neighbors": 0.115}
    for name, expected in published.items():
        assert abs(found[name].mean - expected) < 0.006
    order = ("neighbors", "patient", "volume", "all")
    assert sorted(order, key=lambda name: found[name].mean) == list(order)
