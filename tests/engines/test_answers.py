# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that come as files, from the annotator to the training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_al.annotators import Annotator, Answer, Folder, Oracle
from monai_al.cli import find_asset
from monai_al.data import VolumeCache
from monai_al.datasets import phantom
from monai_al.engines import ActiveLearner
from monai_al.engines.answers import record_answer
from monai_al.records import DataError, Label, Query, QueryItem, RunFolder
from monai_al.sources import SliceSource
from monai_al.strategies import Random

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"


class Person(Annotator):
    """Returns one file per volume, in class numbers; ``change`` draws into the array (H, W, D) of a volume."""

    name = "person"
    seen = []  # of the class: an annotator's own attributes are its settings

    def __init__(self, folder):
        self.folder = folder

    def change(self, classes, item):
        pass

    def annotate(self, query, pool, work=None):
        self.seen.append((work.output_dir, list(work.labels), {}))
        labels = []
        for id in query.ids:
            item = pool[pool.index(id)]
            image = work.image(item)
            prediction = work.prediction(item)
            self.seen[-1][2][id] = None if prediction is None else (prediction.shape == image.image.shape[1:])
            path = Path(self.folder) / f"{item.volume}_{query.round}.nii.gz"
            classes = np.asarray(nib.load(item.label).dataobj).astype(np.uint8)
            self.change(classes, item)
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(classes, image.affine), path)
            labels.append(Label(id, where=str(path), coding="class numbers"))
        return Answer(tuple(labels))


@pytest.fixture
def learner(small, tmp_path):
    def make(annotator=None, folder="run", overrides=None, **arguments):
        arguments = {"budget": 3, "rounds": 2, "progress": False, **arguments}
        return ActiveLearner(
            TRAIN, Random(), tmp_path / folder, annotator=annotator, overrides=small | (overrides or {}), **arguments
        )

    return make


def models(path):
    return [torch.load(file, weights_only=True)["model"] for file in sorted(path.glob("round_*/model_0.pt"))]


def same(one, other):
    return all(torch.equal(a[key], b[key]) for a, b in zip(one, other, strict=True) for key in a)


def test_files_that_say_what_the_truth_says_train_the_same_networks(learner, tmp_path):
    person = Person(tmp_path / "returned")
    person.seen.clear()
    active = learner(person)
    active.run()
    learner(Oracle(), folder="oracle").run()
    assert same(models(tmp_path / "run"), models(tmp_path / "oracle"))
    ours, theirs = (json.loads((tmp_path / f / "round_01/metrics.json").read_text()) for f in ("run", "oracle"))
    assert ours == theirs
    (first, *_) = json.loads((tmp_path / "run/round_00/labels/0000.json").read_text())["labels"]
    assert (first["kind"], first["coding"], first["returned_coding"]) == ("full", "class numbers", "class numbers")
    assert first["slice"] == int(first["id"][-4:])
    kept = tmp_path / "run/round_00" / first["returned"]
    assert kept.read_bytes() == (tmp_path / "returned" / kept.name).read_bytes()  # as it came
    own = np.asarray(nib.load(tmp_path / "run/round_00" / first["where"]).dataobj)
    asked = {int(id[-4:]) for id in active.folder.query(0).ids if id.startswith(first["id"][:-5])}
    assert {z for z in range(own.shape[2]) if (own[..., z] != 255).any()} == asked
    before, after, following = (predicted for _, _, predicted in person.seen)
    assert set(before.values()) == {None}  # no network yet
    assert set(after.values()) == set(following.values()) == {True}
    assert person.seen[1][:2] == (tmp_path / "run", list(active.folder.query(0).ids))


@pytest.mark.nightly
def test_other_labels_train_another_network(learner, tmp_path):
    class Turned(Person):
        def change(self, classes, item):
            classes[:] = 1 - classes

    learner(Turned(tmp_path / "returned"), rounds=1).run()
    learner(Oracle(), folder="oracle", rounds=1).run()
    assert not same(models(tmp_path / "run"), models(tmp_path / "oracle"))


def test_kinds_follow_what_is_annotated(learner, tmp_path, caplog):
    """Stripes are weak, whatever they are called; a slice where nothing is annotated is refused and not asked again."""
    empty = []

    class Stripes(Person):
        def change(self, classes, item):
            classes[::2] = 255
            empty[:] = empty or [item]
            for one in empty:
                if one.volume == item.volume:
                    classes[..., one.slice] = 255

    active = learner(Stripes(tmp_path / "returned"), budget=[3, 2])
    active.run()
    assert "round 0: 1 of 3 items have no label and are not asked for again" in caplog.text
    labels = active.folder.labels(1)
    assert list(labels.refused) == [one.id for one in empty]
    assert labels.counts == {"weak": 4}
    assert not set(labels.refused) & set(active.folder.query(1).ids)
    cost = active.folder.metrics(1)["cost"]
    assert cost["total"] == pytest.approx(4 / 15)
    assert cost["per_kind"]["weak"]["items"] == 4
    assert cost["voxels"] == 4 * 32 * 32
    assert active.folder.metrics(1)["labeled"] == 4
    rows = active.folder.curve()
    assert [row["cost"] for row in rows] == [row["cost_slices"] for row in rows] == pytest.approx([2 / 15, 4 / 15])
    means = [active.folder.metrics(number)["cost"]["parameters"]["mean_area"] for number in range(2)]
    assert means[0] == means[1] > 0
    assert 0 < rows[0]["cost_area"] < rows[1]["cost_area"]  # of the masks that the data set has


def test_two_files_of_one_name_are_both_kept(learner, tmp_path):
    class Scattered(Person):
        def annotate(self, query, pool, work=None):
            answer = super().annotate(query, pool, work)
            moved = []
            for n, label in enumerate(answer.labels):
                place = tmp_path / "scattered" / str(n) / "segmentation.nii.gz"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(Path(label.where).read_bytes())
                moved.append(Label(label.id, where=str(place)))
            return Answer(tuple(moved))

    learner(Scattered(tmp_path / "returned"), rounds=1).run()
    learner(Oracle(), folder="oracle", rounds=1).run()
    assert same(models(tmp_path / "run"), models(tmp_path / "oracle"))
    assert len(list((tmp_path / "run/round_00/answers/0000/returned").rglob("segmentation.nii.gz"))) == 3


def test_an_annotator_of_two_arguments(learner):
    class Two(Annotator):
        name = "two"

        def annotate(self, query, pool):
            return Answer(query.ids[:1], refused=dict.fromkeys(query.ids[1:], "out of focus"))

    active = learner(Two())
    active.run()
    assert active.folder.metrics(1)["labeled"] == 2
    assert len(active.folder.labels(1).refused) == 4


def test_the_annotator_of_the_documentation_waits_and_goes_on(learner, tmp_path, caplog):
    page = (Path(__file__).parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")
    found = {}
    (example,) = (part for part in page.split("```python")[1:] if "class FromFolder" in part)
    exec(example.split("```")[0], found)
    annotator = found["FromFolder"](tmp_path / "returned")
    (tmp_path / "returned").mkdir()
    for number in range(3):  # each start finds a few more files, until the run is done
        caplog.clear()
        with caplog.at_level("INFO"):
            active = learner(annotator)
            active.run()
        if number < 2:
            (told,) = (line for line in caplog.messages if "answers of folder are still waiting" in line)
            assert told.startswith(f"round {number}: ")
            asked = [active.pool[active.pool.index(id)] for id in active.folder.query(number).ids]
            for item in asked:
                (tmp_path / "returned" / f"{item.volume}.nii.gz").write_bytes(Path(item.label).read_bytes())
    assert active.folder.metrics(1)["labeled"] == 6
    learner(Oracle(), folder="oracle").run()
    assert same(models(tmp_path / "run"), models(tmp_path / "oracle"))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda ids: Answer((Label(ids[0], where="no/such.nii.gz"),)), DataError, "no/such.nii.gz: the label file"),
        (lambda ids: Answer(("nobody/0000",)), ValueError, "answered 'nobody/0000', which round 0 did not ask for"),
        (lambda ids: Answer((), refused=dict.fromkeys(ids, "too dark")), DataError, "no item of round 0 has a label"),
        (lambda ids: Answer((), waiting=("nobody/0000",)), ValueError, "answered 'nobody/0000'"),
        (lambda ids: Answer((Label(ids[0], "pseudo"),)), ValueError, "calls the label of .* pseudo"),
        (lambda ids: Answer((Label(ids[0], where="a.nii", slice=99),)), ValueError, "gives slice 99 of a.nii for"),
    ],
)
def test_answers_that_cannot_be_used_are_named(learner, tmp_path, answer, error, message):
    class Wrong(Annotator):
        name = "wrong"

        def annotate(self, query, pool):
            return answer(query.ids)

    with pytest.raises(error, match=message):
        learner(Wrong(), rounds=1).run()
    assert not list((tmp_path / "run").glob("round_00/answers/*"))


def test_labels_of_another_shape_or_class_are_named(learner, tmp_path):
    class Seventh(Person):
        def change(self, classes, item):
            classes[0, 0, item.slice] = 7

    with pytest.raises(DataError, match=r"returned.*unexpected label values 7; expected \[0, 1, 255\]"):
        learner(Seventh(tmp_path / "returned"), rounds=1).run()
    assert not list((tmp_path / "run").glob("round_00/labels/*"))


def test_what_an_answer_does_not_mention_is_waiting(learner):
    class Slow(Annotator):
        name = "slow"

        def annotate(self, query, pool, *more):
            return Answer(query.ids[:1])

    active = learner(Slow(), rounds=1)
    for number in range(1, 4):
        assert active.folder.metrics(0) is None
        active = learner(Slow(), rounds=1)
        active.run()
        assert len(active.folder.labels(0)) == number
    assert active.folder.metrics(0)["labeled"] == 3


# -- labels of the data set that come or change ------------------------------------------------------------------------


def folder_config(tmp_path, small):
    """A data set of plain files that a test may change."""
    pool = phantom(tmp_path / "phantom", patients=4, shape=(32, 32, 6), classes=["background", "spleen"])
    for name in ("images", "labels"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for item in {one.volume: one for one in pool}.values():
        (tmp_path / "data/images" / f"{item.volume}.nii.gz").write_bytes(Path(item.image).read_bytes())
        stored = nib.load(item.label)
        classes = np.asarray(stored.dataobj).astype(np.uint8)
        nib.save(nib.Nifti1Image(classes, stored.affine), tmp_path / "data/labels" / f"{item.volume}.nii.gz")
    root = str(tmp_path / "data")
    classes = ["background", "spleen"]
    return {
        "datalist": {"_target_": "monai_al.datasets.folder", "root": root, "classes": classes, "require_labels": False},
    }


def test_labels_that_come_go_on_and_change_nothing_before(learner, small, tmp_path):
    overrides = folder_config(tmp_path, small)
    active = learner(overrides=overrides)
    active._prepare()
    first = active.strategy and active._initial_query().ids[0]
    held = tmp_path / "data/labels" / f"{first[:-5]}.nii.gz"
    content = held.read_bytes()
    held.unlink()
    with pytest.raises(DataError, match="no ground truth.*add their labels to the data set"):
        learner(overrides=overrides).run()
    held.write_bytes(content)
    learner(overrides=overrides).run()
    learner(overrides=overrides, folder="whole").run()
    assert same(models(tmp_path / "run"), models(tmp_path / "whole"))


def test_changed_test_labels_are_told(learner, small, tmp_path, caplog):
    overrides = folder_config(tmp_path, small)
    active = learner(overrides=overrides, rounds=1)
    active.run()
    label = Path(active.test[0].label)
    stored = nib.load(label)
    nib.save(nib.Nifti1Image(np.zeros(stored.shape, np.uint8), stored.affine), label)
    assert "labels of the test part" not in caplog.text
    again = learner(overrides=overrides, rounds=2)
    again.run()
    assert "the labels of the test part have changed since the rounds before" in caplog.text
    assert again.folder.metrics(0)["test_labels"] != again.folder.metrics(1)["test_labels"]


def test_the_data_sets_own_labels_count_by_what_they_annotate(learner, small, tmp_path, caplog):
    """Whoever answers with them, and again when they change."""

    class Two(Annotator):
        name = "two"

        def annotate(self, query, pool):
            return Answer(query.ids)

    overrides = folder_config(tmp_path, small)
    overrides["datalist"]["label_values"] = {0: 0, 1: 1, 255: 255}
    active = learner(overrides=overrides)
    active._prepare()
    first, *others = [active.pool[active.pool.index(id)] for id in active._initial_query().ids]

    def draw(item, value):
        stored = nib.load(item.label)
        classes = np.asarray(stored.dataobj).astype(np.uint8)
        classes[..., item.slice] = value
        nib.save(nib.Nifti1Image(classes, stored.affine), item.label)

    draw(first, 255)
    for item in others:
        draw(item, np.where(np.arange(32) % 2, 255, 0))
    for annotator in (Two(), Oracle()):
        active = learner(annotator, folder=annotator.name, overrides=overrides, rounds=1)
        active.run()
        assert list(active.folder.labels(0).refused) == [first.id]
        assert active.folder.labels(0).counts == {"weak": 2}
        assert active.folder.metrics(0)["cost"]["total"] == pytest.approx(2 / 15)
    draw(others[0], 1)
    again = learner(Oracle(), folder="oracle", overrides=overrides, rounds=2)
    again.run()
    assert again.folder.labels(0).counts == {"weak": 1, "full": 1}
    assert len(again.folder.returns(0)) == 2
    assert again.folder.metrics(1)["cost"]["per_kind"]["full"]["items"] == 4
    draw(others[0], 255)
    with pytest.raises(DataError, match=f"{others[0].id}: its label annotates no pixel any more"):
        learner(Oracle(), folder="oracle", overrides=overrides, rounds=2).run()


def test_items_to_test_on_without_a_label_are_named(learner, small, tmp_path):
    overrides = folder_config(tmp_path, small)
    active = learner(overrides=overrides)
    active._prepare()
    Path(active.test[0].label).unlink()
    with pytest.raises(DataError, match="6 items of the part 'test' have no label, such as .*/0000"):
        learner(overrides=overrides).run()


@pytest.mark.parametrize("flips", [(), (2,), (0, 1)])
def test_a_file_returned_in_another_order_of_its_voxels(tmp_path, flips):
    pool = phantom(tmp_path / "data", patients=1, shape=(16, 18, 6))
    source = SliceSource(pool, VolumeCache(tmp_path / "cache", label_values=pool.label_values, progress=False))
    item = pool[2]
    truth, image = (nib.load(path) for path in (item.label, item.image))
    classes, affine = np.asarray(truth.dataobj).astype(np.uint8), image.affine.copy()
    for axis in flips:
        affine[:, 3] += affine[:, axis] * (classes.shape[axis] - 1)
        affine[:, axis] *= -1
    nib.save(nib.Nifti1Image(np.flip(classes, flips), affine), tmp_path / "back.nii.gz")
    query = Query(0, "random", 0, (QueryItem(item.id),))
    answer = Answer((Label(item.id, where=str(tmp_path / "back.nii.gz"), coding="class numbers"),))
    run = RunFolder(tmp_path / "run")
    assert record_answer(run, query, answer, "me", source) == ([], {})
    label = run.labels(0)[item.id]
    kept = nib.load(run.round_path(0) / label.where)
    np.testing.assert_array_equal(np.asarray(kept.dataobj)[..., item.slice], np.asarray(truth.dataobj)[..., item.slice])
    np.testing.assert_array_equal(kept.affine, image.affine)


# -- a person ----------------------------------------------------------------------------------------------------------


def test_a_person_who_draws_the_truth_trains_the_same_networks(learner, tmp_path, caplog):
    """The loop ends while slices wait, and goes on with what came back; the labels are those of the oracle."""
    caplog.set_level("INFO")
    for number in range(2):
        active = learner(Folder())
        active.run()
        place = tmp_path / f"run/annotate/round_{number:02d}"
        assert f"round {number}: 3 slices of " in caplog.text
        assert f"The work lies in {place / 'worklist.html'}" in caplog.text
        assert f"python -m monai_al import-labels {tmp_path / 'run'}" in caplog.text
        assert active.folder.metrics(number) is None
        for id in active.folder.query(number).ids:
            item = active.pool[active.pool.index(id)]
            (path,) = place.glob(f"{item.volume}/annotation.nii.gz")
            stored, truth = nib.load(path), np.asarray(nib.load(item.label).dataobj)
            classes = np.asarray(stored.dataobj).copy()
            classes[..., item.slice] = truth[..., item.slice]
            nib.save(nib.Nifti1Image(classes, stored.affine, stored.header), path)
        rows = list(csv.DictReader((place / "worklist.csv").open()))
        for row in rows:  # whoever looked, says so: it may be empty, or as it was predicted
            item = active.pool[active.pool.index(row["id"])]
            row["state"] = "done" if np.asarray(nib.load(item.label).dataobj)[..., item.slice].any() else "empty"
        with (place / "worklist.csv").open("w", newline="") as file:
            csv.DictWriter(file, list(rows[0])).writeheader()
            csv.DictWriter(file, list(rows[0])).writerows(rows)
    active = learner(Folder())
    active.run()
    assert active.folder.metrics(1)["labeled"] == 6
    learner(Oracle(), folder="oracle").run()
    assert same(models(tmp_path / "run"), models(tmp_path / "oracle"))
