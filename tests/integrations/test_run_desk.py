# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run and a server's images: which image comes next, and what becomes of the labels, without a server."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from desk import Desk

import monai_al.integrations.taking as taking
from monai_al.integrations.received import received
from monai_al.integrations.run_desk import FACTS, RunDesk
from monai_al.records import DataError, Query, QueryItem


class Studies:
    """Images and labels as MONAI Label's datastore keeps them: one label for each image, the last one."""

    def __init__(self, folder, pool):
        self.folder = folder
        self.image_info, self.label_info = {}, {}
        (folder / "labels").mkdir(parents=True)
        for item in pool:
            shutil.copy(item.image, folder / f"{item.volume}.nii.gz")

    def list_images(self):
        return sorted(path.name.removesuffix(".nii.gz") for path in self.folder.glob("*.nii.gz"))

    def get_image_uri(self, image_id):
        return str(self.folder / f"{image_id}.nii.gz")

    def get_image_info(self, image_id):
        return dict(self.image_info.get(image_id, {}))

    def update_image_info(self, image_id, info):
        self.image_info[image_id] = self.image_info.get(image_id, {}) | info

    def get_label_uri(self, label_id, label_tag):
        assert label_tag == "final"
        path = self.folder / "labels" / f"{label_id}.nii.gz"
        return str(path) if path.is_file() else ""

    def get_label_info(self, label_id, label_tag):
        return self.label_info.get(label_id, {})

    def save(self, desk, *ids, value=1, **info):
        """What 3D Slicer sends: a label map of one image that holds the truth of some slices."""
        item = desk.item(ids[0])
        image = nibabel.load(item.image)
        voxels = np.zeros(image.shape, np.int16)
        for id in ids:
            z = desk.item(id).slice
            voxels[..., z] = desk.truth(id)[..., z] * value
        nibabel.save(nibabel.Nifti1Image(voxels, image.affine), self.folder / "labels" / f"{item.volume}.nii.gz")
        self.label_info[item.volume] = info
        return item.volume


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    desk.ask()
    return desk


@pytest.fixture
def studies(desk, tmp_path):
    return Studies(tmp_path / "studies", desk.pool)


def served(desk, **options):
    return RunDesk(desk.run.path, **options)


def next_of(desk, studies, client=""):
    found = served(desk).next_image(studies, client)
    return None if found is None else found[0]


def annotators(desk):
    return {label.id: one.annotator for one in desk.run.returns(0) for label in one.labels}


def test_a_round_is_answered_image_by_image(desk, studies, caplog):
    caplog.set_level("INFO", "monai_al.integrations")
    first, second = desk.pool.volumes
    image, facts = served(desk).next_image(studies)
    assert (image, facts["round"], facts["rank"], facts["waiting"]) == (first, 0, 1, 2)
    assert [(one["id"], one["slice"], one["itksnap"]) for one in facts["slices"]] == [
        (desk.ids[0], 2, 3),
        (desk.ids[1], 3, 4),
    ]
    assert all(one["slicer_mm"] is not None and one["reason"] == "random" for one in facts["slices"])
    studies.save(desk, *desk.ids[:2], client_id="ada")
    assert served(desk).receive(studies, first).taken == list(desk.ids[:2])
    assert next_of(desk, studies) == second
    studies.save(desk, *desk.ids[2:], client_id="bob")
    assert served(desk).receive(studies, second).taken == list(desk.ids[2:])
    assert next_of(desk, studies) is None
    assert "round 0 is answered: the command that began the run goes on with it" in caplog.text
    other = type(desk.run)(desk.run.path)
    other.lock()
    assert next_of(desk, studies) is None
    assert f"{desk.run.path} is in use, such as for training" in caplog.text
    other.unlock()
    desk.check(*desk.ids)
    assert annotators(desk) == dict.fromkeys(desk.ids[:2], "ada") | dict.fromkeys(desk.ids[2:], "bob")
    assert [studies.image_info[one][FACTS]["waiting"] for one in (first, second)] == [0, 0]


def test_values_are_known_by_the_names_of_the_segments(desk, studies):
    image = studies.save(desk, *desk.ids[:2], value=2, label_info=[{"name": "left", "idx": 1}, {"name": "Organ"}])
    assert served(desk).receive(studies, image).taken == list(desk.ids[:2])
    desk.check(*desk.ids[:2])
    image = studies.save(desk, *desk.ids[2:], value=2, label_info=[{"name": "tumour", "idx": 1}, {"name": "left"}])
    problems = served(desk).receive(studies, image).problems
    assert set(problems) == set(desk.ids[2:])
    assert all("holds 'left', which is no class" in why for why in problems.values())
    image = studies.save(desk, *desk.ids[2:], label_info=[{"name": "organ", "idx": 2}])
    assert "numbers the segments [2]" in served(desk).receive(studies, image).problems[image]
    desk.check(*desk.ids[:2])
    assert len(received(desk.run.path)) == 3  # what is refused is kept, too


def test_nothing_is_lost_between_saving_and_taking(desk, studies, monkeypatch):
    """Killed at each step of taking a label that was saved: what is started next takes it, and once."""
    image = studies.save(desk, *desk.ids[:2], client_id="ada")

    class Killed(BaseException):
        pass

    def kill(*_, **__):
        raise Killed

    steps = [(taking, "_take_one"), (taking.Received, "with_outcome")]
    for place, name in steps:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, kill)
            with pytest.raises(Killed):
                served(desk).receive(studies, image)
    assert served(desk).collect(studies).taken == []  # the second was killed after the run had it
    assert served(desk).collect(studies).taken == []
    desk.check(*desk.ids[:2])
    assert [len(one.labels) for one in desk.run.returns(0)] == [2]
    studies.save(desk, *desk.ids[2:], client_id="bob")  # killed before anything was done
    assert served(desk).collect(studies).taken == list(desk.ids[2:])
    assert annotators(desk)[desk.ids[2]] == "bob"


def test_a_run_in_use_takes_its_labels_later_and_each_of_them(desk, studies):
    other = type(desk.run)(desk.run.path)
    other.lock()
    first = studies.save(desk, desk.ids[0], client_id="ada")
    assert f"{desk.run.path} is in use by process {os.getpid()}" in served(desk).receive(studies, first).postponed
    studies.save(desk, desk.ids[1], client_id="bob")  # the server has but one label for each image
    assert served(desk).receive(studies, first).postponed
    assert next_of(desk, studies) == desk.pool.volumes[1]  # of the first one labels have come
    other.unlock()
    assert sorted(served(desk).collect(studies).taken) == sorted(desk.ids[:2])
    assert annotators(desk) == {desk.ids[0]: "ada", desk.ids[1]: "bob"}


@pytest.mark.parametrize("way", ["with the label", "all", "later", "server", "work list"])
def test_a_slice_without_a_label_waits_until_somebody_says_that_it_is_empty(desk, studies, way):
    first, second = desk.pool.volumes
    told = {"with the label": {"empty": [3]}, "all": {"empty": "all"}}.get(way, {})
    image = studies.save(desk, desk.ids[0], client_id="ada", **told)
    done = served(desk, empty=way == "server").receive(studies, image)
    if way in ("later", "work list"):
        assert done.taken == [desk.ids[0]]
        assert "slice 4 in ITK-SNAP: is empty" in done.problems[desk.ids[1]]
        assert done.notes == [
            "1 slices without a label wait: where there is truly nothing, say so by the option empty_slices and ask "
            "for the next image, or send the label with 'empty'"
        ]
        assert next_of(desk, studies) == second  # those that nobody has touched come first
        assert not served(desk).collect(studies).to_json()  # nothing new, nothing done
        if way == "later":
            served(desk).say_empty("bob")
            assert not served(desk).collect(studies).taken
            served(desk).say_empty("ada")
        else:
            desk.say(z3="empty")
        done = served(desk).collect(studies)
        assert done.taken == [desk.ids[1]]
    assert sorted(desk.taken()) == list(desk.ids[:2])
    label = desk.run.labels(0)[desk.ids[1]]
    plane = np.asarray(nibabel.load(desk.run.round_path(0) / label.where).dataobj)[..., 3]
    assert not plane.any()
    assert annotators(desk)[desk.ids[1]] == "ada"


def test_what_is_called_empty_never_takes_the_place_of_a_label(desk, studies):
    image = studies.save(desk, *desk.ids[:2], client_id="ada")
    served(desk).receive(studies, image)
    studies.save(desk, desk.ids[0], client_id="ada", empty="all")  # begun anew, with one of the two slices
    served(desk).receive(studies, image)
    desk.check(*desk.ids[:2])
    image = studies.save(desk, *desk.ids[2:], empty=[1])
    assert "is called empty in worklist.csv, but" in served(desk).receive(studies, image).problems[desk.ids[2]]


def test_an_old_label_says_nothing_of_a_later_round(desk, studies):
    """Also where the server was down meanwhile, and whoever sent it had called the rest empty."""
    first, second = desk.pool.volumes
    before = time.time() - 60
    for ids in (desk.ids[:2], desk.ids[2:]):
        image = studies.save(desk, *ids, empty="all")
        os.utime(studies.get_label_uri(image, "final"), (before, before))
    os.utime(desk.run.round_path(0) / "query.json", (before - 60, before - 60))
    asked = {f"{second}/0000": 0.3, f"{first}/0000": 0.9, f"{second}/0005": 0.2, f"{first}/0005": 0.1}
    desk.query = Query(1, "random", 0, tuple(QueryItem(id, score) for id, score in asked.items()))
    desk.run.write_query(desk.query)
    desk.ask()
    assert sorted(served(desk).collect(studies).taken) == sorted(desk.ids)
    assert not served(desk).collect(studies).to_json()
    assert desk.run.labels(1).keys() == set(desk.ids)
    facts = served(desk).facts(studies)
    assert {image: (one["rank"], one["score"]) for image, one in facts.items()} == {second: (1, 0.3), first: (2, 0.9)}
    assert next_of(desk, studies) == second
    image = studies.save(desk, f"{second}/0000", f"{second}/0005", desk.ids[2])
    done = served(desk).receive(studies, image)
    assert (done.taken, done.notes) == (
        [f"{second}/0000", f"{second}/0005"],
        [],
    )  # nor is asked for what it did not ask


def test_what_is_sent_as_it_was_handed_out_counts(desk, studies):
    """Whoever sends a label has looked at it, so the state need not be told, as it has to be for files in a folder."""
    image = nibabel.load(desk.annotation(desk.ids[0]))
    path = studies.folder / "labels" / f"{desk.pool.volumes[0]}.nii.gz"
    nibabel.save(image, path)
    assert np.asarray(image.dataobj)[..., 2].any()
    assert served(desk).collect(studies).taken == list(desk.ids[:2])


def test_labels_that_were_there_before_the_run_are_left_alone(desk, studies):
    image = studies.save(desk, *desk.ids[:2])
    os.utime(studies.get_label_uri(image, "final"), (1e9, 1e9))
    assert not served(desk).collect(studies).to_json()
    assert received(desk.run.path) == []


def test_two_clients_get_two_images(desk, studies):
    first, second = desk.pool.volumes
    studies.update_image_info(first, {"strategy": {"next_slices": {"ts": int(time.time()), "client_id": "ada"}}})
    assert [next_of(desk, studies, who) for who in ("ada", "bob", "")] == [first, second, first]
    studies.update_image_info(first, {"strategy": {"next_slices": {"ts": int(time.time()) - 4000, "client_id": "ada"}}})
    assert next_of(desk, studies, "bob") == first


def test_images_that_are_not_there_come_last_and_are_told(desk, studies, caplog):
    first, second = desk.pool.volumes
    Path(studies.get_image_uri(first)).unlink()
    assert next_of(desk, studies) == second
    assert f"none of the 1 images of the server is the volume {first!r}" in caplog.text
    Path(studies.get_image_uri(second)).rename(studies.folder / "other.nii.gz")
    with pytest.raises(DataError, match=f"is the volume '{second}'.*put its file"):
        served(desk).next_image(studies)
    with pytest.raises(DataError, match="other: .* has asked for no slice of this image"):
        served(desk).receive(studies, "other")


def test_a_run_that_asks_for_strokes_is_refused(tmp_path):
    """Before anything is handed out, too; nothing is written."""
    desk = Desk(tmp_path, scribbles=True)
    before = sorted(desk.run.path.rglob("*"))
    with pytest.raises(DataError, match="asks for strokes .* alone, and no strokes of the background: draw them in"):
        served(desk)
    assert sorted(desk.run.path.rglob("*")) == before
