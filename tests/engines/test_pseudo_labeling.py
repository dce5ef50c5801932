# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pseudo labels take part in one training, count nowhere, and survive a kill."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.annotators import Answer
from monai_al.bundle import RoundTraining
from monai_al.data import Item, Pool, RunFolder, RunFolderError
from monai_al.engines import ActiveLearner, active_learner
from monai_al.engines.checks import check_parts
from monai_al.engines.labeled_validation import split_labeled
from monai_al.engines.member_training import MemberTraining
from monai_al.engines.pseudo_labeling import without_foreground
from monai_al.passes import predict_volume
from monai_al.records import read_pseudo_labels
from monai_al.records.manifest import changed_files
from monai_al.report import describe_run
from monai_al.sources import EntrySource, SliceSource
from monai_al.strategies import CEAL, Random, Strategy

CONFIGS = Path(__file__).parents[2] / "bundles" / "selective_uncertainty_spleen" / "configs"


class FirstOnes(Strategy):
    """The first items of the pool; of the last of the unlabeled ones three get a pseudo label in round 1."""

    name = "first ones"
    gives_pseudo_labels = True

    def initial_needs(self):
        return None

    def select(self, round, budget):
        return self.make_query(round, round.unlabeled[-budget:])

    def pseudo_labels(self, round):
        return round.unlabeled[[-1, -2, 0]] if round.number == 1 else []


class AllOthers(Random):
    """Items by chance; all others get a pseudo label."""

    gives_pseudo_labels = True

    def pseudo_labels(self, round):
        return round.unlabeled


@pytest.fixture
def learner(small, tmp_path):
    def make(strategy=None, folder="run", **arguments):
        arguments = {"budget": 3, "rounds": 3, "progress": False, **arguments}
        return ActiveLearner(
            CONFIGS / "train.yaml", strategy or FirstOnes(), tmp_path / folder, overrides=small, **arguments
        )

    return make


@pytest.fixture
def trained_on(monkeypatch):
    """The items of each training, one list after the other."""
    seen = []
    run = RoundTraining.run

    def watched(self, items, **arguments):
        seen.append(list(items))
        return run(self, items, **arguments)

    monkeypatch.setattr(RoundTraining, "run", watched)
    return seen


def test_patients_who_are_validated_on_train_with_none(learner, trained_on):
    run = learner(AllOthers(), rounds=2, budget=8, validate_on="labeled")
    run.run()
    labels = run.folder.labels(1)
    _, validated = split_labeled([run.pool[run.pool.index(id)] for id in labels], seed=0)
    patients = {item.patient for item in validated}
    pseudo = [run.pool[run.pool.index(label.id)] for label in read_pseudo_labels(run.folder.round_path(1))]
    assert patients & {item.patient for item in pseudo}  # who are left out
    expected = {item.id for item in pseudo if item.patient not in patients}
    assert {item.id for item in trained_on[1]} - set(labels) == expected
    assert run.folder.metrics(1)["pseudo"] == len(expected) > 0


def content_of(path: Path) -> dict[str, bytes]:
    """All files but those that tell the time."""
    kinds = ("query.json", "pseudo.json", "pseudo/*", "metrics.json", "model_*.pt")
    found = [file for kind in kinds for file in path.glob(f"round_*/{kind}")]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in found}


def test_they_train_in_one_round_and_count_nowhere(learner, trained_on):
    run = learner()
    run.run()
    folder, labels = run.folder, read_pseudo_labels(run.folder.round_path(1))
    assert [label.kind for label in labels] == ["pseudo"] * 3
    items = [run.pool[run.pool.index(label.id)] for label in labels]
    asked = [id for number in range(3) for id in folder.query(number).ids]

    # in the training of round 1, and in no other
    assert [len(items) for items in trained_on] == [3, 9, 9]
    assert [item.label for item in trained_on[1][6:]] == [label.where for label in labels]
    assert [item.id for item in trained_on[1]] == [*asked[:6], *(label.id for label in labels)]
    assert [item.id for item in trained_on[2]] == asked
    assert not any("pseudo" in item.label for item in [*trained_on[0], *trained_on[2], *trained_on[1][:6]])

    # what the network before predicts, and 255 elsewhere
    trained = run.members.load(run.source, 0, [0])
    for item, label in zip(items, labels, strict=True):
        stored = np.asarray(nibabel.load(label.where).dataobj)
        own = [other.slice for other in items if other.volume == item.volume]
        assert np.array_equal(stored[..., item.slice], predict_volume(run.source, trained, item)[..., item.slice])
        assert (np.delete(stored, own, axis=-1) == 255).all()

    # in no count and no cost, and they may be asked for later
    assert labels[0].id in folder.query(2).ids
    plain = learner(type("Plain", (FirstOnes,), {"gives_pseudo_labels": False})(), "plain")
    plain.run()
    for number in range(3):
        ours, theirs = folder.metrics(number), plain.folder.metrics(number)
        assert ours["pseudo"] == (3 if number == 1 else 0)
        assert theirs["pseudo"] == 0
        for key in ("labeled", "fraction", "cost"):
            assert ours[key] == theirs[key]
    assert folder.labeled(2) == plain.folder.labeled(2)
    assert folder.metrics(1)["dice_3d"] != plain.folder.metrics(1)["dice_3d"]  # they did something

    # in the manifests of the round before and of its own
    listed = [json.loads((folder.round_path(n) / "manifest.json").read_text())["files"] for n in range(3)]
    for number in range(3):
        assert ("round_01/pseudo.json" in listed[number]) == (number < 2)
    (file, *_) = sorted((folder.round_path(1) / "pseudo").iterdir())
    assert changed_files(folder.path) == []
    file.write_bytes(b"other")
    assert [str(one) for one in changed_files(folder.path)] == [
        f"round_01/pseudo/{file.name}: differs from what was written; since round 1"
    ]


class Stopped(Exception):
    """A kill."""


later = pytest.mark.nightly


@pytest.mark.parametrize(
    "at", ["write_query", pytest.param("write_model", marks=later), pytest.param("close_round", marks=later)]
)
def test_a_run_that_was_stopped_ends_with_the_same_files(learner, monkeypatch, at):
    whole, run = learner(folder="whole", rounds=2), learner(rounds=2)
    whole.run()
    owner = RunFolder if at != "close_round" else active_learner
    original, calls = getattr(owner, at), []

    def stop(*arguments, **more):
        calls.append(arguments)
        if len(calls) == (1 if at == "close_round" else 2):
            raise Stopped
        return original(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, at, stop)
        with pytest.raises(Stopped):
            run.run()
    assert (run.folder.round_path(1) / "pseudo.json").exists()
    assert run.folder.metrics(1) is None
    assert "3 labels of the strategy, for this round alone" in describe_run(run.folder.path)
    learner(rounds=2).run()
    assert content_of(run.folder.path) == content_of(whole.folder.path)
    assert changed_files(run.folder.path) == []


def test_a_round_that_is_open_is_checked(learner, monkeypatch):
    run = learner(rounds=2)
    train = MemberTraining.train

    def stop(self, number):
        if number == 1:
            raise Stopped
        return train(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(MemberTraining, "train", stop)
        with pytest.raises(Stopped):
            run.run()
    place = run.folder.round_path(1)
    (place / "pseudo" / "000.nii.gz").unlink()
    with pytest.raises(RunFolderError, match=r"pseudo/000.nii.gz is missing: restore it, or remove it with round_01"):
        learner(rounds=2).run()
    shutil.rmtree(place)
    learner(rounds=2).run()  # query and pseudo labels are chosen again
    assert len(read_pseudo_labels(place)) == 3


def test_an_item_that_is_labeled_meanwhile_trains_with_that_label(learner, trained_on):
    class Generous:
        """Labels an item with a pseudo label, too."""

        name = "generous"

        def annotate(self, query, pool, work=None):
            path = work.output_dir / "round_01"
            more = tuple(label.id for label in read_pseudo_labels(path))[:1] if query.round == 1 else ()
            return Answer((*query.ids, *more), extra=more)

    run = learner(annotator=Generous(), rounds=2)
    run.run()
    ids = [item.id for item in trained_on[1]]
    assert len(ids) == len(set(ids)) == 9
    assert run.folder.metrics(1)["labeled"] == 7
    assert run.folder.metrics(1)["pseudo"] == 2


def test_ceal_runs_and_has_as_many_as_its_schedule_says(learner, small):
    small["dropout"] = 0.3
    run = learner(CEAL(passes=2, pseudo=1, pseudo_from=1), rounds=2)
    run.run()
    assert [run.folder.metrics(number)["pseudo"] for number in range(2)] == [0, 1]


def test_a_bundle_that_knows_nothing_of_us_cannot_take_them():
    entries = [{"image": f"/data/imagesTr/{name}.png", "label": f"/data/labelsTr/{name}.png"} for name in "ab"]
    source = EntrySource(entries[:1], entries[1:], preprocessing=[])
    with pytest.raises(ValueError, match="strategy ceal gives pseudo labels, .* --strategy#pseudo 0"):
        check_parts(source, CEAL())
    check_parts(source, CEAL(pseudo=0, pseudo_growth=0))
    check_parts(source, Random())


@pytest.mark.parametrize("whole", [False, True])
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_items_without_foreground_are_found(whole, data):
    """Some slices of volumes, or whole ones; no volume is predicted twice, or without need."""
    maps, items, predicted = {}, [], []
    for number, depth in enumerate(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))):
        name = f"v{number}"
        maps[name] = np.zeros((2, 3, depth), np.uint8)
        maps[name][1, 2] = data.draw(st.lists(st.sampled_from([0, 0, 1, 3]), min_size=depth, max_size=depth))
        items += [Item(f"{name}/{n}", name, name, name, slice=n) for n in ([None] if whole else range(depth))]
    some = data.draw(st.lists(st.sampled_from(items), unique_by=lambda item: item.id))

    def predict(item):
        predicted.append(item.volume)
        return maps[item.volume]

    found = without_foreground([item.id for item in some], SliceSource(Pool(items), None), predict)
    seen = [(item, maps[item.volume] if whole else maps[item.volume][:, :, item.slice]) for item in some]
    assert sorted(found) == sorted(item.id for item, values in seen if all(value == 0 for value in values.ravel()))
    assert predicted == list(dict.fromkeys(item.volume for item in some))


@pytest.mark.parametrize(
    "empty", ["the first", *(pytest.param(one, marks=pytest.mark.nightly) for one in ("none", "all"))]
)
def test_an_item_in_which_the_network_finds_nothing_gets_no_pseudo_label(
    learner, trained_on, monkeypatch, caplog, empty
):
    """The strategy names others, where there are some, and it is said how many were passed over."""

    class Watched(FirstOnes):
        asked: list = []

        def pseudo_labels(self, round):
            self.asked.append([item.id for item in map(round.pool.__getitem__, round.unlabeled.tolist())])
            return round.unlabeled[:2] if round.number == 1 else []

    strategy, predict = Watched(), active_learner.predict_volume
    strategy.asked = []

    def emptied(source, trained, item, **options):
        found = np.ones_like(predict(source, trained, item, **options))
        for id in {"none": [], "the first": strategy.asked[0][:1], "all": strategy.asked[0]}[empty]:
            other = source.data[source.data.index(id)]
            if other.volume == item.volume:
                found[..., other.slice] = 0
        return found

    monkeypatch.setattr(active_learner, "predict_volume", emptied)
    run = learner(strategy, rounds=2)
    with caplog.at_level("INFO"):
        run.run()
    first, second = strategy.asked
    n_empty = {"none": 0, "the first": 1, "all": len(first)}[empty]
    assert second == first[n_empty:]
    expected = second[:2]
    assert [label.id for label in read_pseudo_labels(run.folder.round_path(1))] == expected
    assert [item.id for item in trained_on[1]][6:] == expected
    assert run.folder.metrics(1)["pseudo"] == len(expected)
    told = f"round 1: for pseudo labels {n_empty} items were passed over, as the network finds no foreground in them"
    assert (told in caplog.messages) == (n_empty > 0)
    assert (run.folder.round_path(1) / "pseudo").exists() == bool(expected)
