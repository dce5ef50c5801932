# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Every trap of MONAI's ConfigWorkflow that a round must not fall into, on a small config in the style of the zoo."""

from __future__ import annotations

import gc
import json
import logging
import random
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_al.bundle import BundleConfigError, RoundTraining, infer_activation

BUILT = []  # weak references to the networks that configs built


def remembered(network: torch.nn.Module) -> torch.nn.Module:
    BUILT.append(weakref.ref(network))
    return network


class HalfDataset(torch.utils.data.Dataset):
    """Silently uses half of its data."""

    def __init__(self, data, transform=None):
        self.data = data[: len(data) // 2]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return {key: self.data[index][key] for key in ("image", "label")}


class KeepTensors(HalfDataset):
    def __init__(self, data, transform=None):
        self.data = data


# the name under which a config finds this file
sys.modules.setdefault("round_training_parts", sys.modules[__name__])

CONFIG = {
    "imports": ["$import round_training_parts as parts"],
    "bundle_root": ".",
    "dataset_dir": ".",
    "device": "cpu",
    "output_dir": "$@bundle_root + '/eval'",
    "ckpt_dir": "$@bundle_root + '/models'",
    "epochs": 2,
    "network_def": "$parts.remembered(torch.nn.Conv2d(1, 2, 3, padding=1))",
    "network": "$@network_def.to(@device)",
    "loss": {"_target_": "DiceCELoss", "to_onehot_y": True, "softmax": True},
    "optimizer": {"_target_": "torch.optim.SGD", "params": "$@network.parameters()", "lr": 0.1},
    "train": {
        "dataset": {"_target_": "round_training_parts.KeepTensors", "data": []},
        "dataloader": {"_target_": "DataLoader", "dataset": "@train#dataset", "batch_size": 2, "shuffle": True},
        "inferer": {"_target_": "SimpleInferer"},
        "handlers": [
            {"_target_": "TensorBoardStatsHandler", "log_dir": "@output_dir", "output_transform": "$lambda x: 0.0"}
        ],
        "trainer": {
            "_target_": "SupervisedTrainer",
            "max_epochs": "@epochs",
            "device": "@device",
            "train_data_loader": "@train#dataloader",
            "network": "@network",
            "loss_function": "@loss",
            "optimizer": "@optimizer",
            "inferer": "@train#inferer",
            "train_handlers": "@train#handlers",
            "decollate": False,
        },
    },
    "initialize": ["$monai.utils.set_determinism(seed=123)"],
    "run": ["$@train#trainer.run()"],
}


@pytest.fixture
def write(tmp_path):
    def write_config(config=CONFIG, dataset="KeepTensors", name="train.json"):
        config = json.loads(json.dumps(config))
        config["train"]["dataset"]["_target_"] = f"round_training_parts.{dataset}"
        folder = tmp_path / "bundle" / "configs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(config))
        return folder / name

    return write_config


def items(n=4):
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "image": torch.rand(1, 8, 8, generator=generator),
            "label": (torch.rand(1, 8, 8, generator=generator) > 0.5).float(),
            "name": f"$1/0 # @nothing %{i}",
        }
        for i in range(n)
    ]


def equal(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


def test_monai_executes_a_list_of_items_and_leaves_a_tuple_alone(write):
    """Why the items go in as a tuple."""
    for as_given, fails in ((list, True), (tuple, False)):
        workflow = ConfigWorkflow(str(write()), logging_file=False, workflow_type="train")
        workflow.train_dataset_data = as_given([{"image": "$1/0", "label": "x"}])
        workflow.initialize()
        if fails:
            with pytest.raises(RuntimeError):
                _ = workflow.train_dataset
        else:
            assert workflow.train_dataset.data[0]["image"] == "$1/0"


def test_items_are_neither_evaluated_nor_changed(write):
    given = items()
    RoundTraining(write()).run(given, seed=0)
    assert [item["name"] for item in given] == [item["name"] for item in items()]


def test_monai_ignores_setting_items_that_the_config_does_not_have(write):
    config = json.loads(json.dumps(CONFIG))
    del config["train"]["dataset"]["data"]
    workflow = ConfigWorkflow(str(write(config)), logging_file=False, workflow_type="train")
    workflow.train_dataset_data = (1, 2)  # a silent no-op
    assert "train::dataset::data" not in workflow.parser
    with pytest.raises(BundleConfigError, match="fails by itself.*missing 1 required positional argument: 'data'"):
        RoundTraining(write(config)).run(items(), seed=0)


def test_a_data_set_that_leaves_items_out_is_refused(write):
    with pytest.raises(BundleConfigError, match="holds 2 entries although it was given 4"):
        RoundTraining(write(dataset="HalfDataset")).run(items(), seed=0)


def test_unknown_override_is_refused_with_the_nearest_id(write):
    with pytest.raises(BundleConfigError, match="--epoch: .*did you mean epochs"):
        RoundTraining(write(), {"epoch": 3})


def test_missing_config_file_is_named(tmp_path):
    with pytest.raises(BundleConfigError, match="nowhere.yaml"):
        RoundTraining(tmp_path / "nowhere.yaml")


def test_seed_decides_although_the_config_seeds_itself(write):
    training = RoundTraining(write())
    first, again, other = (training.run(items(), seed=seed) for seed in (1, 1, 2))
    assert equal(first, again)
    assert not equal(first, other)


def test_every_run_builds_a_new_network_and_frees_it(write):
    BUILT.clear()
    training = RoundTraining(write())
    for seed in range(3):
        training.run(items(), seed=seed)
    gc.collect()
    assert len(BUILT) == 3
    assert [reference() for reference in BUILT] == [None] * 3


def test_weights_can_be_handed_on(write):
    training = RoundTraining(write(), {"epochs": 1})
    first = training.run(items(), seed=1)
    with_rate_0 = json.loads(json.dumps(CONFIG))
    with_rate_0["optimizer"]["lr"] = 0.0
    kept = RoundTraining(write(with_rate_0, name="still.json")).run(items(), seed=5, state=first)
    assert equal(first, kept)


def test_nothing_is_left_in_the_process(write, tmp_path):
    training = RoundTraining(write())
    training.run(items(), seed=0)
    path, threads = list(sys.path), threading.active_count()
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    training.run(items(), seed=0)
    assert sys.path == path
    assert threading.active_count() == threads  # TensorBoard's writer is closed
    assert (logging.getLogger().level, logging.getLogger().handlers) == (level, handlers)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_random_state_comes_back_after_an_error(write):
    torch.manual_seed(3)
    expected = torch.rand(1).item()
    torch.manual_seed(3)
    with pytest.raises(BundleConfigError):
        RoundTraining(write(dataset="HalfDataset")).run(items(), seed=0)
    assert torch.rand(1).item() == expected


def test_overlays_and_overrides_reach_the_training(write, tmp_path):
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"epochs": 5}))
    assert RoundTraining([write(), overlay]).raw()["epochs"] == 5
    assert RoundTraining([write(), overlay], {"epochs": 7}).raw()["epochs"] == 7
    assert RoundTraining([write(), overlay]).resolve("epochs", "train#trainer#max_epochs") == [5, 5]


def test_the_files_are_read_once_for_all_rounds_and_again_for_another_run(write):
    training = RoundTraining(write())
    first = training.run(items(), seed=1)
    other = json.loads(json.dumps(CONFIG))
    other["optimizer"]["lr"] = 0.2  # as many letters
    assert write(other).stat().st_size == write().stat().st_size
    write(other)
    assert equal(training.run(items(), seed=1), first)  # as its record says
    again = RoundTraining(write(other))
    assert again.raw()["optimizer"]["lr"] == 0.2
    assert not equal(again.run(items(), seed=1), first)


def test_a_workflow_of_a_round_is_as_monai_makes_it_from_the_files(tmp_path):
    configs = Path(__file__).parents[2] / "bundles" / "selective_uncertainty_spleen" / "configs"
    files = [str(configs / name) for name in ("train.yaml", "learning_loss.yaml")]
    overrides = {"steps": 7, "train::trainer::max_epochs": 3, "output_dir": str(tmp_path)}
    ours = RoundTraining(files)._workflow(overrides, seed=0)
    theirs = ConfigWorkflow(files, logging_file=False, workflow_type="train", **overrides)
    assert ours.parser.get() == theirs.parser.get()
    for name in ("config_root_path", "meta_file", "workflow_type", "init_id", "run_id", "final_id", "properties"):
        assert str(getattr(ours, name)) == str(getattr(theirs, name))


def test_bundle_root_is_the_bundle_of_the_config_whatever_the_working_folder(write, tmp_path, monkeypatch):
    file = write()
    monkeypatch.chdir(tmp_path)
    assert RoundTraining(file.relative_to(tmp_path)).resolve("bundle_root") == [str(file.parent.parent)]


def test_load_gives_the_network_its_device_and_the_activation(write):
    training = RoundTraining(write())
    weights = training.run(items(), seed=0)
    trained = training.load(weights)
    assert trained.activation == "softmax"
    assert trained.device == torch.device("cpu")
    assert equal(trained.network.state_dict(), weights)
    assert training.load(weights, "sigmoid").activation == "sigmoid"


def test_activation_that_nothing_tells_asks_for_the_knob(write):
    config = json.loads(json.dumps(CONFIG))
    config["loss"] = {"_target_": "torch.nn.MSELoss"}
    training = RoundTraining(write(config))
    with pytest.raises(BundleConfigError, match="--activation"):
        training.load(torch.nn.Conv2d(1, 2, 3, padding=1).state_dict())


def test_activation_is_read_off_postprocessing_before_loss():
    from monai.losses import DiceCELoss, DiceLoss
    from monai.transforms import Activationsd, AsDiscreted, Compose

    postprocessing = Compose([Activationsd("pred", sigmoid=True), AsDiscreted("pred", threshold=0.5)])
    assert infer_activation(postprocessing, DiceCELoss(softmax=True)) == "sigmoid"
    assert infer_activation(Compose([AsDiscreted("pred", argmax=True)]), DiceLoss(softmax=True)) == "softmax"
    assert infer_activation(None, torch.nn.CrossEntropyLoss()) == "softmax"
    assert infer_activation(None, torch.nn.BCEWithLogitsLoss()) == "sigmoid"
    assert infer_activation(None, torch.nn.MSELoss()) is None


def test_the_training_mode_is_on_in_every_epoch(write, monkeypatch):
    modes = []
    original = torch.nn.Conv2d.forward

    def forward(self, x):
        modes.append(self.training)
        return original(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", forward)
    RoundTraining(write(), {"epochs": 3}).run(items(), seed=0)
    assert len(modes) == 6
    assert all(modes)


def test_config_of_the_bundle_has_every_standard_property(tmp_path):
    file = Path(__file__).parents[2] / "bundles" / "selective_uncertainty_spleen" / "configs" / "train.yaml"
    workflow = ConfigWorkflow(str(file), logging_file=False, workflow_type="train", output_dir=str(tmp_path / "run"))
    workflow.initialize()
    assert workflow.check_properties() == []
