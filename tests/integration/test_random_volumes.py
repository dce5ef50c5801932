# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole volumes at random and a 3D network, in every bundle."""

from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_al.cli import find_asset
from monai_al.datasets import phantom

OVERLAY = find_asset("strategies/random_volumes")
BUNDLES = sorted(path.parent for path in OVERLAY.parents[2].glob("bundles/*/configs/active_learning.yaml"))
OF_PAPERS = [configs for configs in BUNDLES if (configs / "paper.yaml").is_file()]
DEPTH = 9
PHANTOM = {"patients": 5, "volumes_per_patient": 2, "shape": [32, 32, DEPTH], "classes": ["background", "spleen"]}
SMALL = {
    "phantom": PHANTOM, "image_size": [32, 32], "channels": [4, 8], "steps": 2, "device": "cpu", "progress": False,
    "volume_depth": 8, "rounds": 2, "test_fraction": 0.2,
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


def run(configs: Path, root: Path, *more: str, **options) -> Path:
    files = [configs / "active_learning.yaml", *(configs / name for name in more), OVERLAY]
    monai.bundle.run(config_file=[str(f) for f in files], output_dir=str(root / "run"), **{**SMALL, **options})
    return root / "run"


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda configs: configs.parent.name)
def done(request, tmp_path_factory):
    """A bundle's configs, and a run of two rounds."""
    root = tmp_path_factory.mktemp("volumes")
    return request.param, run(request.param, root)


def test_volumes_are_asked_for_and_their_slices_counted(done):
    _, folder = done
    pool = read(folder / "pool.json")["items"]
    assert all(item["slice"] is None and item["id"] == item["volume"] for item in pool)
    assert len(pool) == 10
    for number in range(2):
        query = read(folder / f"round_0{number}" / "query.json")
        assert len({item["id"] for item in query["items"]}) == 2
        cost = read(folder / f"round_0{number}" / "metrics.json")["cost"]
        labeled = 2 * (number + 1)
        assert (cost["items"], cost["volumes"], cost["slices"]) == (labeled, labeled, labeled * DEPTH)
        assert cost["voxels"] == labeled * 32 * 32 * DEPTH


def test_the_network_is_one_of_volumes(done):
    _, folder = done
    weights = torch.load(folder / "round_01" / "model_0.pt", weights_only=True)["model"]
    assert {weight.ndim for weight in weights.values() if weight.ndim > 1} == {5}


def test_it_is_evaluated_and_applied_as_any_other_run(done, tmp_path):
    configs, folder = done
    common = {"run_dir": str(folder), "progress": False}
    monai.bundle.run(config_file=str(configs / "evaluate.yaml"), output_dir=str(tmp_path / "evaluation"), **common)
    found, expected = read(tmp_path / "evaluation" / "metrics.json"), read(folder / "round_01" / "metrics.json")
    assert found["dice_3d"] == expected["dice_3d"]
    assert (found["part"], found["counts"]["volumes"]) == ("test", 2)
    own = phantom(tmp_path, item="volume", **{**PHANTOM, "patients": 1, "seed": 7})
    scans = {"dataset_dir": str(Path(own[0].image)), "output_dir": str(tmp_path / "segmentations")}
    monai.bundle.run(config_file=str(configs / "inference.yaml"), **common, **scans)
    (written,) = (tmp_path / "segmentations").rglob("*.nii.gz")
    image, mask = nib.load(own[0].image), nib.load(written)
    assert mask.shape == image.shape == (32, 32, DEPTH)
    np.testing.assert_allclose(mask.affine, image.affine)


@pytest.mark.parametrize(
    "configs",
    [
        pytest.param(configs, marks=pytest.mark.nightly if configs.parent.name.startswith("ssl_cluster") else ())
        for configs in OF_PAPERS
    ],
    ids=lambda configs: configs.parent.name,
)
def test_after_the_settings_of_the_paper(configs, tmp_path):
    """What the paper's overlay says of the 2D network and its augmentation no longer counts."""
    few = {"steps": 2, "epochs": "$None", "steps_per_epoch": 1, "validation_fraction": 0.2, "members": 1, "budget": 2}
    folder = run(configs, tmp_path, "paper.yaml", **few)
    assert read(folder / "round_01" / "metrics.json")["cost"]["slices"] == 4 * DEPTH


def test_the_3d_network_is_pretrained_and_started_from(tmp_path):
    """By restoring volumes; the first query is what stands for their clusters."""
    encoder = {"pretrain_epochs": 1, "pretrain_batch_size": 2, "tensorboard": False, "warm_start": "encoder"}
    more = [str(find_asset(f"encoders/{name}")) for name in ("warm_start", "cold_start")]
    neutral = next(configs for configs in BUNDLES if configs.parent.name == "active_learning")
    files = [str(neutral / "active_learning.yaml"), str(OVERLAY), *more]
    small = {**SMALL, **encoder, "rounds": 1, "budget": 2, "learning_rate": 0}
    monai.bundle.run(config_file=files, output_dir=str(tmp_path / "run"), **small)
    assert read(tmp_path / "run" / "round_00" / "query.json")["strategy"].startswith("cluster representatives")
    entry = Path(read(tmp_path / "run" / "encoder.json")["folder"])
    assert np.load(entry / "embeddings.npy").shape == (8, 8 * 2**3)
    assert (entry / "restoration.png").is_file()
    encoder = torch.load(entry / "encoder.pt", weights_only=True)["model"]
    network = torch.load(tmp_path / "run" / "round_00" / "model_0.pt", weights_only=True)["model"]
    loaded = [name for name in read(tmp_path / "run" / "warm_start.json")["loaded"] if "weight" in name]
    assert encoder["model.0.conv.weight"].ndim == 5
    assert all(torch.equal(network[name], encoder[name]) for name in loaded)


def test_the_augmentation_stays_within_the_slices():
    augmentation = ConfigParser(ConfigParser.load_config_file(str(OVERLAY))).get_parsed_content("augmentation")
    moved = [one for one in augmentation.transforms if type(one).__name__ == "RandLabelAffined"]
    image = torch.zeros(1, 16, 16, 4)
    image[..., 2] = torch.rand(16, 16) + 1  # one slice alone is not empty
    label = (image > 0).to(torch.uint8)
    changed = 0
    for seed in range(8):
        out = moved[0].set_random_state(seed)({"image": image.clone(), "label": label.clone()})
        assert out["image"].shape == image.shape
        assert out["image"][..., [0, 1, 3]].abs().max() < 1e-4
        assert set(out["label"][..., [0, 1, 3]].unique().tolist()) <= {0, 255}
        changed += not torch.equal(torch.as_tensor(out["image"]), image)
    assert changed > 3


def test_a_depth_that_the_network_does_not_take(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        run(BUNDLES[0], tmp_path, volume_depth=6, channels=[4, 8, 16])
    assert "the network cannot predict" in str(caught.value.__cause__)
    assert not (tmp_path / "run").exists()
