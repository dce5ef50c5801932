# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What is best on the validation part: the lowest loss, or the highest 3D Dice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow

from monai_al.cli import find_asset

CONFIG = find_asset("active_learning") / "configs" / "train.yaml"
SMALL = {
    "phantom": {"patients": 6, "volumes_per_patient": 1, "shape": [32, 32, 6], "classes": ["background", "a", "b"]},
    "image_size": [32, 32], "channels": [8, 16], "batch_size": 4, "device": "cpu", "progress": False, "model": "best",
    "validation_fraction": 0.3, "steps_per_epoch": 1, "learning_rate": 0.05, "lr_schedule": "constant",
}  # fmt: skip


def trained(tmp_path, **options):
    """The key metric after each epoch, the weights then, and the best weights."""
    places = {"output_dir": str(tmp_path / "t"), "ckpt_dir": str(tmp_path / "t"), "cache_dir": str(tmp_path / "cache")}
    workflow = ConfigWorkflow(str(CONFIG), workflow_type="train", logging_file=False, **SMALL, **places, **options)
    workflow.initialize()
    evaluator, network = (workflow.parser.get_parsed_content(id) for id in ("validate::evaluator", "network_def"))
    seen = []

    @evaluator.on(Events.COMPLETED)
    def note(engine):
        seen.append((dict(engine.state.metrics), {key: value.clone() for key, value in network.state_dict().items()}))

    workflow.run()
    best = torch.load(tmp_path / "t" / "best.pt", weights_only=True)
    metrics, weights = zip(*seen, strict=True)
    return metrics, weights, best


@pytest.mark.parametrize(("key_metric", "name", "sign"), [("loss", "val_loss", -1), ("dice", "val_dice", 1)])
def test_the_best_weights_are_those_of_the_best_metric(tmp_path, key_metric, name, sign):
    metrics, weights, best = trained(tmp_path, key_metric=key_metric, steps=16)
    assert [list(found) for found in metrics] == [[name]] * 16
    values = [sign * found[name] for found in metrics]
    place = int(np.argmax(values))
    assert len(set(values)) > 3
    assert all(torch.equal(best[key], weights[place][key]) for key in best)
    assert not all(torch.equal(best[key], weights[int(np.argmin(values))][key]) for key in best)


@pytest.mark.parametrize(("key_metric", "name", "sign"), [("loss", "val_loss", -1), ("dice", "val_dice", 1)])
def test_training_stops_when_the_metric_does_not_improve(tmp_path, key_metric, name, sign):
    metrics, _, _ = trained(tmp_path, key_metric=key_metric, steps=40, early_stopping=1)
    values = [sign * found[name] for found in metrics]
    improved = [later > max(values[: i + 1]) for i, later in enumerate(values[1:])]
    assert len(values) < 40
    assert all(improved[:-1])
    assert not improved[-1]


def test_the_default_is_the_loss(tmp_path):
    metrics, _, _ = trained(tmp_path, steps=2)
    assert list(metrics[0]) == ["val_loss"]
