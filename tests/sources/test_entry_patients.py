# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whose images the entries of a foreign bundle are."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from monai_al.data import DataError
from monai_al.engines.loop_log import tell_start
from monai_al.records import pool_from_json, pool_to_json
from monai_al.sources.entry_items import entry_items
from monai_al.sources.entry_patients import with_entry_patients
from monai_al.sources.entry_settings import EntrySettings
from monai_al.sources.entry_source import EntrySource


def patients(entries, **said):
    settings = EntrySettings(**said)
    found, notes = with_entry_patients(entry_items(entries, [], settings), entries, settings)
    return [item.patient for item in found], notes


def images(*names, **more):
    return [{"image": f"/d/{name}.nii.gz", **more} for name in names]


@pytest.mark.parametrize("key", ["patient", "patient_id", "subject"])
@pytest.mark.parametrize("value", ["7", 7, np.int64(7), np.array([7]), np.str_("7"), torch.tensor(7)])
def test_an_entrys_own_key(key, value):
    found, notes = patients([*images("sub-1_a", **{key: value}), *images("sub-1_b")])
    assert found == ["7", "sub-1"]
    assert notes[0] == f"Patients are told apart by the entries' own key {key!r}, such as 7."
    assert "subjects of BIDS" in notes[1]


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), True, {"name": 3}, [1, 2]])
def test_a_key_that_names_nobody(value):
    assert patients(images("a", "b", patient=value))[0] == ["a.nii.gz", "b.nii.gz"]


def test_paths_tell_as_in_folders():
    found, notes = patients(images("sub-1/ses-1/anat/x", "sub-1/ses-2/anat/x", "sub-2/anat/x"))
    assert found == ["sub-1", "sub-1", "sub-2"]
    assert notes == ["Patients are the subjects of BIDS in the images' names, such as sub-1."]


def test_each_file_is_a_patient_else_and_a_rule_is_suggested():
    """The rule that the note gives is one that the option takes, and that groups them."""
    entries = images("p1_frame01", "p1_frame12", "p2_frame01")
    found, notes = patients(entries)
    assert found == ["p1_frame01.nii.gz", "p1_frame12.nii.gz", "p2_frame01.nii.gz"]
    rule = notes[-1].partition("--patient '")[2].partition("'")[0]
    assert patients(entries, patient=rule)[0] == ["p1", "p1", "p2"]


def test_a_rule_comes_first():
    entries = images("sub-1_x3", "sub-1_x4", "sub-2_x3", patient="ada")
    assert patients(entries, patient=r"x(\d)") == (["3", "4", "3"], [r"Patients are told apart by --patient 'x(\\d)'."])
    with pytest.raises(DataError, match=r"patient rule 'sub-\(1\)' does not match 1 images:\n  sub-2_x3"):
        patients(entries, patient="sub-(1)")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"patient": "(p"}, r"--patient '\(p' is no regular expression"),
        ({"patient": 3}, "--patient 3 is no regular expression"),
        ({"patient": r"(p)(\d)"}, r"has 2 groups: one finds the patient; write the others as \(\?:"),
        ({"image_key": ""}, "--image_key must be a key of the bundle's entries, got ''"),
        ({"label_key": "image"}, "--image_key and --label_key must differ, both are 'image'"),
    ],
)
def test_what_cannot_be_meant(said, message):
    with pytest.raises(ValueError, match=message):
        EntrySettings(**said)


def test_slices_of_an_image_are_of_one_patient():
    entries = [{"image": f"/d/{name}.nii", "slice": z} for name in "ab" for z in range(2)]
    assert patients(entries)[0] == ["a.nii"] * 2 + ["b.nii"] * 2


def test_names_that_differ_in_their_suffix_alone():
    assert patients([{"image": "/d/a.nii"}, {"image": "/d/a.png"}])[0] == ["a.nii", "a.png"]


def test_a_split_that_shares_patients_is_told_and_kept(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("monai_al"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("monai_al"), "handlers", [])
    train, test = images("p1_frame01", "p2_frame01", "p3_frame01"), images("p1_frame12", "p2_frame12")
    data = EntrySource(train, test, preprocessing=[], settings=EntrySettings(patient=r"(p\d)"))
    assert data.data.part("train").patients == ("p1", "p2", "p3")
    assert data.data.part("test").patients == ("p1", "p2")
    tell_start("random", data, 1)
    (warning,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warning.startswith("the bundle's own split shares patients between the pool and the test set, such as p1 (2")
    hashes = {item.image: "e3b0" for item in data.data}
    content = pool_to_json(data.data, hashes)
    assert content["patients_shared"] is True
    assert pool_from_json(content).items == data.data.items
    assert "patients_shared" not in pool_to_json(EntrySource(train, test, preprocessing=[]).data, hashes)
