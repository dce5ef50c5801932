# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A training that goes on where it was killed ends as if it had not been."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events

from monai_al.handlers import EpochSeed, Resumption


class Killed(Exception):
    """Stands for the end of a process."""


def train(path, epochs, *, killed_in=None):
    """Train a small network with noise; returns its weights, and the epochs that took place."""
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    done = []

    def step(engine, batch):
        if (engine.state.epoch, batch) == (killed_in, 1):
            raise Killed
        optimizer.zero_grad()
        network(torch.randn(4, 3)).square().mean().backward()
        optimizer.step()

    trainer = Engine(step)
    EpochSeed(0).attach(trainer)
    Resumption(path, {"network": network, "optimizer": optimizer}).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: done.append(engine.state.epoch))
    trainer.run(range(3), max_epochs=epochs)
    return network.state_dict(), done, trainer.state


@pytest.mark.parametrize("killed_in", [1, 2, 4])
def test_it_ends_as_if_it_had_not_been_killed(tmp_path, killed_in):
    whole, _, state = train(tmp_path / "whole.pt", 4)
    with pytest.raises(Killed):
        train(tmp_path / "killed.pt", 4, killed_in=killed_in)
    again, done, again_state = train(tmp_path / "killed.pt", 4)
    assert done == list(range(killed_in, 5))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert (state.epoch, state.iteration) == (again_state.epoch, again_state.iteration) == (4, 12)


def test_a_finished_training_does_nothing_more(tmp_path):
    first, _, _ = train(tmp_path / "t.pt", 2)
    again, done, _ = train(tmp_path / "t.pt", 2)
    assert done == []
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_file_of_another_training_is_refused(tmp_path):
    train(tmp_path / "t.pt", 1)
    trainer = Engine(lambda engine, batch: None)
    Resumption(tmp_path / "t.pt", {"model": torch.nn.Linear(3, 1)}).attach(trainer)
    with pytest.raises(ValueError, match="holds network, optimizer but model are asked for: remove it to start anew"):
        trainer.run([0], max_epochs=2)


def test_the_file_of_other_settings_is_refused(tmp_path, caplog):
    network = torch.nn.Linear(3, 1)

    def attached(**settings):
        trainer = Engine(lambda engine, batch: None)
        Resumption(tmp_path / "t.pt", {"model": network}, settings).attach(trainer)
        return trainer

    attached(seed=0, losses=(1, 0.5)).run([0], max_epochs=1)
    with pytest.raises(ValueError, match="is of another training, with seed 0 instead of 1: remove it, or give"):
        attached(seed=1, losses=(1, 0.5)).run([0], max_epochs=2)
    with caplog.at_level("INFO"):
        attached(seed=0, losses=(1, 0.5)).run([0], max_epochs=2)
    assert "going on after epoch 1 of 2" in caplog.text


def test_there_is_one_complete_file(tmp_path):
    train(tmp_path / "t.pt", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["t.pt"]
    assert torch.load(tmp_path / "t.pt", weights_only=True)["epoch"] == 3
