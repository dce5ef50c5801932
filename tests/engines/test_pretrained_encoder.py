# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The encoder that a loop trains before its first round, the initial set by a strategy, and the best of the members."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_al.bundle import BundleConfigError
from monai_al.cli import find_asset
from monai_al.data import DataError, RunFolderError
from monai_al.engines import ActiveLearner, EncoderTraining
from monai_al.handlers import Resumption
from monai_al.passes import evaluate_items
from monai_al.sources import source_of
from monai_al.strategies import Random, Strategy, Uncertainty

CONFIGS = find_asset("group_contrastive_cardiac") / "configs"
TINY = {"pretrain_epochs": 2, "encoder_width": 0.125, "pretrain_batch_size": 3, "image_size": [32, 32], "device": "cpu"}


class Nearest(Strategy):
    """The items nearest to the mean; remembers what it saw."""

    name = "nearest"

    def __init__(self, embedding="encoder", first=None):
        self.embedding, self.first = embedding, first
        self.seen = []

    def needs(self):
        return {"e": self.embedding}

    def initial_needs(self):
        return None if self.first is None else {"e": self.first}

    def select(self, round, budget):
        embeddings = np.array(self.embeddings(round, "e"))
        self.seen.append((round.number, len(round.labeled), embeddings))
        distances = np.linalg.norm(embeddings - embeddings.mean(0), axis=1)
        distances[round.labeled] = np.inf
        return self.make_query(round, np.argsort(distances)[:budget])


@pytest.fixture
def learner(small, tmp_path):
    """A loop of the cardiac bundle's configs over a tiny phantom."""

    def make(strategy, folder="run", encoder=True, pretraining=None, overrides=None, **options):
        small["validation_fraction"] = 0.25
        forwarded = {"encoder": [CONFIGS / "pretrain.yaml"], "encoder_overrides": {**TINY, **(pretraining or {})}}
        return ActiveLearner(
            CONFIGS / "train.yaml",
            strategy,
            tmp_path / folder,
            overrides={**small, **(overrides or {})},
            **{"budget": 3, "rounds": 2, "progress": False, **(forwarded if encoder else {}), **options},
        )

    return make


def entries(active):
    return sorted((active.source.cache.cache_dir / "encoders").glob("*/encoder.json"))


# -- the initial set ---------------------------------------------------------------------------------------------------


def test_a_strategy_chooses_the_initial_set_by_pixels(learner, tmp_path):
    strategy = Nearest("bottleneck", first="pixels")
    active = learner(strategy, encoder=False)
    active.run()
    assert active.folder.query(0).strategy == "nearest"
    (number, labeled, pixels), (_, three, bottleneck) = strategy.seen
    assert (number, labeled, three) == (0, 0, 3)
    cache = active.source.cache
    rows = [cache.get(item).image[item.slice].ravel() for item in active.pool]
    np.testing.assert_array_equal(pixels, np.stack(rows))
    assert bottleneck.shape == (len(active.pool), 8)  # the widest channels of the small U-Net


@pytest.mark.nightly
def test_the_initial_set_is_random_where_it_is_asked_for(learner):
    chosen = learner(Nearest(first="pixels"), "a", initial_set="random")
    chosen.run()
    random = learner(Random(), "b")
    random.run()
    assert chosen.folder.query(0).ids == random.folder.query(0).ids
    assert chosen.folder.query(0).strategy == "random"


def test_what_a_network_gives_is_not_there_for_the_initial_set(learner):
    with pytest.raises(ValueError, match="needs 'bottleneck' for the initial set: no network is trained"):
        learner(Nearest(first="bottleneck")).run()


def test_an_unknown_initial_set_is_refused(learner):
    with pytest.raises(ValueError, match="initial_set must be one of strategy, random, .*, got 'mine'"):
        learner(Random(), initial_set="mine")


# -- the encoder -------------------------------------------------------------------------------------------------------


def test_the_encoder_is_trained_once_and_its_embeddings_are_its_outputs(learner):
    strategy = Nearest(first="encoder")
    active = learner(strategy)
    active.run()
    (place,) = {active.folder.encoder()["folder"]}
    assert [str(path.parent) for path in entries(active) if str(path.parent) == place]
    first, second = (embeddings for _, _, embeddings in strategy.seen)
    np.testing.assert_array_equal(first, second)

    network = active.encoder.training.load(
        torch.load(f"{place}/encoder.pt", weights_only=True)["model"], activation="none"
    ).network.eval()
    cache = active.source.cache
    with torch.no_grad():
        images = torch.stack([torch.from_numpy(cache.get(item).image[item.slice]) for item in active.pool])
        expected = network.encode(images).numpy()
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.nightly
def test_runs_of_one_seed_share_an_encoder_and_those_of_another_do_not(learner, monkeypatch):
    trained = []
    train = EncoderTraining._train
    monkeypatch.setattr(EncoderTraining, "_train", lambda self, *a: trained.append(a[0]) or train(self, *a))
    one = {"pretraining": {"temperature": 0.4}}
    learner(Nearest(), "a", **one).run()
    learner(Nearest(first="encoder"), "b", **one).run()
    assert len(trained) == 1
    learner(Nearest(), "c", seed=1, **one).run()
    learner(Nearest(), "d", pretraining={"temperature": 0.3}).run()
    assert len(set(trained)) == 3


def test_no_encoder_is_trained_for_a_strategy_that_needs_none(learner, monkeypatch):
    monkeypatch.setattr(EncoderTraining, "_train", lambda *a: pytest.fail("trained an encoder"))
    active = learner(Random())
    active.run()
    assert active.folder.encoder() is None


def test_an_encoder_must_be_named(learner):
    with pytest.raises(ValueError, match="needs a pretrained encoder: name the config .* by --encoder, such as"):
        learner(Nearest(), encoder=False).run()


@pytest.mark.nightly
def test_a_killed_pretraining_goes_on_at_its_last_epoch(learner, monkeypatch):
    settings = {"pretraining": {"pretrain_epochs": 3, "temperature": 0.2}}
    whole = learner(Nearest(first="encoder"), "whole", **settings)
    whole.run()
    place = whole.folder.encoder()["folder"]
    expected = np.load(f"{place}/embeddings.npy")
    shutil.rmtree(place)

    epochs, save = [], Resumption.save

    def die(self, engine):
        save(self, engine)
        if engine.state.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Resumption, "save", die)
    with pytest.raises(KeyboardInterrupt):
        learner(Nearest(first="encoder"), "killed", **settings).run()
    monkeypatch.setattr(Resumption, "save", lambda self, engine: epochs.append(engine.state.epoch))
    again = learner(Nearest(first="encoder"), "killed", **settings)
    again.run()
    assert epochs == [3]
    assert again.folder.encoder() == whole.folder.encoder()
    np.testing.assert_array_equal(np.load(f"{place}/embeddings.npy"), expected)


def test_another_encoder_than_that_of_the_start_is_refused(learner):
    active = learner(Nearest())
    active.run()
    path = active.folder.path / "encoder.json"
    path.write_text(json.dumps(active.folder.encoder() | {"sha256": "0" * 64}))
    with pytest.raises(RunFolderError, match=r"encoder\.json differs from what was written"):
        learner(Nearest(), rounds=3).run()


@pytest.mark.nightly  # the kill test and the hashes of manifests stand for it
def test_embeddings_that_have_changed_are_refused(learner, tmp_path):
    options = {"overrides": {"cache_dir": str(tmp_path / "cache")}, "pretraining": {"pretrain_epochs": 1}}
    active = learner(Nearest(), **options)
    active.run()
    path = Path(active.folder.encoder()["folder"]) / "embeddings.npy"
    before = path.read_bytes()
    np.save(path, np.load(path)[::-1])
    with pytest.raises(RunFolderError, match=r"embeddings\.npy differs from what was written: .*remove the folder"):
        learner(Nearest(), rounds=3, **options).run()
    with pytest.raises(DataError, match=r"embeddings\.npy differs from what was written: .*remove the folder"):
        learner(Nearest(), "another", **options).run()
    shutil.rmtree(path.parent)
    learner(Nearest(), rounds=3, **options).run()
    assert path.read_bytes() == before


def test_a_network_without_an_encoder_is_refused(learner):
    network = "$torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32, 4))"
    with pytest.raises(BundleConfigError, match="network_def of the encoder's config has no part called 'encoder'"):
        learner(Nearest(), pretraining={"network_def": network}).run()


def test_the_groups_of_the_items_are_part_of_what_is_asked(learner, monkeypatch):
    asked = []
    monkeypatch.setattr(EncoderTraining, "_train", lambda self, folder, *a: asked.append(folder))
    active = learner(Nearest())
    data = source_of(active.training)
    data.prepare()
    items = data.data.part("train").items
    for changes in ({}, {}, {"patient": "one"}, {"volume": "one"}):
        active.encoder.entry(data, [replace(item, **changes) for item in items], seed=0)
    assert len(asked) == 4
    assert asked[0] == asked[1]
    assert len(set(asked)) == 3


@pytest.mark.nightly
def test_what_a_finished_pretraining_left_is_removed(learner):
    active = learner(Nearest())
    active.run()
    left = active.folder.encoder()["folder"] + ".training"
    Path(left).mkdir()
    learner(Nearest(), "other").run()
    assert not Path(left).exists()


def test_pixels_do_not_run_the_network(learner, monkeypatch):
    active = learner(Nearest("pixels:8"), encoder=False)
    monkeypatch.setattr(ActiveLearner, "_select", partialmethod(_without_networks, ActiveLearner._select))
    active.run()
    assert len(active.strategy.seen) == 1


def _without_networks(self, select, number, size):
    self.members.load = lambda *arguments: pytest.fail("loaded a network")
    try:
        select(self, number, size)
    finally:
        del self.members.load


# -- the best of the members -------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_the_member_that_is_best_on_validation_is_tested_and_scored(learner, tmp_path):
    best = learner(Uncertainty("entropy"), "best", members=3, tested="best", overrides={"steps": 30})
    best.run()
    metrics = best.folder.metrics(0)
    scores = metrics["validation_dice_3d"]
    assert len(scores) == 3
    assert scores[metrics["tested_member"]] == max(scores)
    assert metrics["validation_labeled"] == len(best.source.data.part("validation"))

    winner = best.members.load(best.source, 0, [metrics["tested_member"]])
    again = evaluate_items(best.source, winner, best.test.items)
    assert again["dice_3d"]["mean"] == metrics["dice_3d"]["mean"]
    chosen = best.folder.query(1)
    (uncertain,) = best.view._found(1, np.arange(len(best.pool)), best.strategy.needs()).values()
    positions = [best.pool.index(item.id) for item in chosen.items]
    np.testing.assert_allclose([item.score for item in chosen.items], uncertain[positions], rtol=1e-6)


@pytest.mark.nightly
def test_all_members_are_scored_where_a_strategy_needs_them(learner):
    active = learner(Uncertainty("ensemble_variance_ratio"), members=2, tested="best")
    active.run()
    assert active.members.to_score(0, active.strategy.needs().values()) == [0, 1]
    assert active.members.to_score(0, []) == [active.folder.metrics(0)["tested_member"]]


def test_the_best_of_the_members_needs_a_validation_part(learner):
    active = learner(Random(), members=2, tested="best", overrides={"validation_fraction": 0.0})
    with pytest.raises(ValueError, match="--tested best needs a validation part"):
        active.run()
