# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle of others whose validation preprocessing crops: what its network does not see, and scores without that."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_al.bundle import BundleConfigError
from monai_al.commands import main
from monai_al.engines import ActiveLearner, TrainedRun
from monai_al.engines.run_report import write_report
from monai_al.passes import evaluate_items
from monai_al.records import RunFolderError
from monai_al.strategies import Random

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
WRITE = runpy.run_path(str(ROOT / "tests" / "bundles" / "test_foreign_bundles.py"))["WRITE"]
BOTH = ["image", "label"]
SEEN = (20, 28, 20)  # voxels around the center, of 34 or 35 x 40 x 28


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made up")
    WRITE["hippocampus_3d"](folder, np.random.default_rng(0))
    return folder


@pytest.fixture
def bundle(tmp_path):
    """The bundle with a crop in its preprocessing, and a network that is right as it begins and learns nothing."""
    folder = tmp_path / "cropping"
    shutil.copytree(ROOT / "tests" / "foreign_bundles" / "hippocampus_3d", folder)
    (folder / "configs" / "train.json").rename(file := folder / "configs" / "cropping.json")
    config = ConfigParser.load_config_file(str(file))
    transforms = config["train"]["deterministic_transforms"]
    at = [transform["_target_"] for transform in transforms].index("SpatialPadd")
    transforms[at] = {"_target_": "CenterSpatialCropd", "keys": BOTH, "roi_size": list(SEEN)}
    for part in ("train", "validate"):
        config[part]["dataset"]["data"] = config[part]["dataset"]["data"].replace("-10", "-2")
    random = config["train"]["random_transforms"]
    random[0]["spatial_size"] = config["validate"]["inferer"]["roi_size"] = [16, 16, 16]
    config["network_def"] = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 3, "kernel_size": 1}
    loader = {
        "_target_": "CheckpointLoader",
        "load_path": str(tmp_path / "right.pt"),
        "load_dict": {"model": "@network"},
    }
    config["train"]["handlers"].insert(0, loader)
    config["optimizer"]["lr"] = 0.0
    file.write_text(json.dumps(config))
    # logits 2 m x - m², largest for the m next to x, where the grey values of the classes lie around m
    m = torch.tensor([20.0, 120.0, 220.0]) / 235
    weights = {"weight": 200 * m.reshape(3, 1, 1, 1, 1), "bias": -100 * m**2}
    torch.save({"model": weights}, tmp_path / "right.pt")
    return file


def learner(file, data, folder, **settings):
    overrides = {"dataset_dir": str(data), "device": "cpu", "epochs": 1, "num_workers": 0, "val_interval": 9}
    settings = {"budget": 1, "rounds": 2, "progress": False, "initial_weights": "bundle", **settings}
    return ActiveLearner(file, Random(), folder, overrides=overrides, **settings)


def begun_by_command(file, data, folder):
    """The same by the command line, with the option."""
    options = {
        "training_config": file, "dataset_dir": data, "output_dir": folder, "device": "cpu", "epochs": 1,
        "num_workers": 0, "val_interval": 9, "budget": 1, "rounds": 2, "threads": 1, "progress": "false",
        "score_inside": "true", "initial_weights": "bundle",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert not main(["run", "active_learning", "strategies/random", *words])


def by_hand(data):
    """Of the test volumes: name -> the Dice of each class of a perfect network, and the share that is cut away."""
    found, lost, foreground = {}, 0, 0
    for path in sorted((data / "labelsTr").glob("*.nii.gz"))[-2:]:
        label = np.asarray(nibabel.load(path).dataobj)
        starts = [n // 2 - size // 2 for n, size in zip(label.shape, SEEN, strict=True)]
        seen = label[tuple(slice(start, start + n) for start, n in zip(starts, SEEN, strict=True))]
        kept, whole = ([int((part == c).sum()) for c in (1, 2)] for part in (seen, label))
        found[path.name] = [2 * k / (k + n) for k, n in zip(kept, whole, strict=True)]
        lost, foreground = lost + sum(whole) - sum(kept), foreground + sum(whole)
    return found, lost / foreground


def monais_own(file, data, tmp_path):
    """What the bundle's own evaluator says of its network, in the network's space."""
    workflow = ConfigWorkflow(
        str(file), workflow_type="train", logging_file=False, bundle_root=str(file.parents[1]), dataset_dir=str(data),
        output_dir=str(tmp_path / "eval"), ckpt_dir=str(tmp_path / "models"), device="cpu",
    )  # fmt: skip
    workflow.initialize()
    network, evaluator = (workflow.parser.get_parsed_content(id) for id in ("network", "validate#evaluator"))
    network.load_state_dict(torch.load(tmp_path / "right.pt", weights_only=True)["model"])
    evaluator.run()
    for handler in workflow.parser.get_parsed_content("validate#handlers"):
        if hasattr(handler, "close"):
            handler.close()
    return evaluator.state.metrics["val_mean_dice"]


def test_a_perfect_network_behind_a_crop(bundle, data, tmp_path):
    assert monais_own(bundle, data, tmp_path) == 1
    plain, inside = tmp_path / "plain", tmp_path / "inside"
    learner(bundle, data, plain).run()
    begun_by_command(bundle, data, inside)
    whole, part = (json.loads((run / "round_01" / "metrics.json").read_text()) for run in (plain, inside))

    expected, share = by_hand(data)
    found = whole["dice_3d"]["per_volume"]
    assert {name: list(own.values()) for name, own in found.items()} == {
        name: pytest.approx(own) for name, own in expected.items()
    }
    assert 0.8 < whole["dice_3d"]["mean"] < 0.9
    assert whole["hd95_3d"]["mean"] > 1
    assert (part["dice_3d"]["mean"], part["hd95_3d"]["mean"]) == (1, 0)
    assert whole["dice_query"]["mean"] < part["dice_query"]["mean"] == 1
    assert (whole["scored_on"], part["scored_on"]) == ("stored label", "field of view")
    assert whole["outside"] == part["outside"]
    assert whole["outside"]["share"] == pytest.approx(share)

    for run, metrics, fate in (
        (plain, whole, "these voxels count as missed; --score_inside true"),
        (inside, part, "by --score_inside true it counts in no score"),
    ):
        log, page = (
            (run / "log.txt").read_text(encoding="utf-8"),
            write_report(run, items=0, volumes=0, progress=False).read_text(encoding="utf-8"),
        )
        for text in (log, page):
            assert f"{100 * share:.0f} % of the labeled foreground of the test items" in text
            assert f"most in {metrics['outside']['worst']} (" in text
            assert fate in text
        assert log.count(fate) == 1  # of two rounds it is the first that says it
        read = TrainedRun(run)  # and evaluates as the loop did
        again = evaluate_items(read.source, read.network(), read.source.data.part("test").items)
        assert again == {name: metrics[name] for name in again}
    recorded = [json.loads((run / "run.json").read_text())["config"]["learner"] for run in (plain, inside)]
    assert [settings.get("score_inside") for settings in recorded] == [None, True]
    with pytest.raises(RunFolderError, match="score_inside"):  # a run goes on with what it began with
        learner(bundle, data, plain, score_inside=True).run()


def test_a_bundle_of_ours_refuses_it(tmp_path):
    own = ROOT / "bundles" / "active_learning" / "configs" / "train.yaml"
    with pytest.raises(BundleConfigError, match="--score_inside true is for bundles of others"):
        ActiveLearner(own, Random(), tmp_path / "own", score_inside=True, rounds=1, progress=False).run()
    assert not (tmp_path / "own").exists()
