# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI's file of properties tells which ids hold the parts, where a config leaves that open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_al.bundle import BundleConfigError
from monai_al.bundle.opened_training import open_training
from monai_al.commands import main

FOREIGN = Path(__file__).parents[1] / "foreign_bundles"


def engine(kind, loader, **more):
    component = {"_target_": kind, "device": "cpu", "network": "@net", f"{loader}_data_loader": f"@{more.pop('data')}"}
    return component | more


def listed(name):
    dataset = {"_target_": "Dataset", "data": f"$[{{'image': '{name}', 'label': 'l'}}]", "transform": f"$('{name}',)"}
    return {"_target_": "DataLoader", "dataset": dataset}


TRAINED = {
    "max_epochs": 1,
    "loss_function": {"_target_": "DiceLoss"},
    "optimizer": "$torch.optim.SGD(@net.parameters())",
}
CONFIG = {
    "net": "$torch.nn.Conv2d(1, 2, 1)",
    "first": {"data": listed("before"), "trainer": engine("SupervisedTrainer", "train", data="first#data", **TRAINED)},
    "my": {"data": listed("train"), "trainer": engine("SupervisedTrainer", "train", data="my#data", **TRAINED)},
    "tested": {"data": listed("test"), "engine": engine("SupervisedEvaluator", "val", data="tested#data")},
    "checked": {"data": listed("checked"), "engine": engine("SupervisedEvaluator", "val", data="checked#data")},
    "run": ["$@first#trainer.run()", "$@my#trainer.run()"],
}
PROPERTIES = {
    "bundle_root": {"id": "bundle_root", "required": True},
    "trainer": {"id": "my::trainer", "required": True},
    "evaluator": {"id": "tested::engine"},
    "val_inferer": {"id": "tested::inferer", "required": False},
    "val_preprocessing": {"id": "checked#data#dataset#transform"},
}


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return written


def test_its_ids_stand_for_those_that_are_not_given(write):
    config, file = write("train.json", CONFIG), write("properties.json", {"train": PROPERTIES, "meta": {}})
    with pytest.raises(BundleConfigError, match="runs 2 engines"):
        open_training(config).find()
    found = open_training(config, properties_path=file).find()
    assert [found.parts.train_entries[0]["image"], found.parts.test_entries[0]["image"]] == ["train", "test"]
    assert found.parts.preprocessing == ("checked",)
    assert found.ids["trainer"] == "my::trainer"
    given = open_training(config, bundle_ids={"evaluator": "checked#engine"}, properties_path=file).find()
    assert [given.parts.train_entries[0]["image"], given.parts.test_entries[0]["image"]] == ["train", "checked"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": ', "properties.json, line 1: not valid JSON"),
        ([], "declares no properties of training"),
        ({"meta": {}}, "declares no properties of training"),
        ({"train": {"trainer": "my::trainer"}}, "declares no properties of training"),
        ({"train": {"trainer": {"required": True}}}, "trainer has no id"),
        ({"train": {"trainer": {"id": "their::trainer"}}}, "train.json declares no 'their#trainer', its trainer"),
    ],
)
def test_what_is_no_file_of_properties_is_told(content, message, write):
    with pytest.raises(BundleConfigError, match=f"--properties_path .*{message}"):
        open_training(write("train.json", CONFIG), properties_path=write("properties.json", content))


def test_it_is_an_option_of_the_command_that_monai_does_not_take_for_itself(capsys, tmp_path):
    config = str(FOREIGN / "hippocampus_3d" / "configs" / "train.json")
    words = ["run", "active_learning", "--training_config", config, "--output_dir", str(tmp_path / "run")]
    assert main([*words, "--properties_path", str(tmp_path / "gone.json")]) == 2
    assert f"--properties_path {tmp_path}/gone.json: there is no such file" in capsys.readouterr().err
