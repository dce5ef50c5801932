# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Manifests of a run folder, on made-up rounds: what they list, and that every kind of change is found."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from functools import partial

import numpy as np
import pytest

from monai_al.records import Item, Label, Pool, Query, QueryItem, RunFolder, RunFolderError, pool_to_json
from monai_al.records.files import write_json
from monai_al.records.manifest import changed_files, check_intact, close_round, closed_rounds

RUN = {"config": {"learner": {"seed": 0}}, "rounds": 3, "budget": 2, "sizes": [2, 2, 2]}
ITEMS = [f"a/{number:04d}" for number in range(8)]


def weights(number):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("data", bytes(range(256)) * (number + 1))
    return content.getvalue()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def query(number):
    return Query(number, "random", 0, tuple(QueryItem(id) for id in ITEMS[2 * number : 2 * number + 2]))


def do_round(folder, number, last=False):
    """All that a loop writes in a round but its manifest."""
    asked = query(number)
    folder.write_query(asked)
    answer = folder.answers_path(number, 0) / "000.nii.gz"
    answer.parent.mkdir(parents=True)
    answer.write_bytes(b"label map %d" % number)
    place = answer.relative_to(folder.round_path(number)).as_posix()
    folder.write_labels(number, [Label(asked.ids[0], where=place), Label(asked.ids[1])], "me", number=0)
    folder.write_model(number, 0, lambda file: file.write(weights(number)))
    folder.write_metrics(number, {"labeled": 2 * number + 2})
    folder.add_timing(number, train_s=1.0)
    if not last:
        folder.write_query(query(number + 1))


def started(path, cache=None):
    folder = RunFolder(path)
    pool = Pool(Item(id, "/d/a.nii", "a", "a", "/d/l.nii", i) for i, id in enumerate(ITEMS))
    folder.start(RUN, pool_to_json(pool, {"/d/a.nii": "0", "/d/l.nii": "1"}))
    if cache is not None:
        cache.mkdir()
        (cache / "encoder.pt").write_bytes(b"weights")
        np.save(cache / "embeddings.npy", np.arange(16.0).reshape(8, 2))
        hashes = {"sha256": sha256(cache / "encoder.pt"), "embeddings_sha256": sha256(cache / "embeddings.npy")}
        folder.write_encoder({"config": "pretrain.yaml", "folder": str(cache), **hashes})
    return folder


@pytest.fixture
def folder(tmp_path):
    """Two closed rounds, and the query of the third."""
    folder = started(tmp_path / "run", tmp_path / "cache")
    for number in range(2):
        do_round(folder, number)
        close_round(folder.path, number)
    return folder


@pytest.fixture
def path(folder):
    return folder.path


def manifest(path, number):
    return json.loads((path / f"round_{number:02d}" / "manifest.json").read_text())


def test_what_a_manifest_holds(path):
    names = ("answers/0000/000.nii.gz", "labels/0000.json", "metrics.json", "model_0.pt", "query.json")
    first, second = manifest(path, 0), manifest(path, 1)
    of_run = ["encoder.json", "pool.json", "run.json"]
    assert sorted(first["files"]) == sorted([*(f"round_00/{name}" for name in names), "round_01/query.json", *of_run])
    assert sorted(second["files"]) == sorted([*(f"round_01/{name}" for name in names), "round_02/query.json"])
    assert first["previous"] is None
    assert second["previous"] == sha256(path / "round_00" / "manifest.json")
    listed = first["files"] | second["files"]
    assert all(listed[name] == sha256(path / name) for name in listed if name != "encoder.json")
    assert set(first) == {"round", "previous", "files"}  # nothing that another start would write otherwise
    assert changed_files(path) == []
    check_intact(path)


def test_equal_files_give_an_equal_manifest(path):
    """Also where a process died before it was written, and where the round is closed again."""
    before = {number: (path / f"round_{number:02d}" / "manifest.json").read_bytes() for number in range(2)}
    (path / "round_01" / "manifest.json").unlink()
    check_intact(path)
    for number in range(2):
        close_round(path, number)
    assert {number: (path / f"round_{number:02d}" / "manifest.json").read_bytes() for number in range(2)} == before


# -- every kind of change ----------------------------------------------------------------------------------------------


def edit(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def flip(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def permute(path):
    np.save(path, np.load(path)[::-1])


CHANGES = {
    "an exchanged id": ("round_00/query.json", partial(edit, old=b"a/0000", new=b"a/0007"), 0),
    "an id of the open round": ("round_02/query.json", partial(edit, old=b"a/0004", new=b"a/0007"), 2),
    "a record of labels": ("round_01/labels/0000.json", partial(edit, old=b"full", new=b"weak"), 1),
    "an answer": ("round_01/answers/0000/000.nii.gz", flip, 1),
    "metrics": ("round_00/metrics.json", partial(edit, old=b"2", new=b"3"), 0),
    "a flipped bit in weights": ("round_00/model_0.pt", partial(flip, at=60), 0),
    "an edited run.json": ("run.json", partial(edit, old=b'"budget": 2', new=b'"budget": 3'), None),
    "an edited config": ("run.json", partial(edit, old=b'"seed": 0', new=b'"seed": 1'), None),
    "an edited pool": ("pool.json", partial(edit, old=b"/d/a.nii", new=b"/d/b.nii"), None),
    "another encoder": ("encoder.json", partial(edit, old=b'"sha256": "', new=b'"sha256": "0'), 0),
    "permuted embeddings": ("../cache/embeddings.npy", permute, None),
    "weights of the encoder": ("../cache/encoder.pt", flip, None),
    "an edited manifest": ("round_00/manifest.json", partial(edit, old=b'"round": 0', new=b'"round": 9'), 0),
    "a broken manifest": ("round_01/manifest.json", partial(edit, old=b"{", new=b""), 1),
}


@pytest.mark.parametrize(("name", "change", "since"), CHANGES.values(), ids=CHANGES)
def test_a_changed_file_is_found(path, name, change, since):
    change(path / name)
    found = changed_files(path)
    place = (path / name).resolve() if name.startswith("..") else name
    assert str(place) in {change.file for change in found}
    assert next(change for change in found if change.file == str(place)).round == since
    for reading in (False, True):
        with pytest.raises(RunFolderError, match="restore it, or") as error:
            check_intact(path, reading=reading)
    if len(found) == 1:
        assert (path / name).resolve().as_posix() in str(error.value)
        assert (since is None) is ("all later rounds" not in str(error.value))


@pytest.mark.parametrize("name", ["run.json", "pool.json", "encoder.json", "round_00/query.json", "round_01/model_0.pt",
    "round_01/labels/0000.json", "round_00/answers/0000/000.nii.gz", "round_00/metrics.json",
    "round_00/manifest.json"])  # fmt: skip
def test_a_missing_file_is_found(path, name):
    (path / name).unlink()
    assert [str(change) for change in changed_files(path) if change.file == name][0].startswith(f"{name}: is missing")
    with pytest.raises(RunFolderError, match=f"{name} is missing"):
        check_intact(path)


def test_weights_may_be_gone_for_reading(path):
    (path / "round_00" / "model_0.pt").unlink()
    check_intact(path, reading=True)
    flip(path / "round_01" / "model_0.pt")
    with pytest.raises(RunFolderError, match=r"round_01/model_0\.pt differs"):
        check_intact(path, reading=True)


def test_a_file_that_came_to_a_closed_round(path):
    shutil.copy(path / "round_00" / "model_0.pt", path / "round_00" / "model_1.pt")
    (path / "round_00" / "notes.txt").write_text("a user's own")
    with pytest.raises(RunFolderError, match=r"model_1\.pt came after the round had closed: remove it"):
        check_intact(path)


def test_the_first_change_is_told_and_where_to_see_all(path):
    for number in range(2):
        flip(path / f"round_{number:02d}" / "metrics.json", at=0)
    with pytest.raises(RunFolderError, match=r"round_00/metrics\.json differs .* \(1 more: python -m monai_al verify"):
        check_intact(path)


# -- what comes later --------------------------------------------------------------------------------------------------


def test_a_late_return_enters_the_next_manifest(folder):
    path = folder.path
    folder.write_labels(0, [Label(ITEMS[0], "weak")], "me")
    check_intact(path)
    folder.start(
        {**RUN, "rounds": 4, "budget": [2, 2, 2, 1], "sizes": [2, 2, 2, 1]},
        json.loads((path / "pool.json").read_text()),
    )
    do_round(folder, 2, last=True)
    close_round(path, 2)
    assert {"round_00/labels/0001.json", "extension_00.json"} < set(manifest(path, 2)["files"])
    check_intact(path)
    edit(path / "round_00" / "labels" / "0001.json", b"weak", b"full")
    (found,) = changed_files(path)
    assert str(found) == "round_00/labels/0001.json: differs from what was written; since round 2"
    assert found.advice == "restore it, or remove it with round_02 and all later rounds"


def test_rounds_that_are_added_take_their_query_into_the_last_manifest(folder):
    path = folder.path
    do_round(folder, 2, last=True)
    close_round(path, 2)
    before = manifest(path, 2)
    folder.write_query(query(3))
    close_round(path, 2)
    assert manifest(path, 2) == before  # it follows the last round, so that another one may take its place
    sizes = json.loads((path / "run.json").read_text())["sizes"]
    write_json(path / "extension_00.json", {"sizes": [*sizes, sizes[-1]]})
    close_round(path, 2)
    added = ("extension_00.json", "round_03/query.json")
    assert manifest(path, 2)["files"] == before["files"] | {name: sha256(path / name) for name in added}
    check_intact(path)


def test_rounds_may_be_removed_and_done_again(folder):
    path = folder.path
    before = (path / "round_01" / "manifest.json").read_bytes()
    shutil.rmtree(path / "round_02")
    shutil.rmtree(path / "round_01")
    check_intact(path)
    do_round(folder, 1)
    close_round(path, 1)
    check_intact(path)
    assert set(json.loads(before)["files"]) == set(manifest(path, 1)["files"])


def test_a_moved_cache_changes_nothing(folder, tmp_path):
    shutil.move(tmp_path / "cache", tmp_path / "there")
    check_intact(folder.path)
    folder.write_encoder(folder.encoder() | {"folder": str(tmp_path / "there")})
    check_intact(folder.path)
    permute(tmp_path / "there" / "embeddings.npy")
    with pytest.raises(RunFolderError, match=r"embeddings\.npy differs .* remove the folder .*there"):
        check_intact(folder.path)
    with pytest.raises(RunFolderError, match="was started with other embeddings"):
        folder.write_encoder(folder.encoder() | {"embeddings_sha256": "0" * 64})


def test_a_run_from_before_there_were_manifests_goes_on(folder):
    path = folder.path
    for number in closed_rounds(path):
        (path / f"round_{number:02d}" / "manifest.json").unlink()
    check_intact(path)
    assert [str(change) for change in changed_files(path)] == [
        "round_00/manifest.json: is missing: the round closed without it; since round 0"
    ]
    for number in range(2):
        close_round(path, number)
    assert closed_rounds(path) == [1]
    assert {"run.json", "round_00/model_0.pt", "round_01/model_0.pt"} < set(manifest(path, 1)["files"])
    assert changed_files(path) == []
    flip(path / "round_00" / "metrics.json", at=0)
    with pytest.raises(RunFolderError, match="remove it with round_00 and all later"):
        check_intact(path)


# -- the round that is open --------------------------------------------------------------------------------------------

OPEN = {
    "an id that is not in the pool": ("query.json", partial(edit, old=b"a/0001", new=b"a/9999"), "a/9999"),
    "an id that stands twice": ("query.json", partial(edit, old=b"a/0001", new=b"a/0000"), "names 'a/0000' again"),
    "an item less": (
        "query.json",
        lambda p: p.write_text(json.dumps(json.loads(p.read_text()) | {"items": []})),
        "0 i",
    ),
    "no JSON": ("query.json", partial(edit, old=b"{", new=b""), "is not valid JSON"),
    "an answer to another item": ("labels/0000.json", partial(edit, old=b"a/0001", new=b"a/0005"), "answers 'a/0005'"),
    "another kind": ("labels/0000.json", partial(edit, old=b"full", new=b"fool"), "is no record of labels"),
    "no answer": ("answers/0000/000.nii.gz", lambda p: p.unlink(), "which is missing"),
    "a flipped bit": ("model_0.pt", partial(flip, at=60), "is damaged"),
    "half of the weights": ("model_0.pt", lambda p: p.write_bytes(p.read_bytes()[:99]), "is damaged"),
    "a config of another hash": ("../run.json", partial(edit, old=b'"seed": 0', new=b'"seed": 1'), "another config"),
    "no query": ("query.json", lambda p: p.unlink(), r"query\.json is missing"),
    "no pool": ("../pool.json", lambda p: p.unlink(), r"pool\.json is missing"),
    "another pool": ("../pool.json", partial(edit, old=b'"items"', new=b'"images"'), "names no items"),
}


@pytest.mark.parametrize(("name", "change", "message"), OPEN.values(), ids=OPEN)
def test_a_change_in_the_open_round(tmp_path, name, change, message):
    folder = started(tmp_path / "run")
    do_round(folder, 0, last=True)
    check_intact(folder.path)
    change(folder.round_path(0) / name)
    with pytest.raises(RunFolderError, match=message):
        check_intact(folder.path)
