# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs on images without labels: who begins, what is scored, what is asked for after the last round."""

from __future__ import annotations

import csv
import json
import logging

import nibabel as nib
import numpy as np
import pytest

from monai_al.annotators import Annotator, Answer, Oracle
from monai_al.cli import find_asset
from monai_al.datasets import phantom
from monai_al.engines import ActiveLearner, TrainedRun
from monai_al.passes import predict_volume
from monai_al.records import DataError, Label, RunFolderError
from monai_al.records.manifest import changed_files
from monai_al.strategies import ForegroundAwareRandom, Random, Uncertainty

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"
HIDDEN = (
    "$(lambda pool: pool.with_items(type(i)(i.id, i.image, i.volume, i.patient, None, i.slice) for i in pool))"
    "(datasets.phantom(@cache_dir, **@phantom))"
)


class Person(Annotator):
    """Returns the truth, which the pool does not know; at most ``most`` items of a query at once."""

    name = "person"
    truth: dict[str, str] = {}  # of the class: an annotator's own attributes are its settings
    most: list[int] = [100]
    asked: list[tuple[int, ...]] = []

    def annotate(self, query, pool, work=None):
        assert all(item.label is None for item in pool)
        self.asked.append((query.round, len(query.ids)))
        ids = query.ids[: self.most[0]]
        return Answer(tuple(Label(id, where=self.truth[id], coding="stored codes") for id in ids))


@pytest.fixture
def person(small):
    Person.truth = {item.id: item.label for item in phantom(small["cache_dir"], **small["phantom"])}
    Person.most, Person.asked = [100], []
    return Person()


@pytest.fixture
def learner(small, tmp_path):
    def make(annotator=None, strategy=None, folder="run", overrides=None, **arguments):
        arguments = {"budget": 3, "rounds": 2, "progress": False, "threads": 1, **arguments}
        overrides = small | {"datalist": HIDDEN, "test_fraction": 0} | (overrides or {})
        return ActiveLearner(
            TRAIN, strategy or Uncertainty(), tmp_path / folder, annotator=annotator, overrides=overrides, **arguments
        )

    return make


def metrics_of(path):
    return [json.loads(file.read_text()) for file in sorted(path.glob("round_*/metrics.json"))]


def test_people_begin_with_central_slices_and_end_with_a_next_query(learner, person, tmp_path):
    active = learner(person)
    active.run()
    assert active.folder.query(0).strategy == "central stratified"
    following = active.folder.query(2)
    asked = [id for number in range(3) for id in active.folder.query(number).ids]
    assert (len(following.ids), len(set(asked))) == (3, 9)
    assert changed_files(tmp_path / "run") == []
    first, second = metrics_of(tmp_path / "run")
    assert first["dice_3d"]["mean"] is first["dice_query"] is None
    assert second["dice_query"]["items"] == 3
    rows = list(csv.DictReader((tmp_path / "run" / "curve.csv").open()))
    assert [row["dice_query"] for row in rows] == ["", str(second["dice_query"]["mean"] or "")]
    assert (tmp_path / "run" / "report" / "learning_curve.png").exists()


def test_the_query_is_scored_by_its_answers_before_training_on_them(learner, person, tmp_path):
    learner(person, strategy=Random(), budget=6).run()
    found = metrics_of(tmp_path / "run")[1]["dice_query"]
    run = TrainedRun(tmp_path / "run")
    scores = {name: [] for name in found["per_class"]}
    for id in run.folder.query(1).ids:
        item = run.source.data[run.source.data.index(id)]
        said = predict_volume(run.source, run.network(0), item)[..., item.slice]
        truth = np.asarray(nib.load(person.truth[id]).dataobj)[..., item.slice]
        for number, own in enumerate(scores.values(), start=1):
            a, b = said == number, truth == number
            own += [2 * (a & b).sum() / (a.sum() + b.sum())] if b.any() else []
    expected = {name: pytest.approx(np.mean(own)) if own else None for name, own in scores.items()}
    assert found["per_class"] == expected
    defined = [np.mean(own) for own in scores.values() if own]
    assert defined
    assert found["mean"] == pytest.approx(np.mean(defined))


def test_equal_labels_give_equal_networks_whoever_answers(learner, person, small, tmp_path):
    learner(person, strategy=Random()).run()
    known = {"datalist": "$datasets.phantom(@cache_dir, **@phantom)"}
    learner(Oracle(), strategy=Random(), folder="oracle", overrides=known, initial_set="central_stratified").run()
    for name in ("round_00/model_0.pt", "round_01/model_0.pt"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "oracle" / name).read_bytes()
    person, oracle = metrics_of(tmp_path / "run"), metrics_of(tmp_path / "oracle")
    costs = [[metrics.pop("cost") for metrics in both] for both in (person, oracle)]
    assert person == oracle
    for own, of_oracle in zip(*costs, strict=True):
        for cost, area_of in ((own, "the first full labels"), (of_oracle, "the pool")):  # the unit of costs by area
            assert cost["parameters"].pop("mean_area_of") == area_of
            for costs_by_area in (cost["models"], *cost["sensitivity"].values()):
                assert costs_by_area.pop("area") > 0
            assert cost["parameters"].pop("mean_area") > 0
        assert own == of_oracle
    assert not (tmp_path / "oracle" / "round_02").exists()  # nobody is asked


def test_an_answered_next_query_begins_the_round_that_is_added(learner, person, tmp_path):
    learner(person, rounds=1).run()
    folder = learner(person).folder
    asked = folder.query(1).ids
    assert [label.id for one in folder.returns(1) for label in one.labels] == list(asked)
    with pytest.raises(RunFolderError, match="what was asked before must stay"):
        learner(person, rounds=2, budget=[3, 4]).run()
    learner(person, rounds=2).run()
    assert folder.query(1).ids == asked
    assert metrics_of(tmp_path / "run")[1]["labeled"] == 6


def test_a_query_that_nobody_answered_is_chosen_anew(learner, person, tmp_path, caplog):
    class Slow(Person):
        def annotate(self, query, pool, work=None):
            return super().annotate(query, pool, work) if query.round < self.until[0] else Answer()

        until = [1]

    learner(Slow(), rounds=1).run()
    folder = learner(Slow()).folder
    work = tmp_path / "run" / "annotate" / "round_01"
    work.mkdir(parents=True)
    (work / "note.txt").write_text("begun")
    assert len(folder.query(1).ids) == 3
    Slow.until[0] = 2
    with caplog.at_level(logging.WARNING):
        learner(Slow(), rounds=2, budget=[3, 4]).run()
    assert "round 1 asks for 4 items, not for the 3 that were handed out" in caplog.text
    assert (tmp_path / "run" / "annotate" / "round_01_dropped_1" / "note.txt").exists()
    assert [len(folder.query(number).ids) for number in range(3)] == [3, 4, 4]
    assert metrics_of(tmp_path / "run")[1]["labeled"] == 7
    assert changed_files(tmp_path / "run") == []


def test_people_annotate_a_test_set_outside_of_query_and_cost(learner, person, tmp_path):
    person.most[0] = 4
    settings = {"annotate_test": 1, "overrides": {"annotate_test": 1}}
    active = learner(person, **settings)
    active.run()
    test = {item.id for item in active.test}
    assert len({item.patient for item in active.test}) == 1
    assert active.folder.query(-1).ids == tuple(item.id for item in active.test)
    assert not test & {id for number in range(3) for id in active.folder.query(number).ids}
    first, second = metrics_of(tmp_path / "run")
    assert (first["labeled"], first["cost"]["total"], first["counts"]["volumes"]) == (3, 3, 0)  # 4 slices are no volume
    person.most[0] = 100
    learner(person, rounds=3, **settings).run()
    third = metrics_of(tmp_path / "run")[2]
    assert third["counts"]["volumes"] == len({item.volume for item in active.test})
    assert third["test_labels"] != first["test_labels"] == second["test_labels"]
    assert (third["labeled"], third["cost"]["total"]) == (9, 9)
    assert changed_files(tmp_path / "run") == []
    rounds = [number for number, _ in person.asked]
    assert rounds.count(-1) == 2


def test_folds_are_scored_by_networks_that_did_not_see_them(learner, person, tmp_path):
    learner(person, folds=2, rounds=1).run()
    learner(person, folder="plain", rounds=1).run()
    (found,), (plain,) = metrics_of(tmp_path / "run"), metrics_of(tmp_path / "plain")
    assert (found["dice_folds"]["folds"], found["dice_folds"]["patients"]) == (2, 3)
    assert {key: found[key] for key in plain} == plain  # and the round's own network is the same
    one, other = ((tmp_path / name / "round_00" / "model_0.pt").read_bytes() for name in ("run", "plain"))
    assert one == other


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            {"overrides": {"test_fraction": 0.4}},
            "'test' have no label.*--test_fraction drew them give 0.*--annotate_test 2",
        ),
        (
            {"overrides": {"validation_fraction": 0.4}},
            "part 'validation' have no label.*--validation_fraction drew them give 0",
        ),
        ({"strategy": ForegroundAwareRandom()}, "looks at the truth of every item; take another one, or give labels"),
        ({"annotator": Oracle()}, "let people annotate them, with the overlay annotators/folder"),
        ({"overrides": {"annotate_test": 99}, "annotate_test": 99}, "cannot take 99 test"),
        ({"initial_set": "coreset"}, "needs a pretrained encoder"),
    ],
)
def test_what_cannot_work_without_labels_is_told(learner, person, arguments, match):
    with pytest.raises((DataError, ValueError), match=match):
        learner(**{"annotator": person, **arguments}).run()
