# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a training, found from what its config runs."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

from monai_al.bundle import BundleConfigError, TrainingConfig
from monai_al.bundle.engine_ids import engine_ids

SCALED = {"_target_": "ScaleIntensityd", "keys": "image"}
FLAT = {
    "listed": "$[{'image': f'{name}.nii', 'label': f'{name}_seg.nii'} for name in 'abcd']",
    "unet": {
        "_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [2, 4], "strides": [2],
    },
    "sees": {"_target_": "Compose", "transforms": [SCALED]},
    "train_set": {"_target_": "CacheDataset", "data": "$@listed[:3]", "transform": "@sees", "progress": False},
    "val_set": {"_target_": "Dataset", "data": "$@listed[3:]", "transform": "@sees"},
    "train_loader": {"_target_": "DataLoader", "dataset": "@train_set", "batch_size": 1},
    "val_loader": {"_target_": "DataLoader", "dataset": "@val_set"},
    "adam": {"_target_": "torch.optim.Adam", "params": "$@unet.parameters()"},
    "ending": {"_target_": "Compose", "transforms": [{"_target_": "Activationsd", "keys": "pred", "softmax": True}]},
    "tester": {
        "_target_": "SupervisedEvaluator", "device": "cpu", "val_data_loader": "@val_loader", "network": "@unet",
        "postprocessing": "@ending", "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [8, 8]},
    },
    "validation": {"_target_": "ValidationHandler", "interval": 1, "validator": "@tester"},
    "engine": {
        "_target_": "SupervisedTrainer", "device": "cpu", "max_epochs": 1, "train_data_loader": "@train_loader",
        "network": "@unet", "optimizer": "@adam", "loss_function": "$torch.nn.CrossEntropyLoss()",
        "train_handlers": ["@validation"],
    },
    "run": ["$print('never')", "$@engine.run()"],
}  # fmt: skip


def found(change=None, **settings):
    config = copy.deepcopy(FLAT)
    if change is not None:
        change(config)
    return TrainingConfig(config, name="train.json", **settings).find()


def test_ids_and_objects_of_a_config_without_a_standard_id(capsys):
    result = found()
    assert result.ids == {
        "trainer": "engine", "network": "unet", "train_data": "train_set::data", "evaluator": "tester",
        "test_data": "val_set::data", "preprocessing": "sees", "postprocessing": "ending", "inferer": "tester::inferer",
    }  # fmt: skip
    parts = result.parts
    assert [entry["image"] for entry in parts.train_entries] == ["a.nii", "b.nii", "c.nii"]
    assert [entry["label"] for entry in parts.test_entries] == ["d_seg.nii"]
    assert isinstance(parts.preprocessing, Compose)
    assert parts.postprocessing.transforms[0].__class__.__name__ == "Activationsd"
    assert parts.inferer.roi_size == [8, 8]
    assert result.weights is None


def in_an_expression(config):
    """The evaluator is built by an expression, and so is what validates."""
    config["tester"]["_target_"] = "monai.engines.SupervisedEvaluator"
    config["make"] = {**config.pop("tester"), "_mode_": "callable"}
    config["engine"]["train_handlers"] = "$[monai.handlers.ValidationHandler(1, @make())]"
    config.pop("validation")


def test_what_no_id_holds_is_found_as_an_object():
    result = found(in_an_expression)
    assert (result.ids["evaluator"], result.ids["postprocessing"]) == (None, "ending")
    assert result.parts.inferer.roi_size == [8, 8]


def standard(config):
    """Other parts bear MONAI's standard ids, and are used by nothing."""
    config["train"] = {"dataset": {"_target_": "Dataset", "data": [{"image": "wrong"}]}, "trainer": "$1 / 0"}
    config["validate"] = {"evaluator": "$1 / 0", "preprocessing": "$1 / 0"}


def test_what_runs_counts_and_not_what_its_id_is_called():
    assert found(standard).ids == found().ids


def several(config):
    config["other"] = config["tester"]
    config["engine"]["train_handlers"] = ["@validation", {**config["validation"], "validator": "@other"}]


def test_what_is_ambiguous_is_named_by_its_id():
    with pytest.raises(BundleConfigError, match="validates by 2 engines: .*--bundle_ids"):
        found(several)
    assert found(several, bundle_ids={"evaluator": "other"}).ids["evaluator"] == "other"
    result = found(bundle_ids={"test_data": "listed", "inferer": "tester#inferer"})
    assert (len(result.parts.test_entries), result.ids["test_data"]) == (4, "listed")
    with pytest.raises(BundleConfigError, match="there is no part 'tester'; the parts are trainer, network"):
        found(bundle_ids={"tester": "other"})
    with pytest.raises(BundleConfigError, match="train.json declares no 'a#b'"):
        found(bundle_ids={"inferer": "a#b"})


def test_a_part_may_be_named_by_the_data_set_that_holds_it():
    assert found(bundle_ids={"test_data": "val_set"}).parts.test_entries == found().parts.test_entries
    with pytest.raises(BundleConfigError, match="--bundle_ids: test_data is sees, which holds no list of entries"):
        found(bundle_ids={"test_data": "sees"})


def test_a_data_set_in_another():
    """Labeled entries go where the inner one has its own, so that both transforms see them."""

    def nested(config):
        config["train_set"]["data"] = {"_target_": "Dataset", "data": "$@listed[:3]", "transform": SCALED}

    result = found(nested)
    assert result.ids["train_data"] == "train_set::data::data"
    assert [entry["image"] for entry in result.parts.train_entries] == ["a.nii", "b.nii", "c.nii"]


def test_nothing_of_the_process_changes():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()

    def seeds(config):
        config["initialize"] = "$monai.utils.set_determinism(seed=7)"

    found(seeds)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[:2]
    assert torch.equal(torch.random.get_rng_state(), before[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.update(run=["$print(1)"]), "train.json runs no trainer"),
        (
            lambda config: config.update(listed=[]),
            r"train_set#data of train.json is empty: does the folder that it reads",
        ),
        (lambda config: config.update(unet="$torch.nn.Nowhere()"), "fails by itself.*no attribute 'Nowhere'"),
        (lambda config: config["engine"].update(network="$len"), "SupervisedTrainer without a network|fails by itself"),
    ],
)
def test_what_cannot_be_found_is_told(change, message):
    with pytest.raises(BundleConfigError, match=message):
        found(change)


def test_the_text_of_a_config_tells_the_same_ids():
    ids = engine_ids(ConfigParser(copy.deepcopy(FLAT)))
    assert ids == {
        "trainer": "engine", "evaluator": "tester", "network": "unet", "optimizer": "adam",
        "train_loader": "train_loader", "train_dataset": "train_set", "val_loader": "val_loader",
        "val_dataset": "val_set",
    }  # fmt: skip
