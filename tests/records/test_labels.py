# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The home of labels."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from monai_al.records import GROUND_TRUTH, DataError, Item, Label, LabelReturn, Labels, RunFolder

ITEM = Item("v/0003", "v.nii", "v", "p", label="truth.nii", slice=3)
FILE = Label(
    "v/0003", "weak", "answers/0000/000.nii.gz", 3, "class numbers", "answers/0000/returned/v.nrrd", "stored codes"
)


def test_a_return_is_read_as_it_was_written():
    written = LabelReturn((Label("a"), FILE), {"b": "annotates no pixel"}, "someone", "2026-01-01T00:00:00+00:00")
    read = LabelReturn.from_json(json.loads(json.dumps(written.to_json())))
    who = {"annotator": "someone", "when": "2026-01-01T00:00:00+00:00"}
    assert read == replace(written, labels=tuple(replace(label, **who) for label in written.labels))
    assert written.to_json()["labels"][0] == {"id": "a", "kind": "full", "where": GROUND_TRUTH}


def test_returns_of_runs_whose_labels_had_no_home_are_read():
    read = LabelReturn.from_json(
        {"items": ["a", "b"], "annotator": "oracle", "when": "t", "kind": "weak", "labels": None}
    )
    assert [(one.id, one.kind, one.where, one.annotator) for one in read.labels] == [
        ("a", "weak", GROUND_TRUTH, "oracle"), ("b", "weak", GROUND_TRUTH, "oracle"),
    ]  # fmt: skip


def test_of_several_returns_for_an_item_the_last_counts(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_labels(0, [Label("v/0003"), Label("z")], "first")
    folder.write_labels(0, [FILE], "second", refused={"y": "annotates no pixel"})
    folder.write_labels(2, [Label("y")], "third")
    assert len(folder.returns(0)) == 2  # all are kept
    labels = folder.labels(0)
    assert (list(labels), labels.counts) == (["v/0003", "z"], {"weak": 1, "full": 1})
    assert (labels.asked, labels.refused) == (["v/0003", "z", "y"], {"y": "annotates no pixel"})
    own = labels.of_item(ITEM)
    assert own == replace(ITEM, label=str(tmp_path / "round_00/answers/0000/000.nii.gz"), coding="class numbers")
    assert labels["v/0003"].returned == str(tmp_path / "round_00/answers/0000/returned/v.nrrd")
    later = folder.labels(2)
    assert (later.refused, later["y"].annotator) == ({}, "third")
    with pytest.raises(KeyError):
        labels.of_items([replace(ITEM, id="y")])


def test_the_ground_truth_is_what_the_data_set_names():
    labels = Labels([LabelReturn((Label("v/0003"),))])
    assert labels.of_items([ITEM]) == [ITEM]
    with pytest.raises(DataError, match="v/0003: its label was that of the data set, which has none any more"):
        labels.of_items([replace(ITEM, label=None)])


@pytest.mark.parametrize("wrong", [{"kind": "scribble"}, {"coding": "codes"}, {"returned_coding": "codes"}])
def test_unknown_words_are_refused(wrong):
    with pytest.raises(ValueError, match=f"label of 'a': .*{next(iter(wrong.values()))}"):
        Label("a", **wrong)


def test_numbers_of_returns_that_were_not_recorded_are_not_used_again(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_labels(0, [Label("a")], "x")
    folder.answers_path(0, 1).mkdir(parents=True)  # the process died before the record
    assert folder.next_return(0) == 2
