# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Overlays of the training config that serve any bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from monai_al.bundle import BundleConfigError, RoundTraining, RunningBundle, infer_activation
from monai_al.cli import find_asset
from monai_al.engines import EncoderTraining
from monai_al.engines.warm_start import WarmStart
from monai_al.losses import PartialDiceCELoss
from monai_al.networks import DeeplySupervised, DualBranchUNet, matched_weights

SHARED = find_asset("training/whole_volumes")
BUNDLES = sorted(path.parents[1] for path in SHARED.parents[2].glob("bundles/*/configs/train.yaml"))


def test_a_bundle_s_own_overlay_comes_first(tmp_path):
    (tmp_path / "configs").mkdir()
    bundle = RunningBundle(tmp_path, {})
    assert bundle.file("whole_volumes") == bundle.file("whole_volumes.yaml") == SHARED
    own = tmp_path / "configs" / "whole_volumes.yaml"
    own.write_text("")
    assert bundle.file("whole_volumes") == own
    assert bundle.file("a/whole_volumes.yaml") == Path("a/whole_volumes.yaml")
    assert bundle.file("a ::1/b.yaml") == Path("a #1/b.yaml")  # as MONAI hands it on
    assert bundle.file("missing") == tmp_path / "configs" / "missing.yaml"  # what an error names


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
@pytest.mark.parametrize("more", [[], ["paper.yaml"]], ids=["alone", "after paper.yaml"])
def test_random_volumes_are_for_every_bundle(root, more):
    if not all((root / "configs" / name).is_file() for name in more):
        pytest.skip("a bundle of no paper")
    files = [root / "configs" / name for name in ("active_learning.yaml", *more)]
    files.append(find_asset("strategies/random_volumes"))
    merged = ConfigParser.load_config_files([str(file) for file in files])
    check = {"training": "train.yaml", "overlays": merged["train_overlays"], "defaults": "active_learning.yaml"}
    if merged.get("encoder"):
        check["encoder"] = [merged["encoder"], *merged["encoder_overlays"]]
    bundle = RunningBundle(root, {**merged, "volume_depth": 8})
    bundle.check_overrides(**check)
    forwarded = bundle.forwarded("train.yaml", merged["train_overlays"])
    assert (forwarded["volume_depth"], forwarded["backbone"]["spatial_dims"]) == (8, 3)
    with pytest.raises(BundleConfigError, match="--volume_depht: .*did you mean volume_depth"):
        RunningBundle(root, {**merged, "volume_depht": 8}).check_overrides(**check)


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
@pytest.mark.parametrize(
    "more",
    [[], [find_asset("strategies/random_volumes")], ["paper.yaml"]],
    ids=["alone", "of volumes", "after paper.yaml"],
)
@pytest.mark.parametrize("name", ["warm_start", "cold_start"])
def test_every_bundle_s_network_is_pretrained_and_started_from(root, more, name):
    """Its own one, but for the last layer; the embedding is that of its bottleneck."""
    if not all((root / "configs" / one).is_file() for one in more):
        pytest.skip("a bundle of no paper")
    files = [root / "configs" / one for one in ("active_learning.yaml", *more)]
    merged = ConfigParser.load_config_files([str(file) for file in (*files, find_asset(f"encoders/{name}"))])
    assert (merged["encoder"], merged["encoder_overlays"][-1]) == ("train.yaml", "restoration")
    bundle = RunningBundle(root, merged)
    bundle.check_overrides(
        "train.yaml",
        merged["train_overlays"],
        defaults="active_learning.yaml",
        encoder=[merged["encoder"], *merged["encoder_overlays"]],
    )
    forwarded = bundle.forwarded("train.yaml", merged["train_overlays"])
    training = RoundTraining(bundle.files("train.yaml", merged["train_overlays"]), {"out_channels": 3, **forwarded})
    inner = bundle.forwarded_ids(merged["encoder"], merged["encoder_overlays"])
    encoder = EncoderTraining(bundle.files(merged["encoder"], merged["encoder_overlays"]), inner)
    (network,) = encoder.training.resolve("network_def")
    volumes = merged["train_overlays"] == ["whole_volumes"]
    image = torch.rand(1, 1, *[32] * (3 if volumes else 2))
    assert network.eval()(image).shape == image.shape
    if name == "warm_start":
        assert merged["warm_start"] == "encoder"
        WarmStart("encoder", training).check(encoder.training)
        (own,) = training.resolve("network_def")
        assert len(matched_weights(own, network.state_dict()).new) == 2  # weight and bias of the last layer
    else:
        assert merged["initial_set"] == "cluster_representatives"


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
@pytest.mark.parametrize("more", [[], ["paper.yaml"]], ids=["alone", "after paper.yaml"])
def test_deep_supervision_is_for_every_bundle(root, more):
    if not all((root / "configs" / name).is_file() for name in more):
        pytest.skip("a bundle of no paper")
    files = [root / "configs" / name for name in ("active_learning.yaml", *more)]
    merged = ConfigParser.load_config_files([str(file) for file in (*files, find_asset("strategies/dsal"))])
    forwarded = RunningBundle(root, merged).forwarded("train.yaml", merged["train_overlays"])
    training = [root / "configs" / "train.yaml", find_asset("training/deep_supervision")]
    network, loss = RoundTraining(training, {"out_channels": 3, **forwarded}).resolve("network_def", "loss")
    assert isinstance(network, DeeplySupervised)
    outputs = network(torch.rand(2, 1, 64, 64))
    out_channels = 1 if merged.get("out_channels") == 1 else 3  # one sigmoid in the paper
    assert [tuple(output.shape) for output in outputs] == [(2, out_channels, 64, 64)] * 3
    target = torch.zeros(2, 1, 64, 64)
    each = [loss.loss(output, target) for output in outputs]
    assert torch.isclose(loss(outputs, target), 0.6 * each[0] + 0.3 * each[1] + 0.1 * each[2])
    assert torch.isclose(loss(outputs[0], target), each[0])  # of a validation


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
@pytest.mark.parametrize("more", [[], ["paper.yaml"]], ids=["alone", "after paper.yaml"])
def test_weak_supervision_is_for_every_bundle(root, more):
    if not all((root / "configs" / name).is_file() for name in more):
        pytest.skip("a bundle of no paper")
    files = [str(root / "configs" / name) for name in ("active_learning.yaml", *more)]
    merged = ConfigParser.load_config_files(files)
    if len(merged.get("channels", range(5))) != 5:
        pytest.skip("the paper's network has another number of levels")
    bundle = RunningBundle(root, {**merged, "train_overlays": ["weak_supervision"], "pseudo_weight": 0.25})
    encoder = [merged["encoder"]] if merged.get("encoder") else []
    bundle.check_overrides("train.yaml", ["weak_supervision"], defaults="active_learning.yaml", encoder=encoder)
    forwarded = bundle.forwarded("train.yaml", ["weak_supervision"])
    training = RoundTraining(bundle.files("train.yaml", ["weak_supervision"]), {"out_channels": 3, **forwarded})
    network, loss, optimizer = training.resolve("network_def", "loss", "optimizer")
    assert isinstance(network, DualBranchUNet)
    assert {id(p) for p in network.parameters()} == {id(p) for p in optimizer.param_groups[0]["params"]}
    outputs = network(torch.rand(2, 1, 64, 64))
    sigmoid = merged.get("out_channels") == 1
    assert [tuple(output.shape) for output in outputs] == [(2, 1 if sigmoid else 3, 64, 64)] * 2
    assert (loss.pseudo_weight, loss.cross_entropy.sigmoid) == (0.25, sigmoid)
    assert infer_activation(None, loss) == ("sigmoid" if sigmoid else "softmax")
    assert torch.isfinite(loss(outputs, torch.zeros(2, 1, 64, 64)))
    assert isinstance(loss.evaluation_loss, PartialDiceCELoss)  # of a validation
