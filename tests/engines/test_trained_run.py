# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Several members as one network, for bundles whose postprocessing applies the activation itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from monai_al.bundle import TrainingConfig
from monai_al.data import DataError
from monai_al.engines import TrainedRun
from monai_al.engines.members import mean_of_members
from monai_al.passes import evaluate_items
from monai_al.sources.slice_source import SliceSource
from monai_al.sources.source_of import source_of
from monai_al.uncertainty import probabilities

BOTH = ["image", "label"]


@pytest.fixture
def training(tmp_path):
    """A bundle on pictures, which the network sees smaller than they are stored, without a sliding window."""
    generator = np.random.default_rng(0)
    for number in range(4):
        label = np.zeros((20, 24), np.uint8)
        label[4 + number : 14, 6:18] = 1
        image = (label * 90 + generator.integers(0, 100, label.shape)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        Image.fromarray(label).save(tmp_path / f"{number}_mask.png")

    def make(activation, channels):
        transforms = [
            {"_target_": "LoadImaged", "keys": BOTH},
            {"_target_": "EnsureChannelFirstd", "keys": BOTH, "channel_dim": "no_channel"},
            {"_target_": "Resized", "keys": BOTH, "spatial_size": [16, 16], "mode": ["bilinear", "nearest"]},
        ]
        after = [{"_target_": "Activationsd", "keys": "pred", activation: True}]
        after.append(
            {"_target_": "AsDiscreted", "keys": "pred", **({"argmax": True} if channels > 1 else {"threshold": 0.5})}
        )
        entries = [{"image": f"{tmp_path}/{n}.png", "label": f"{tmp_path}/{n}_mask.png"} for n in range(4)]
        return TrainingConfig(
            {
                "network_def": f"$torch.nn.Conv2d(1, {channels}, 3, padding=1)",
                "train": {
                    "dataset": {"_target_": "Dataset", "data": entries[:2]},
                    "trainer": {
                        "_target_": "SupervisedTrainer",
                        "device": "cpu",
                        "max_epochs": 1,
                        "network": "@network_def",
                        "train_data_loader": {"_target_": "DataLoader", "dataset": "@train#dataset"},
                        "optimizer": "$torch.optim.SGD(@network_def.parameters(), lr=0.1)",
                        "loss_function": "$len",
                        "train_handlers": [
                            {"_target_": "ValidationHandler", "interval": 1, "validator": "@validate#evaluator"}
                        ],
                    },
                },
                "validate": {
                    "dataset": {
                        "_target_": "Dataset",
                        "data": entries[2:],
                        "transform": {"_target_": "Compose", "transforms": transforms},
                    },
                    "postprocessing": {"_target_": "Compose", "transforms": after},
                    "evaluator": {
                        "_target_": "SupervisedEvaluator",
                        "device": "cpu",
                        "network": "@network_def",
                        "val_data_loader": {"_target_": "DataLoader", "dataset": "@validate#dataset"},
                        "postprocessing": "@validate#postprocessing",
                    },
                },
                "run": "$@train#trainer.run()",
            }  # fmt: skip
        )

    return make


def load_members(config, source, states):
    return mean_of_members([source.adapted(config.load(state)) for state in states], gives_logits=source.gives_logits)


def states_of(training, n):
    torch.manual_seed(0)
    found = [training.load(None).network.state_dict() for _ in range(n)]
    return [{key: torch.randn_like(value) * 0.05 for key, value in state.items()} for state in found]


@pytest.mark.parametrize(("activation", "channels"), [("softmax", 2), ("sigmoid", 1), ("sigmoid", 3)])
def test_two_equal_members_score_as_one(activation, channels, training):
    """Also where the inferer hands on what the network gives, without MONAI's meta data."""
    config = training(activation, channels)
    data = source_of(config)
    (state,) = states_of(config, 1)
    data.try_network(config.load(None), [])
    one, two = load_members(config, data, [state]), load_members(config, data, [state, state])
    assert one.activation == two.activation == ("multilabel" if channels == 3 else activation)
    items = data.data.part("test").items
    assert evaluate_items(data, two, items) == evaluate_items(data, one, items)
    assert evaluate_items(data, one, items)["hd95_3d"]["spacing_is_placeholder"]


@pytest.mark.parametrize(("activation", "channels"), [("softmax", 2), ("softmax", 4), ("sigmoid", 1), ("sigmoid", 3)])
def test_the_postprocessing_gets_the_mean_probability_back(activation, channels, training):
    config = training(activation, channels)
    data = source_of(config)
    states = states_of(config, 3)
    mean = load_members(config, data, states)
    x = torch.rand(2, 1, 8, 8) * 100
    each = [probabilities(config.load(state).network(x), mean.activation) for state in states]
    torch.testing.assert_close(probabilities(mean.network(x), mean.activation), sum(each) / 3)


def test_certain_members_give_no_infinities(training):
    for activation, channels in (("softmax", 3), ("sigmoid", 1)):
        config = training(activation, channels)
        state = {"weight": torch.full((channels, 1, 3, 3), 50.0), "bias": torch.zeros(channels)}
        state["weight"][-1] = -50.0
        mean = load_members(config, source_of(config), [state, state])
        raw = mean.network(torch.full((1, 1, 6, 6), 100.0))
        assert torch.isfinite(raw).all()
        expected = probabilities(config.load(state).network(torch.full((1, 1, 6, 6), 100.0)), mean.activation)
        torch.testing.assert_close(probabilities(raw, mean.activation), expected, atol=1e-6, rtol=0)


def test_items_of_a_cache_get_probabilities(training):
    config = training("sigmoid", 1)
    states = states_of(config, 2)
    mean = load_members(config, SliceSource(data=None, cache=None), states)
    x = torch.rand(1, 1, 8, 8)
    each = [torch.sigmoid(config.load(state).network(x)) for state in states]
    torch.testing.assert_close(mean.network(x), sum(each) / 2)
    assert mean == replace(mean, activation="none")


def test_no_members_are_refused(training):
    config = training("sigmoid", 1)
    with pytest.raises(ValueError, match="no members"):
        load_members(config, source_of(config), [])


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(DataError, match="is no run folder: it holds no run.json"):
        TrainedRun(tmp_path)
