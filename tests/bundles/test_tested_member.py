# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which members a finished run is read again with: those that were tested."""

from __future__ import annotations

import json

import pytest
import torch

from monai_al.cli import find_asset
from monai_al.data import DataError
from monai_al.engines import ActiveLearner, TrainedRun
from monai_al.strategies import Random

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"
SMALL = {
    "phantom": {"patients": 4, "shape": [32, 32, 6], "classes": ["background", "spleen"]},
    "image_size": [32, 32], "channels": [4, 8], "steps": 2, "batch_size": 4, "device": "cpu", "progress": False,
}  # fmt: skip
IMAGE = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one round with two members."""
    root = tmp_path_factory.mktemp("members")
    options = {"overrides": {**SMALL, "cache_dir": str(root / "cache")}, "budget": 3, "rounds": 1, "members": 2}
    ActiveLearner(TRAIN, Random(), root / "run", progress=False, threads=1, **options).run()
    return root / "run"


@pytest.fixture
def change(trained, tmp_path, begun_otherwise):
    """A copy with another record."""

    def change(*, tested=None, member=None, evaluated=True):
        def change_record(record):
            record["config"]["learner"].pop("tested", None)
            record["config"]["learner"] |= {} if tested is None else {"tested": tested}

        folder = begun_otherwise(trained, tmp_path / "run", change_record)
        path = folder / "round_00" / "metrics.json"
        metrics = json.loads(path.read_text()) | ({} if member is None else {"tested_member": member})
        path.write_text(json.dumps(metrics)) if evaluated else path.unlink()
        return folder

    return change


def probability_of(network):
    with torch.no_grad():
        found = network.network.eval()(IMAGE)
    return found.softmax(1) if network.activation == "softmax" else found


def alone(folder, member):
    """What one member gives, by hand."""
    run = TrainedRun(folder)
    state = torch.load(folder / "round_00" / f"model_{member}.pt", weights_only=True)["model"]
    return probability_of(run.training.load(state, "softmax"))


@pytest.mark.parametrize("tested", [None, "mean"])
def test_the_mean_of_all_members(change, tested):
    folder = change(tested=tested)
    first, second = alone(folder, 0), alone(folder, 1)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(probability_of(TrainedRun(folder).network()), (first + second) / 2)
    (folder / "round_00" / "model_1.pt").unlink()
    with pytest.raises(DataError, match="holds no trained network yet"):
        TrainedRun(folder).network()
    with pytest.raises(DataError, match=r"model_1.pt: no such weights; round 0 is not trained"):
        TrainedRun(folder).network(0)


@pytest.mark.parametrize("member", [0, 1])
def test_the_best_member_alone(change, member):
    folder = change(tested="best", member=member)
    both = (alone(folder, 0) + alone(folder, 1)) / 2
    expected = alone(folder, member)
    run = TrainedRun(folder)
    torch.testing.assert_close(probability_of(run.network()), expected, rtol=0, atol=0)
    torch.testing.assert_close(probability_of(run.network(0, all_members=True)), both)
    (folder / "round_00" / f"model_{1 - member}.pt").unlink()  # nobody needs it
    torch.testing.assert_close(probability_of(run.network()), expected, rtol=0, atol=0)
    with pytest.raises(DataError, match=f"model_{1 - member}.pt: no such weights"):
        run.network(0, all_members=True)


def test_all_members_before_the_round_is_evaluated(change):
    folder = change(tested="best", evaluated=False)
    both = (alone(folder, 0) + alone(folder, 1)) / 2
    torch.testing.assert_close(probability_of(TrainedRun(folder).network()), both)
