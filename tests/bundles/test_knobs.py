# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where common knobs go in the config of a bundle of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from monai_al.bundle.knobs import KNOBS, targets_of

FOREIGN = Path(__file__).parents[1] / "foreign_bundles"


def config(name):
    (file,) = (FOREIGN / name / "configs").glob("train.*")
    return ConfigParser(ConfigParser.load_config_file(str(file)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "hippocampus_3d",
            {
                "epochs": ["train#trainer#max_epochs"],
                "batch_size": ["train#dataloader#batch_size"],
                "learning_rate": ["optimizer#lr"],
                "num_workers": ["train#dataloader#num_workers", "validate#dataloader#num_workers"],
            },
        ),
        ("skin_lesion_2d", {"epochs": ["epochs"], "batch_size": ["batch_size"], "learning_rate": ["learning_rate"]}),
        ("cardiac_multilabel", {"amp": ["amp"], "batch_size": ["train#dataloader#batch_size"], "epochs": ["epochs"]}),
    ],
)
def test_the_knobs_of_the_foreign_bundles(name, expected):
    found = config(name)
    assert {knob: targets_of(knob, found) for knob in expected} == expected
    assert all(id in found for knob in KNOBS if knob != "dropout" for id in targets_of(knob, found))


def test_dropout_is_what_the_network_takes():
    assert targets_of("dropout", config("hippocampus_3d")) == ["network_def#dropout"]  # though its config has none
    assert targets_of("dropout", config("cardiac_multilabel")) == ["network_def#dropout_prob"]
    assert targets_of("dropout", ConfigParser({"network_def": {"_target_": "SegResNetDS", "spatial_dims": 3}})) == []
    assert targets_of("dropout", ConfigParser({"network_def": "$torch.nn.Identity()"})) == []


def test_engines_are_found_by_what_runs_them():
    flat = {
        "engine": {"_target_": "SupervisedTrainer", "max_epochs": "@epochs", "train_data_loader": "@loader"},
        "loader": {"_target_": "DataLoader", "batch_size": 2},
        "epochs": 5,
        "training": ["$@engine.run()"],
    }
    found = {knob: targets_of(knob, ConfigParser(flat)) for knob in ("epochs", "batch_size", "amp")}
    assert found == {"epochs": ["epochs"], "batch_size": ["loader#batch_size"], "amp": []}


def test_references_are_followed_to_their_end():
    parser = ConfigParser({"train": {"trainer": {"max_epochs": "@a"}}, "a": "@b#c", "b": {"c": 3}})
    assert targets_of("epochs", parser) == ["b#c"]


@pytest.mark.parametrize("value", ["$@n + 1", "@gone", "%n", "text @n"])
def test_what_is_no_mere_reference_is_replaced_itself(value):
    assert targets_of("epochs", {"train#trainer#max_epochs": value, "n": 3}) == ["train#trainer#max_epochs"]


def test_a_circle_of_references_ends():
    assert targets_of("epochs", {"train#trainer#max_epochs": "@a", "a": "@b", "b": "@a"}) == ["b"]


def test_a_map_of_the_user_comes_first():
    places = {"train#trainer#max_epochs": 5, "train#trainer#epoch_length": "@steps", "steps": 9, "x": 1}
    assert targets_of("steps", places) == []
    assert targets_of("steps", places, {"steps": "train#trainer#epoch_length"}) == ["steps"]
    assert targets_of("epochs", places, {"epochs": ["x", "steps", "no"]}) == ["x", "steps"]
