# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loop, its run folder, its settings and its errors."""

from __future__ import annotations

import csv
import json
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Events

from monai_al.annotators import Answer, DrawingOracle, Oracle
from monai_al.bundle import BundleConfigError
from monai_al.data import DataError, Pool, Query, QueryItem, Round, RunFolder, RunFolderError, VolumeCache
from monai_al.datasets import phantom
from monai_al.engines import ActiveLearner, RoundEvents
from monai_al.engines.checks import check_truth
from monai_al.engines.labeled_validation import split_labeled
from monai_al.engines.member_training import MemberTraining
from monai_al.passes import answer_dice
from monai_al.report import write_learning_curve
from monai_al.selection import top_k
from monai_al.sources import SliceSource, source_of
from monai_al.strategies import (
    CentralStratified,
    EvenlySpaced,
    ForegroundAwareRandom,
    PatientStratifiedRandom,
    Random,
    Selective,
    Strategy,
    Uncertainty,
)
from monai_al.uncertainty import Measure

CONFIGS = Path(__file__).parents[2] / "bundles" / "selective_uncertainty_spleen" / "configs"


@pytest.fixture
def learner(small, tmp_path):
    def make(strategy=None, folder="run", overrides=None, **arguments):
        arguments = {"budget": 3, "rounds": 3, "progress": False, **arguments}
        settings = {**small, **(overrides or {})}
        return ActiveLearner(
            CONFIGS / "train.yaml",
            strategy or Uncertainty("entropy"),
            tmp_path / folder,
            overrides=settings,
            **arguments,
        )

    return make


def files_of(path, pattern):
    return {
        file.relative_to(path).as_posix(): file.read_bytes() for file in sorted(path.rglob(pattern)) if file.is_file()
    }


def results(path):
    return {**files_of(path, "query.json"), **files_of(path, "metrics.json")}


def weights(path):
    return [
        torch.load(file, weights_only=True)["model"]
        for file in sorted(path.rglob("model_*.pt"))
    ]  # fmt: skip


def test_a_run_leaves_the_files_of_the_contract(learner, tmp_path):
    active = learner()
    active.run()
    path = tmp_path / "run"
    kept = {f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file()} - {".lock"}
    expected = {"run.json", "run.sig", "pool.json", "curve.csv", "report/learning_curve.png"}
    files = ("query.json", "labels/0000.json", "model_0.pt", "metrics.json", "manifest.json", "timings.json")
    assert kept == expected | {f"round_{r:02d}/{file}" for r in range(3) for file in files}
    run = json.loads((path / "run.json").read_text())
    assert (run["seed"], run["strategy"], run["annotator"], run["sizes"]) == (0, "entropy", "oracle", [3, 3, 3])
    assert run["threads"] == 1
    metrics = json.loads((path / "round_02" / "metrics.json").read_text())
    assert metrics["labeled"] == 9
    assert metrics["cost"]["total"] == 9.0
    assert metrics["model"] == "last"
    assert metrics["validation_labeled"] == 0
    with open(path / "curve.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["labeled"] for row in rows] == ["3", "6", "9"]
    assert rows[-1]["score_s"] == ""  # the last round scores nothing
    assert (path / "report" / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.nightly
def test_the_learning_curve_is_drawn_once_when_a_run_ends_or_stops(learner, tmp_path, monkeypatch):
    drawn = []

    def draw(runs, path):
        drawn.extend(len(rows) for rows in runs.values())
        write_learning_curve(runs, path)

    class Stop(BaseException):
        pass

    def stop(active, number):
        if active.state.iteration == number:
            raise Stop

    monkeypatch.setattr("monai_al.engines.active_learner.write_learning_curve", draw)
    png = tmp_path / "run" / "report" / "learning_curve.png"
    for number, event, rows in ((1, "ROUND_TRAINED", 0), (1, "ROUND_EVALUATED", 1), (2, "ROUND_TRAINED", 1)):
        active = learner(Random(), rounds=2)
        active.add_event_handler(RoundEvents[event], stop, number=number)
        with pytest.raises(Stop):
            active.run()
        assert drawn == [rows] * (rows > 0)
        assert png.exists() == (rows > 0)
        drawn.clear()
    for _ in range(2):  # the end of the run, and a complete run whose picture is gone
        learner(Random(), rounds=2).run()
        assert drawn == [2]
        drawn.clear()
        png.unlink()


def test_queries_are_distinct_and_labels_their_union(learner):
    active = learner()
    active.run()
    ids = [id for r in range(3) for id in active.folder.query(r).ids]
    assert len(set(ids)) == 9
    assert active.folder.labeled(2) == ids
    assert not set(ids) & {item.id for item in active.test}


def test_the_same_run_twice_is_byte_for_byte_the_same(learner, tmp_path):
    learner(Selective("entropy"), "a").run()
    learner(Selective("entropy"), "b").run()
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert len(results(tmp_path / "a")) == 6


def test_strategies_of_one_seed_share_initial_set_and_first_model(learner, tmp_path):
    learner(Uncertainty("entropy"), "a").run()
    learner(Random(), "b").run()
    first, second = (RunFolder(tmp_path / name) for name in "ab")
    assert first.query(0) == second.query(0)
    assert first.query(1).ids != second.query(1).ids
    a, b = weights(tmp_path / "a")[0], weights(tmp_path / "b")[0]
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.nightly
def test_another_seed_is_another_run(learner, tmp_path):
    for seed in (0, 1):
        learner(Random(), f"seed{seed}", seed=seed, rounds=2).run()
    first, second = (RunFolder(tmp_path / f"seed{seed}") for seed in (0, 1))
    assert first.query(0).ids != second.query(0).ids
    a, b = weights(tmp_path / "seed0")[0], weights(tmp_path / "seed1")[0]
    assert any(not torch.equal(a[key], b[key]) for key in a)
    assert [i.split for i in learner(folder="x").training.resolve("pool")[0]] == [
        i.split for i in learner(folder="y", seed=1).training.resolve("pool")[0]
    ]


def test_events_fire_once_a_round_in_order(learner):
    active = learner(rounds=2)
    fired = []
    for event in RoundEvents:
        active.add_event_handler(event, lambda engine, name: fired.append((engine.state.iteration, name)), event.value)
    seen = []
    active.add_event_handler(RoundEvents.ROUND_EVALUATED, lambda engine: seen.append(engine.state.output["labeled"]))
    active.run()
    names = [event.value for event in RoundEvents]
    assert fired == [*((1, name) for name in names), *((2, name) for name in names[:-1])]  # nothing to select at last
    assert seen == [3, 6]
    assert active.state.output["labeled"] == 6
    again = learner(rounds=2)
    for event in RoundEvents:
        again.add_event_handler(event, lambda engine: pytest.fail("nothing was left to do"))
    again.run()


def test_a_finished_run_ends_at_once(learner, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("monai_al"), "propagate", True)  # a bundle's logging.conf turns it off
    monkeypatch.setattr(logging.getLogger("monai_al"), "handlers", [])  # where pytest listens, too
    caplog.set_level(logging.INFO, "monai_al")
    learner(Random(), rounds=2).run()
    changes = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    caplog.clear()
    again = learner(Random(), rounds=2)
    with monkeypatch.context() as patch:
        names = (f"active_learner.{name}" for name in ("try_training", "write_learning_curve", "tqdm"))
        for name in (*names, "shared_work.trained_weights"):
            patch.setattr(f"monai_al.engines.{name}", lambda *_, **__: pytest.fail("nothing was left"))
        state = again.run()
    assert state.output == again.folder.metrics(1)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'run'} is done: all 2 rounds are evaluated"
    ]
    assert changes == {path: path.stat().st_mtime_ns for path in changes}
    manifest, curve = again.folder.round_path(1) / "manifest.json", again.folder.path / "curve.csv"
    before = manifest.read_bytes(), curve.read_bytes()
    manifest.unlink()  # as where the last round was killed just before it closed
    curve.write_text("round\n0\n")
    learner(Random(), rounds=2).run()
    assert (manifest.read_bytes(), curve.read_bytes()) == before
    with pytest.raises(RunFolderError, match="another config"):
        learner(Random(), rounds=2, seed=3).run()
    learner(Random(), rounds=3).run()  # which is more than there is
    assert RunFolder(tmp_path / "run").metrics(2) is not None


def test_what_failed_before_a_model_is_asked_for_again_otherwise(learner, tmp_path):
    with pytest.raises(RuntimeError, match="OneCycleLR|AdamW"):
        learner(Random(), rounds=1, overrides={"learning_rate": "fast"}).run()
    assert (tmp_path / "run" / "run.json").exists()
    assert not list((tmp_path / "run").rglob("model_*.pt"))
    learner(Random(), rounds=1, seed=4).run()
    folder = RunFolder(tmp_path / "run")
    assert folder.metrics(0) is not None
    learner(Random(), "new", rounds=1, seed=4).run()
    assert results(tmp_path / "run") == results(tmp_path / "new")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "Traceback" in log
    assert "it holds no model yet, so it starts afresh" in log


def test_an_empty_needs_never_runs_the_network_over_the_pool(learner, monkeypatch):
    import monai_al.engines.shared_work as module

    passes = []
    original = module.score_items
    monkeypatch.setattr(module, "score_items", lambda *a, **k: passes.append(a[2]) or original(*a, **k))
    import monai_al.passes.evaluating as below

    scored = []
    run_pass = below.run_pass
    monkeypatch.setattr(below, "run_pass", lambda *a, **k: scored.append(k.get("description")) or run_pass(*a, **k))
    learner(Random(), rounds=2).run()
    assert passes == []
    assert len(scored) == 2  # the two evaluations


def test_labels_of_the_pool_are_not_read_while_scoring(learner, monkeypatch):
    from monai_al.data import SliceDataset

    asked = []
    init = SliceDataset.__init__

    def remember(self, data, cache, transform=None, with_label=True):
        asked.append((transform is not None, with_label))
        init(self, data, cache, transform, with_label)

    monkeypatch.setattr(SliceDataset, "__init__", remember)
    learner(rounds=2).run()
    passes = [with_label for trains, with_label in asked if not trains]
    # a first try, two evaluations, one scoring pass, two volumes of the query; truth comes from the cache
    assert passes.count(False) == 6


def test_members_are_trained_from_their_own_seeds_and_tested_together(learner, tmp_path):
    learner(members=2, rounds=2).run()
    models = weights(tmp_path / "run")
    assert len(models) == 4
    assert any(not torch.equal(models[0][key], models[1][key]) for key in models[0])
    learner(folder="one", rounds=2).run()
    alone = weights(tmp_path / "one")[0]
    assert all(torch.equal(alone[key], models[0][key]) for key in alone)
    active = learner(members=2, rounds=2)
    active.source = source_of(active.training)
    together = active.members.load(active.source, 0, [0, 1])
    image = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        each = [active.training.load(active.members.state(0, m)).network.eval()(image).softmax(1) for m in (0, 1)]
        assert torch.allclose(together.network.eval()(image), (each[0] + each[1]) / 2, atol=1e-6)
    assert together.activation == "none"


@pytest.mark.nightly
def test_previous_weights_can_be_the_start(learner, tmp_path):
    still = {"learning_rate": 0.0, "weight_decay": 0.0, "lr_schedule": "constant"}
    learner(Random(), rounds=2, initial_weights="previous", overrides=still).run()
    first, second = weights(tmp_path / "run")
    trained = [key for key in first if "running" not in key and "num_batches" not in key]
    assert all(torch.equal(first[key], second[key]) for key in trained)


def test_best_on_validation_is_told_and_its_labels_are_charged(learner):
    best = {"model": "best", "validation_fraction": 0.25, "test_fraction": 0.25, "steps_per_epoch": 2}
    active = learner(Random(), rounds=1, overrides=best)
    active.run()
    metrics = active.folder.metrics(0)
    assert metrics["model"] == "best on validation"
    assert metrics["validation_labeled"] == len(active.source.data.part("validation")) == 12


def test_weights_are_chosen_by_labeled_items_alone(learner, caplog):
    """No label of a validation part is used, and nobody is trained and validated on."""
    best = {"model": "best", "validation_fraction": 0.0, "steps_per_epoch": 2}
    active = learner(
        Random(), rounds=1, budget=12, members=2, tested="best", validate_on="labeled", overrides=best,
        annotator=DrawingOracle(share=0.5),
    )  # fmt: skip
    active.run()
    assert "nothing is chosen by them" not in caplog.text
    metrics, labels = active.folder.metrics(0), active.folder.labels(0)
    train, held_out = split_labeled([active.pool[active.pool.index(id)] for id in labels], seed=0)
    assert not {item.patient for item in train} & {item.patient for item in held_out}
    kinds = Counter(labels[item.id].kind for item in held_out)
    assert metrics["validated_on"] == "labeled"
    assert metrics["validation_kinds"] == kinds
    assert metrics["validation_labeled"] == len(held_out) > 0
    assert metrics["cost"]["per_kind"]["weak"]["items"] == labels.counts["weak"] > 0
    trained = active.members.load(active.source, 0, [metrics["tested_member"]])
    expected = answer_dice(active.source, trained, labels.of_items(held_out))["mean"]
    assert metrics["validation_dice_2d"][metrics["tested_member"]] == expected == max(metrics["validation_dice_2d"])


def test_one_labeled_patient_cannot_be_trained_and_validated_on(learner, caplog):
    with pytest.raises(DataError, match="--validate_on labeled: all 1 labeled items are of one patient"):
        learner(Random(), rounds=1, budget=1, validate_on="labeled").run()
    assert "nothing is chosen by them: give --model best" in caplog.text


def test_killed_between_answer_and_training_the_other_oracle_starts_afresh(learner, tmp_path, monkeypatch):
    monkeypatch.setattr(MemberTraining, "train", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        learner(Random(), annotator=DrawingOracle()).run()
    assert files_of(tmp_path / "run", "round_00/answers/**/*")
    with pytest.raises(KeyboardInterrupt):
        learner(Random()).run()
    assert not files_of(tmp_path / "run", "round_00/answers/**/*")
    assert set(RunFolder(tmp_path / "run").labels(0).counts) == {"full"}


def test_truth_that_is_weak_is_refused(tmp_path):
    """As in MS-CMR, whose training part has scribbles alone."""
    drawn = phantom(tmp_path, patients=1, shape=(32, 32, 6), classes=2, scribbles=True)
    weak = [replace(item, label=item.label.removesuffix("_label.nii.gz") + "_scribble.nii.gz") for item in drawn]
    pool = Pool(weak, label_values={0: 0, 1: 1, 255: 255})
    source = SliceSource(pool, VolumeCache(tmp_path / "cache", label_values=pool.label_values, progress=False))
    check_truth(source, Random())
    with pytest.raises(DataError, match="this label leaves most pixels without annotation: full masks are needed"):
        check_truth(source, ForegroundAwareRandom())


@pytest.mark.nightly
def test_early_stopping_stops(learner, monkeypatch):
    from monai.engines import SupervisedTrainer

    ended = []
    run = SupervisedTrainer.run

    def remember(self, *a, **k):
        run(self, *a, **k)
        ended.append(self.state.iteration)

    monkeypatch.setattr(SupervisedTrainer, "run", remember)
    stop = {"early_stopping": 2, "validation_fraction": 0.25, "test_fraction": 0.25, "steps": 40, "steps_per_epoch": 1}
    still = {"learning_rate": 0.0, "lr_schedule": "constant", "weight_decay": 0.0}
    frozen = {**stop, **still, "batch_size": 1}
    learner(Random(), rounds=1, overrides=frozen).run()
    learner(Random(), folder="free", rounds=1, overrides={**frozen, "early_stopping": None}).run()
    assert ended[0] < ended[1] == 40


def test_epochs_are_passes_over_the_labeled_items(learner, monkeypatch):
    from monai.engines import SupervisedTrainer

    ended = []
    run = SupervisedTrainer.run
    monkeypatch.setattr(
        SupervisedTrainer, "run", lambda self: (run(self), ended.append((self.state.epoch, self.state.iteration)))
    )
    learner(Random(), rounds=1, budget=5, overrides={"steps": None, "epochs": 3, "batch_size": 2}).run()
    assert ended == [(3, 9)]


def test_mc_dropout_needs_dropout(learner):
    with pytest.raises(ValueError, match="dropout"):
        learner(Uncertainty("bald", passes=2), rounds=2).run()
    active = learner(Uncertainty("bald", passes=2), rounds=2, overrides={"dropout": 0.2})  # the folder is still free
    active.run()
    assert all(item.score > 0 for item in active.folder.query(1).items)


@pytest.mark.nightly
def test_an_ensemble_needs_members(learner):
    with pytest.raises(ValueError, match="needs several networks per round: --members 5"):
        learner(Uncertainty("ensemble_variance"), "a").run()
    active = learner(Uncertainty("ensemble_variance_ratio"), "b", members=2, rounds=2)
    active.run()
    assert all(item.score is not None for item in active.folder.query(1).items)


@pytest.mark.nightly
def test_augmented_copies_choose(learner):
    active = learner(Uncertainty("tta", passes=2), rounds=2)
    active.run()
    assert all(item.score > 0 for item in active.folder.query(1).items)


def test_only_a_strategy_that_says_so_sees_the_truth(learner):
    class Curious(Strategy):
        name = "curious"

        def select(self, round, budget):
            self.present = round.present
            return self.make_query(round, round.unlabeled[:budget])

    curious = Curious()
    learner(curious, "a", rounds=2).run()
    assert curious.present is None
    Curious.uses_truth = True
    active = learner(curious, "b", rounds=2)
    active.run()
    assert curious.present.shape == (len(active.pool), 2)
    labels = [active.source.cache.get(item).truth[item.slice] for item in active.pool]
    assert curious.present.tolist() == [[bool((label == c).any()) for c in (0, 1)] for label in labels]
    assert 0 < curious.present[:, 1].sum() < len(active.pool)


@pytest.mark.parametrize(
    "strategy", [EvenlySpaced(), CentralStratified(), PatientStratifiedRandom(), ForegroundAwareRandom(share=1)]
)
def test_what_needs_no_network_chooses_the_initial_set(learner, strategy):
    chosen = learner(strategy, "chosen", rounds=1)
    chosen.run()
    query = chosen.folder.query(0)
    assert query.strategy == strategy.name
    present = chosen.source.present(chosen.pool.items) if strategy.uses_truth else None
    expected = strategy.query(Round(0, chosen.pool, [], 0, present=present), 3)
    assert query.ids == expected.ids
    if strategy.uses_truth:
        assert all(present[chosen.pool.index(id), 1] for id in query.ids)
    random = learner(strategy, "random", rounds=1, initial_set="random")
    random.run()
    assert random.folder.query(0).strategy == "random"


@pytest.mark.nightly
def test_a_strategy_sees_the_plan_of_the_run_also_when_it_grows(learner):
    class Planner(Strategy):
        name = "planner"

        def initial_needs(self):
            return {}

        def select(self, round, budget):
            seen.append((round.number, round.rounds, round.first_budget, round.total_budget))
            return self.make_query(round, round.unlabeled[:budget])

    seen = []
    learner(Planner(), rounds=2, budget=[4, 2]).run()
    learner(Planner(), rounds=3, budget=[4, 2]).run()
    assert seen == [(0, 2, 4, 6), (1, 2, 4, 6), (2, 3, 4, 8)]
    seen.clear()
    whole = learner(Planner(), rounds=9, budget=20, folder="whole")
    whole.run()
    n = -(-len(whole.pool) // 20)
    assert seen == [
        (number, n, 20, len(whole.pool)) for number in range(n)
    ]  # rounds that would find nothing left are none


def test_shares_of_the_pool(learner):
    active = learner(Random(), budget=[0.1, 0.5], rounds=2)
    active.run()
    n = len(active.pool)
    assert active.folder.metrics(1)["labeled"] == n // 2
    assert active.folder.metrics(1)["fraction"] == pytest.approx(0.5, abs=1 / n)


def test_the_last_round_takes_what_is_left(learner):
    active = learner(Random(), budget=20, rounds=5)
    active.run()
    assert active.folder.metrics(len(active.sizes) - 1)["fraction"] == 1.0
    assert sum(active.sizes) == len(active.pool)


def test_a_run_that_is_complete_is_not_touched(learner, tmp_path):
    learner(rounds=2).run()
    before = files_of(tmp_path / "run", "round_*/*")
    learner(rounds=2).run()
    assert files_of(tmp_path / "run", "round_*/*") == before


@pytest.mark.nightly
def test_rounds_may_grow(learner, tmp_path):
    learner(folder="grown", rounds=2).run()
    learner(folder="grown", rounds=3).run()
    learner(folder="whole", rounds=3).run()
    assert results(tmp_path / "grown") == results(tmp_path / "whole")
    assert (tmp_path / "grown" / "extension_00.json").exists()


def test_another_config_is_refused_and_nothing_is_touched(learner, tmp_path):
    learner(rounds=1).run()
    before = files_of(tmp_path / "run", "*.*")
    with pytest.raises(RunFolderError, match=r"training#batch_size was 4 and is now 2"):
        learner(rounds=1, overrides={"batch_size": 2}).run()
    with pytest.raises(RunFolderError, match="strategy was 'entropy' and is now 'random'"):
        learner(Random(), rounds=1).run()
    with pytest.raises(RunFolderError, match="another pool"):
        run_with_other_pool(learner)
    assert files_of(tmp_path / "run", "*.*") == before


def run_with_other_pool(learner):
    active = learner(rounds=1)
    resolve = active.training.resolve

    def fewer(*ids):
        found = resolve(*ids)
        if ids[0] == "pool":
            found[0] = found[0].with_items(found[0].items[1:])
        return found

    active.training.resolve = fewer
    active.run()


def test_places_may_differ(learner, tmp_path):
    learner(rounds=1).run()
    before = results(tmp_path / "run")
    other_cache = {
        "cache_dir": str(tmp_path / "other"),
        "num_workers": 1,
        "device": "$'cpu'",
        "output_dir": "elsewhere",
    }
    learner(rounds=1, overrides=other_cache).run()
    assert results(tmp_path / "run") == before


class Slow(Oracle):
    """Labels only the first item that is asked for."""

    name = "slow"

    def annotate(self, query, pool):
        return Answer(query.ids[:1], waiting=query.ids[1:])


def test_a_run_waits_for_answers_and_goes_on(learner, tmp_path):
    learner(Random(), "at_once", rounds=2).run()
    for returned in (1, 2):
        active = learner(Random(), rounds=2, annotator=Slow())
        active.run()
        assert len(active.folder.labeled(0)) == returned
        assert active.folder.metrics(0) is None
    for _ in range(3):
        learner(Random(), rounds=2, annotator=Slow()).run()
    assert RunFolder(tmp_path / "run").query(1) == RunFolder(tmp_path / "at_once").query(1)
    assert RunFolder(tmp_path / "run").metrics(0) == RunFolder(tmp_path / "at_once").metrics(0)


class Greedy(Strategy):
    """Breaks its contract."""

    name = "greedy"

    def initial_needs(self):
        return None

    def select(self, round, budget):
        return Query(round.number, self.name, round.seed, (QueryItem(round.pool[int(round.labeled[0])].id),) * budget)


def test_a_strategy_that_breaks_its_contract_is_named(learner):
    with pytest.raises(Exception, match="greedy.*labeled already"):
        learner(Greedy(), rounds=2).run()


def test_training_that_diverges_is_an_error_and_leaves_no_model(learner, tmp_path):
    with pytest.raises(ValueError, match="training of round 0 diverged"):
        learner(overrides={"learning_rate": 1e30, "lr_schedule": "constant"}, rounds=2).run()
    assert not list((tmp_path / "run").rglob("model_*.pt"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"members": 0}, "members"),
        ({"initial_weights": "warm"}, "initial_weights"),
        ({"seed": 1.5}, "seed"),
        ({"members": 1.5}, "members"),
        ({"rounds": 2.5}, "rounds"),
        ({"threads": 0.5}, "threads"),
        ({"threads": 0}, "threads"),
        ({"scoring_batch_size": 0}, "scoring_batch_size"),
        ({"empty_policy": "foo"}, "foo"),
        ({"activation": "relu"}, "relu"),
    ],
)
def test_arguments_are_checked_at_once(learner, arguments, message):
    with pytest.raises(ValueError, match=message):
        learner(**arguments)


def test_errors_come_before_anything_is_written(learner, tmp_path):
    with pytest.raises(BundleConfigError, match="both given"):
        learner(overrides={"epochs": 3}).run()
    with pytest.raises(ValueError, match="mixes"):
        learner(budget=[0.5, 1]).run()
    with pytest.raises(BundleConfigError, match="--validation_fraction"):
        learner(overrides={"early_stopping": 3}).run()
    with pytest.raises(BundleConfigError, match="--steps_per_epoch"):
        learner(overrides={"model": "best", "validation_fraction": 0.25, "test_fraction": 0.25}).run()
    with pytest.raises(DataError, match=r"cannot predict .* --in_channels"):
        learner(overrides={"in_channels": 3}).run()
    with pytest.raises(DataError, match="5 output channels for the 2 classes"):
        learner(overrides={"out_channels": 5}).run()
    assert not (tmp_path / "run").exists()


def test_the_oracle_names_what_it_cannot_label(learner):
    active = learner()
    resolve = active.training.resolve

    def without_labels(*ids):
        found = resolve(*ids)
        if ids[0] == "pool":
            found[0] = found[0].with_items(replace(i, label=None) if i.split == "train" else i for i in found[0])
        return found

    active.training.resolve = without_labels
    with pytest.raises(DataError, match="oracle has no ground truth for 3 of 3 items"):
        active.run()


def test_scores_in_the_query_are_those_of_the_model(learner):
    """Recompute the picks from the saved weights, with nothing but the network and NumPy."""
    active = learner(Uncertainty("entropy"), rounds=2)
    active.run()
    network = active.training.load(active.members.state(0, 0)).network.eval()
    labeled = set(active.folder.labeled(0))
    scores = {}
    with torch.no_grad():
        for item in active.pool:
            image = torch.from_numpy(np.array(active.source.cache.get(item).image[item.slice]))[None]
            p = torch.softmax(network(image), 1).double().numpy()[0]
            scores[item.id] = float(np.mean(-np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0), 0)))
    best = sorted((id for id in scores if id not in labeled), key=lambda id: -scores[id])[:3]
    query = active.folder.query(1)
    assert list(query.ids) == best
    assert [item.score for item in query.items] == pytest.approx([scores[id] for id in best], rel=1e-4)


def test_settings_of_the_strategy_are_named_when_they_differ(learner):
    learner(Selective("entropy", threshold=0.2), rounds=1).run()
    with pytest.raises(RunFolderError, match=r"threshold was 0\.2 and is now 0\.3"):
        learner(Selective("entropy", threshold=0.3), rounds=1).run()


def test_another_number_of_threads_is_refused(learner, tmp_path):
    learner(rounds=1, threads=1).run()
    learner(rounds=1).run()
    with pytest.raises(RunFolderError, match="1 threads, now 2"):
        learner(rounds=2, threads=2).run()
    assert not list((tmp_path / "run").glob("extension_*"))  # refused before it was extended


@pytest.mark.nightly
def test_the_data_set_is_read_once_for_all_rounds(learner, monkeypatch):
    import monai_al.datasets as datasets

    reads = []
    phantom = datasets.phantom
    monkeypatch.setattr(datasets, "phantom", lambda *a, **k: reads.append(1) or phantom(*a, **k))
    learner(rounds=3, members=2).run()
    assert len(reads) == 1


def test_a_placeholder_spacing_is_flagged(learner, tmp_path):
    active = learner(rounds=1)
    resolve = active.training.resolve

    def placeholder(*ids):
        found = resolve(*ids)
        if ids[0] == "pool":
            found[0].placeholder_spacing = True
        return found

    active.training.resolve = placeholder
    active.run()
    assert active.folder.metrics(0)["hd95_3d"]["spacing_is_placeholder"] is True


def test_a_run_leaves_the_random_state_of_the_process_alone(learner):
    torch.manual_seed(5)
    expected = torch.rand(1).item()
    torch.manual_seed(5)
    learner(Random(), rounds=1).run()
    assert torch.rand(1).item() == expected


class Farthest(Strategy):
    """The items whose embedding is farthest from that of the first labeled one."""

    name = "farthest"

    def __init__(self, layer="model.0"):
        self.layer = layer

    def needs(self):
        return {"features": self.layer, "entropy": Measure("entropy")}

    def select(self, round, budget):
        self.seen = round
        distance = np.linalg.norm(round.embeddings["features"] - round.embeddings["features"][round.labeled[0]], axis=1)
        return self.make_query(round, top_k(distance, budget, round.labeled))


def test_a_strategy_gets_the_embeddings_of_all_items_in_pool_order(learner):
    strategy = Farthest()
    active = learner(strategy, rounds=2)
    active.run()
    network = active.training.load(active.members.state(0, 0)).network.eval()
    expected = []
    with torch.no_grad():
        for item in active.pool:
            image = torch.from_numpy(np.array(active.source.cache.get(item).image[item.slice]))[None]
            expected.append(network.model[0](image).mean((2, 3))[0].numpy())
    assert strategy.seen.embeddings["features"].dtype == np.float32
    np.testing.assert_allclose(strategy.seen.embeddings["features"], expected, rtol=1e-4, atol=1e-6)
    assert set(np.flatnonzero(strategy.seen.scores["entropy"] == -np.inf)) == set(strategy.seen.labeled)


def test_a_layer_that_is_not_there_fails_before_anything_is_written(learner, tmp_path):
    with pytest.raises(ValueError, match=r"model\.0"):
        learner(Farthest("model.00"), rounds=2).run()
    with pytest.raises(ValueError, match="--members 1, or --tested best"):
        learner(Farthest(), rounds=2, members=2).run()
    assert not (tmp_path / "run").exists()


def test_handlers_hear_of_every_round(learner):
    class Listener:
        def attach(self, engine):
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

        def __call__(self, engine):
            labeled.append(engine.state.output["labeled"])

    labeled = []
    learner(Random(), rounds=2, handlers=[Listener()]).run()
    assert labeled == [3, 6]
