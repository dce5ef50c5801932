# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle with weights of its own: inference and evaluation without a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import ScaleIntensityRangePercentiles

from monai_al.bundle import BundleConfigError, TrainingConfig
from monai_al.engines import BundleModel, apply_to_part, apply_to_scans
from monai_al.records import DataError

BUNDLE = Path(__file__).parents[2] / "bundles" / "active_learning"
SMALL = {"patients": 4, "volumes_per_patient": 1, "shape": [64, 64, 6]}
SMALL["classes"] = ["background", "large organ", "small organ"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A copy of a bundle with weights that were drawn at random, and the network that has them."""
    root = Path(shutil.copytree(BUNDLE, tmp_path_factory.mktemp("zoo") / "active_learning"))
    torch.manual_seed(3)
    network = TrainingConfig(
        monai.bundle.ConfigParser.load_config_file(str(root / "configs" / "train.yaml")), {"out_channels": 3}
    ).resolve("network_def")[0]
    (root / "models").mkdir()
    torch.save(network.state_dict(), root / "models" / "model.pt")
    return root, network.eval()


def run(root, config, **options):
    file = str(root / "configs" / f"{config}.yaml")
    monai.bundle.run(config_file=file, device="cpu", progress=False, threads=1, **options)


def test_inference_is_that_of_the_weights(released, tmp_path):
    root, network = released
    image = np.random.default_rng(0).gamma(2.0, 100.0, (64, 64, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.diag([1, 1, 4, 1])), tmp_path / "scan.nii.gz")
    places = {"dataset_dir": str(tmp_path / "scan.nii.gz"), "output_dir": str(tmp_path / "out")}
    run(root, "inference", **places, cache_dir=str(tmp_path / "cache"))
    found = np.asarray(nib.load(tmp_path / "out" / "scan_seg.nii.gz").dataobj)
    scaled = ScaleIntensityRangePercentiles(1, 99, 0, 1, clip=True)(image[None])
    with torch.no_grad():
        expected = network(torch.as_tensor(np.asarray(scaled)).permute(3, 0, 1, 2)).argmax(1).permute(1, 2, 0).numpy()
    assert len(np.unique(expected)) > 1, "the network tells pixels apart"
    assert (found == expected).mean() > 0.999  # a tie may fall to either side


def test_evaluation_without_a_run(released, tmp_path):
    root, _ = released
    options = {"output_dir": str(tmp_path / "out"), "cache_dir": str(tmp_path / "cache"), "phantom": SMALL}
    run(root, "evaluate", **options)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["run"], metrics["round"]) == (str(root / "models" / "model.pt"), None)
    assert (metrics["part"], metrics["counts"]["volumes"]) == ("all", 4)
    assert list(metrics["dice_3d"]["per_class"]) == SMALL["classes"][1:]


def test_of_its_own_data_the_test_part_is_taken(released, tmp_path):
    root, _ = released
    file = root / "configs" / "train.yaml"
    options = {"cache_dir": str(tmp_path), "device": "cpu"}
    (pool,) = TrainingConfig(monai.bundle.ConfigParser.load_config_file(str(file)), options).resolve("pool")
    for apply in (apply_to_part, apply_to_scans):
        applied = apply(None, bundle=root, overrides=options)
        assert [item.id for item in applied.items] == [item.id for item in pool.part("test")]


def test_classes_of_other_data_are_compared_with_the_networks(released, tmp_path):
    phantom = {**SMALL, "classes": ["background", "liver", "spleen"]}
    overrides = {"phantom": phantom, "cache_dir": str(tmp_path)}
    with pytest.raises(
        DataError, match="classes background, liver, spleen, the bundle's network background, large org"
    ):
        apply_to_part(None, bundle=released[0], overrides=overrides)


def test_what_is_refused(released, tmp_path):
    root, network = released
    with pytest.raises(DataError, match=r"no run is given: say with --run_dir .*learning has no models/model.pt"):
        apply_to_scans(None, bundle=BUNDLE)
    with pytest.raises(DataError, match="no run is given: say with --run_dir"):
        apply_to_scans(None)
    with pytest.raises(DataError, match="model.pt is one network and knows no round 2: leave --round out"):
        apply_to_part(None, round=2, bundle=root, overrides={"phantom": SMALL, "cache_dir": str(tmp_path)})
    with pytest.raises(BundleConfigError, match="did you mean device"):
        BundleModel(root, {"devise": "cpu"})
    other = Path(shutil.copytree(root, tmp_path / "other"))
    state = {name: weight for name, weight in network.state_dict().items() if "model.0" not in name}
    torch.save(state, other / "models" / "model.pt")
    with pytest.raises(ValueError, match=r"other/models/model.pt.*model.0"):
        apply_to_part(None, bundle=other, overrides={"phantom": SMALL, "cache_dir": str(tmp_path)})
