# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The best epoch's weights and the end of a training, also of one that was killed anywhere."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ignite.engine import Engine, Events

from monai_al.handlers import BestWeights, Resumption
from monai_al.networks import read_torch_file

PLACES = ("before the validation", "after the validation", "after the epoch")


class Killed(Exception):
    """Stands for the end of a process."""


def slow(losses, patience):
    """The best epoch and the last one, counted from 1; 0: no epoch was best."""
    for last in range(1, len(losses) + 1):
        seen = losses[:last]
        finite = [value for value in seen if value < math.inf]
        best = 1 + seen.index(min(finite)) if finite else 0
        if patience is not None and last - best >= patience:
            return best, last
    return best, last


def train(folder, losses, patience, killed=(0, "")):
    """A training whose weight is the number of the epoch; returns the handler, the network and the epochs it took."""
    network, done = torch.nn.Linear(1, 1, bias=False), []

    def die(place):
        if killed == (trainer.state.epoch, place):
            raise Killed

    def step(engine, batch):
        done.append(engine.state.epoch)
        torch.nn.init.constant_(network.weight, engine.state.epoch)

    def measure(engine):
        engine.state.metrics["val_loss"] = losses[trainer.state.epoch - 1]

    trainer, validator = Engine(step), Engine(lambda engine, batch: None)
    validator.add_event_handler(Events.EPOCH_COMPLETED, measure)
    best = BestWeights(network, folder / "model.pt", patience=patience)
    best.attach(validator)

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate():
        die("before the validation")
        validator.run([0])
        die("after the validation")

    Resumption(folder / "training.pt", {"network": network, "best": best}).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: die("after the epoch"))
    best.set_trainer(trainer)
    trainer.run([0], max_epochs=len(losses))
    return best, network, done


LOSSES = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan, math.inf]), min_size=1, max_size=5)


@settings(max_examples=8, deadline=None)
@given(LOSSES, st.sampled_from([None, 1, 2, 3]))
def test_as_the_slow_reference_says_wherever_it_was_killed(tmp_path_factory, losses, patience):
    best_epoch, last = slow(losses, patience)
    for killed in [(0, ""), *((epoch, place) for epoch in range(1, last + 1) for place in PLACES)]:
        folder = tmp_path_factory.mktemp("training")
        if killed[0]:
            with pytest.raises(Killed):
                train(folder, losses, patience, killed)
        best, network, done = train(folder, losses, patience)
        went_on_at = killed[0] + (killed[1] == "after the epoch") if killed[0] else 1
        assert done == list(range(went_on_at, last + 1)), killed
        assert best.epoch == best_epoch, killed
        if best_epoch:
            assert best.loss == losses[best_epoch - 1]
            best.restore()
            assert network.weight.item() == read_torch_file(folder / "model.pt")["model"]["weight"].item() == best_epoch
        else:
            with pytest.raises(ValueError, match="no epoch has a finite validation loss: lower the learning rate"):
                best.restore()


def test_a_patience_below_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        BestWeights(torch.nn.Linear(1, 1), tmp_path / "model.pt", patience=0)
