# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from monai_al.records import DataError, Label, Query, QueryItem, RunFolder, read_pseudo_labels
from monai_al.records.manifest import close_round
from monai_al.records.pseudo_labels import forget_pseudo_labels, write_pseudo_labels


def labels_of(place, ids=("a", "b")):
    (place / "pseudo").mkdir(parents=True, exist_ok=True)
    (place / "pseudo" / "000.nii.gz").write_bytes(b"labels")
    write_pseudo_labels(place, [Label(id, "pseudo", "pseudo/000.nii.gz", 3) for id in ids], "mine")


def test_they_are_read_as_they_were_written_and_equal_ones_give_equal_files(tmp_path):
    for name in ("one", "two"):
        labels_of(tmp_path / name)
    assert (tmp_path / "one" / "pseudo.json").read_bytes() == (tmp_path / "two" / "pseudo.json").read_bytes()
    first, second = read_pseudo_labels(tmp_path / "one")
    assert (first.id, first.kind, first.slice, first.annotator) == ("a", "pseudo", 3, "mine")
    assert second.where == str(tmp_path / "one" / "pseudo" / "000.nii.gz")
    forget_pseudo_labels(tmp_path / "one")
    assert list((tmp_path / "one").iterdir()) == []
    assert read_pseudo_labels(tmp_path / "one") == []


def test_they_are_in_no_count(tmp_path):
    folder = RunFolder(tmp_path)
    labels_of(folder.round_path(0))
    folder.write_labels(0, [Label("c")], "oracle")
    assert folder.labeled(0) == ["c"]
    assert folder.labels(0).counts == {"full": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"strategy": "mine"}, "holds no 'labels'"),
        ({"strategy": "mine", "labels": [{"id": "a", "kind": "full"}]}, "label of another kind"),
        ({"strategy": "mine", "labels": [{"id": "a", "mark": 1}]}, "mark"),
        ([], "no JSON object"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, content, message):
    (tmp_path / "pseudo.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"pseudo\.json is no record of pseudo labels .*{message}.*restore it"):
        read_pseudo_labels(tmp_path)


def test_a_round_that_only_got_its_query_and_pseudo_labels_is_not_begun(tmp_path):
    """So that the round before may still close."""
    folder = RunFolder(tmp_path)
    folder.write_metrics(0, {"labeled": 1})
    labels_of(folder.round_path(1))
    folder.write_query(Query(1, "mine", 0, (QueryItem("c"),)))
    close_round(tmp_path, 0)
    files = json.loads((tmp_path / "round_00" / "manifest.json").read_text())["files"]
    assert {"round_01/query.json", "round_01/pseudo.json", "round_01/pseudo/000.nii.gz"} <= set(files)


def test_they_go_with_a_following_query_that_is_chosen_again(tmp_path):
    folder = RunFolder(tmp_path)
    run = {"config": {}, "rounds": 1, "budget": 1, "sizes": [1]}
    items = [{"id": id, "image": id, "split": "train"} for id in "abcdef"]
    pool = {"items": items, "classes": ["background"], "label_values": {}, "files": {}}
    folder.start(run, pool)
    folder.write_metrics(0, {"labeled": 1})
    labels_of(folder.round_path(1))
    folder.write_query(Query(1, "mine", 0, (QueryItem("c"),)))
    folder.start({**run, "rounds": 2, "budget": [1, 2], "sizes": [1, 2]}, pool)
    assert not folder.round_path(1).exists()
