# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The variant with a pre-trained encoder, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_al.bundle import BundleConfigError, RunningBundle
from monai_al.cli import find_asset
from monai_al.handlers import GradientClipping
from monai_al.networks import SimCLR

BUNDLE = find_asset("group_contrastive_cardiac")
CONFIGS = BUNDLE / "configs"
RANDOM = find_asset("strategies/random")
SMALL = {
    "phantom": {"patients": 5, "volumes_per_patient": 1, "shape": [32, 32, 6]}, "image_size": [64, 64],
    "batch_size": 4, "epochs": 1, "backbone_width": 0.125, "rounds": 2, "budget": 4, "progress": False,
    "device": "cpu", "validation_fraction": 0.0,
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as a pretraining leaves it, of colour images."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "encoder.pt"
    torch.save({"model": SimCLR(3, backbone="resnet50", widen_factor=0.125).state_dict()}, path)
    return path


def run(root: Path, *more: str, **options) -> Path:
    files = [CONFIGS / "active_learning.yaml", RANDOM, *(CONFIGS / name for name in more)]
    files.append(CONFIGS / "pretrained_backbone.yaml")
    monai.bundle.run(config_file=[str(file) for file in files], output_dir=str(root / "run"), **{**SMALL, **options})
    return root / "run"


def model(folder: Path, number: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"round_0{number}" / "model_0.pt", weights_only=True)["model"]


def test_every_round_starts_from_the_file(tmp_path, weights):
    """With a learning rate of 0 only the statistics of the batch norms and the decoder's draw differ."""
    folder = run(tmp_path, backbone_weights=str(weights), learning_rate=0.0)
    stored = torch.load(weights, weights_only=True)["model"]
    for number in range(2):
        found = model(folder, number)
        kernels = [name for name in found if name.startswith("encoder.") and found[name].ndim == 4]
        assert len(kernels) == 53
        for name in kernels:
            expected = stored[name].sum(1, keepdim=True) if name == "encoder.conv1.weight" else stored[name]
            torch.testing.assert_close(found[name], expected)
    decoders = [model(folder, number)["segmentation_head.0.weight"] for number in range(2)]
    assert not torch.equal(*decoders)


@pytest.mark.nightly
def test_the_file_is_needed_no_more_once_it_is_trained(tmp_path, weights):
    mine = tmp_path / "mine.pt"
    mine.write_bytes(weights.read_bytes())
    folder = run(tmp_path, backbone_weights=str(mine), epochs=2)
    mine.unlink()
    common = {"run_dir": str(folder), "output_dir": str(tmp_path / "evaluation"), "progress": False}
    monai.bundle.run(config_file=str(CONFIGS / "evaluate.yaml"), **common)
    found, expected = (tmp_path / "evaluation" / "metrics.json", folder / "round_01" / "metrics.json")
    assert json.loads(found.read_text())["dice_3d"] == json.loads(expected.read_text())["dice_3d"]


@pytest.mark.nightly
def test_after_the_settings_of_the_paper(tmp_path, weights):
    few = {"epochs": 2, "val_interval": 1, "members": 2, "validation_fraction": 0.2}
    folder = run(tmp_path, "paper.yaml", backbone_weights=str(weights), **{**few, "image_size": [64, 64]})
    metrics = json.loads((folder / "round_01" / "metrics.json").read_text())
    assert metrics["model"] == "best on validation"
    assert "encoder.layer4.2.conv3.weight" in model(folder, 1)


@pytest.mark.parametrize("path", [None, "nowhere.pt"])
def test_without_the_file_nothing_starts(tmp_path, path):
    with pytest.raises(Exception, match="load_backbone") as caught:
        run(tmp_path, **({} if path is None else {"backbone_weights": path}))
    expected = "name the file with --backbone_weights" if path is None else "nowhere.pt: there is no such file"
    assert expected in str(caught.value.__cause__)
    assert not list(tmp_path.iterdir())


def test_the_settings_of_the_paper(tmp_path, weights):
    """Methods 4.3 and 7.1: Adam, 1e-4, gradients of norm 1, batches of 8, 50 epochs; the patient group alone."""
    merged = ConfigParser.load_config_files(
        [str(CONFIGS / f) for f in ("active_learning.yaml", "pretrained_backbone.yaml")]
    )
    assert merged["train_overlays"] == ["pretrained_weights"]
    assert (merged["budget"], merged["rounds"]) == ([0.01, 0.02, 0.03, 0.04, 0.05], 5)
    groups = ("nt_xent", "patient_group", "volume_group", "slice_group")
    assert [merged[name] for name in groups] == [0, 1, 0, 0]
    bundle = RunningBundle(BUNDLE, merged)
    forwarded = bundle.forwarded("train.yaml", merged["train_overlays"])
    options = {**forwarded, **SMALL, "batch_size": 8, "epochs": 50, "backbone_weights": str(weights)}
    names = [str(CONFIGS / name) for name in ("train.yaml", "pretrained_weights.yaml")]
    options = {id: value for id, value in options.items() if id not in ("rounds", "budget")}
    places = {"output_dir": str(tmp_path / "train"), "cache_dir": str(tmp_path / "cache")}
    workflow = ConfigWorkflow(names, workflow_type="train", logging_file=False, **{**options, **places})
    workflow.of_a_round = True  # its overrides are checked above
    workflow.initialize()
    assert workflow.max_epochs == 50
    trainer = workflow.trainer
    (group,) = trainer.optimizer.param_groups
    assert (type(trainer.optimizer), group["lr"], group["weight_decay"]) == (torch.optim.Adam, 0.0001, 0.0)
    assert trainer.data_loader.batch_size == 8
    (clipping,) = [handler for handler in workflow.train_handlers if isinstance(handler, GradientClipping)]
    assert (clipping.max_norm, clipping.optimizer) == (1.0, trainer.optimizer)
    members = bundle.forwarded_ids("pretrain.yaml")
    assert [members[name] for name in groups] == [0, 1, 0, 0]


def test_no_id_of_the_overlay_is_idle():
    files = [str(CONFIGS / name) for name in ("active_learning.yaml", "pretrained_backbone.yaml")]
    merged = ConfigParser.load_config_files(files)
    check = {"overlays": merged["train_overlays"], "defaults": "active_learning.yaml", "encoder": ["pretrain.yaml"]}
    RunningBundle(BUNDLE, merged).check_overrides("train.yaml", **check)
    with pytest.raises(BundleConfigError, match="--backbone_wieghts: .*did you mean backbone_weights"):
        RunningBundle(BUNDLE, {**merged, "backbone_wieghts": "a"}).check_overrides("train.yaml", **check)


@pytest.mark.nightly
def test_the_network_is_exported(tmp_path, weights):
    folder = run(tmp_path, backbone_weights=str(weights), rounds=1)
    overlay = tmp_path / "overlay.json"
    network = ConfigParser.load_config_file(str(CONFIGS / "pretrained_backbone.yaml"))["backbone"]
    overlay.write_text(json.dumps({"backbone": network, "backbone_width": 0.125, "out_channels": 3}))
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(folder / "round_00" / "model_0.pt"),
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=[str(CONFIGS / "train.yaml"), str(overlay)],
        key_in_ckpt="model",
        output_dir=str(tmp_path / "t"),
    )
    assert torch.jit.load(str(tmp_path / "model.ts"))(torch.zeros(1, 1, 40, 64)).shape == (1, 3, 40, 64)
