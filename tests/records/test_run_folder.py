# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.records import (
    Item,
    Label,
    Pool,
    Query,
    QueryItem,
    RunFolder,
    RunFolderError,
    config_hash,
    pool_from_json,
    pool_to_json,
    slices_of,
)
from monai_al.records.files import TEMPORARY

CONFIG = {"learner": {"seed": 0, "strategy": "random"}, "training": {"net": {"channels": [8, 16]}, "lr": 0.1}}


def pool_of(root="/data"):
    items = []
    for name, split in (("a", "train"), ("b", "train"), ("c", "test")):
        items += [
            replace(item, split=split)
            for item in slices_of(
                2, image=f"{root}/{name}.nii", volume=name, patient=name, label=f"{root}/{name}_l.nii"
            )
        ]
    return Pool(items, root=root)


def pool_json(pool=None, **changed):
    pool = pool or pool_of()
    paths = {path for item in pool for path in (item.image, item.label)}
    hashes = {path: f"hash of {os.path.basename(path)}" for path in paths}
    return pool_to_json(pool, hashes | {f"{pool.root}/{name}": value for name, value in changed.items()})


def run_json(rounds=2, budget=1, sizes=(1, 1), config=CONFIG):
    return {"schema_version": 1, "config": config, "rounds": rounds, "budget": budget, "sizes": list(sizes), "seed": 0}


def metrics(labeled, dice, hd95=1.5):
    return {
        "labeled": labeled,
        "fraction": labeled / 4,
        "cost": {"total": float(labeled)},
        "dice_3d": {"mean": dice, "per_class": {"liver": dice, "spleen": None}, "per_volume": {}},
        "dice_2d": {"mean": dice},
        "hd95_3d": {"mean": hd95},
    }


def content(path):
    """Every file with its bytes and time of change."""
    return {
        p.relative_to(path).as_posix(): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(path.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


@pytest.fixture
def started(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.start(run_json(), pool_json())
    folder.write_query(Query(0, "random", 0, (QueryItem("a/0000"),)))
    folder.write_labels(0, [Label("a/0000")], "oracle")
    return folder


# -- files -------------------------------------------------------------------------------------------------------------


def test_every_file_of_the_contract(started):
    folder = started
    folder.write_query(Query(1, "entropy", 0, (QueryItem("b/0001", 0.25, "why"), QueryItem("a/0001"))))
    folder.write_labels(1, [Label("b/0001", "weak"), Label("a/0001", "weak")], "oracle")
    weights = {"w": torch.arange(3.0)}
    folder.write_model(1, 0, lambda file: torch.save({"model": weights}, file))
    folder.write_metrics(0, metrics(1, None))
    folder.write_metrics(1, metrics(3, 0.5))
    folder.add_timing(0, train_s=1.234)
    folder.add_timing(0, score_s=2.0, train_s=1.0)
    folder.write_curve()
    assert sorted(content(folder.path)) == [
        "curve.csv",
        "pool.json",
        "round_00/labels/0000.json",
        "round_00/metrics.json",
        "round_00/query.json",
        "round_00/timings.json",
        "round_01/labels/0000.json",
        "round_01/metrics.json",
        "round_01/model_0.pt",
        "round_01/query.json",
        "run.json",
    ]
    raw = {
        name: (folder.path / name).read_text(encoding="utf-8") for name in content(folder.path) if "model" not in name
    }
    run = json.loads(raw["run.json"])
    assert run == run_json() | {"config_hash": config_hash(CONFIG)}
    assert json.loads(raw["round_01/query.json"]) == {
        "round": 1,
        "strategy": "entropy",
        "seed": 0,
        "items": [{"id": "b/0001", "score": 0.25, "reason": "why"}, {"id": "a/0001", "score": None}],
    }
    labels = json.loads(raw["round_01/labels/0000.json"])
    assert labels["annotator"] == "oracle"
    where = {"kind": "weak", "where": "ground truth"}
    assert labels["labels"] == [{"id": "b/0001", **where}, {"id": "a/0001", **where}]
    assert labels["when"]
    assert "NaN" not in raw["round_00/metrics.json"]
    assert json.loads(raw["round_00/metrics.json"])["dice_3d"]["mean"] is None
    assert folder.timings(0) == {"train_s": 1.0, "score_s": 2.0}
    loaded = torch.load(folder.model_path(1, 0), weights_only=True)["model"]
    assert torch.equal(loaded["w"], weights["w"])

    again = RunFolder(str(folder.path))
    assert again.query(1) == folder.query(1)
    assert again.metrics(1) == metrics(3, 0.5)
    assert again.labeled(0) == ["a/0000"]
    assert again.labeled(1) == ["a/0000", "b/0001", "a/0001"]


def test_what_is_not_there_yet(tmp_path):
    folder = RunFolder(tmp_path / "new")
    assert folder.query(0) is folder.metrics(0) is None
    assert (folder.returns(0), folder.labeled(3), folder.timings(0), folder.curve()) == ([], [], {}, [])
    folder.write_curve()
    assert not (tmp_path / "new").exists()


def test_labels_stand_in_the_order_of_their_return(started):
    folder = started
    for i in range(11):
        folder.write_labels(1, [Label(f"i{i}"), Label("a/0000")], "person")
    folder.write_labels(2, [Label("z")], "person")
    assert folder.labeled(2) == ["a/0000", *(f"i{i}" for i in range(11)), "z"]
    assert [one.labels[0].id for one in folder.returns(1)] == [f"i{i}" for i in range(11)]
    assert [path.name for path in sorted((folder.path / "round_01/labels").iterdir())][-1] == "0010.json"


def test_numbers_that_are_not_finite_are_refused_everywhere(started):
    folder, before = started, content(started.path)
    for bad in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            folder.write_query(Query(1, "s", 0, (QueryItem("a", bad),)))
        with pytest.raises(ValueError, match="JSON"):
            folder.write_metrics(0, metrics(1, bad))
        with pytest.raises(ValueError, match="JSON"):
            folder.add_timing(0, train_s=bad)
    assert content(folder.path) == before


def test_a_model_is_complete_or_absent(started):
    def half(file):
        file.write(b"half")
        raise RuntimeError("disk full")

    before = content(started.path)
    with pytest.raises(RuntimeError, match="disk full"):
        started.write_model(0, 1, half)
    assert content(started.path) == before
    assert not started.model_path(0, 1).exists()


def test_curve(started):
    folder = started
    folder.write_metrics(0, metrics(1, None, None))
    models = {"slices": 3.0, "area": None, "volumes": 5.0}
    folder.write_metrics(1, metrics(3, 0.5) | {"cost": {"total": 3.0, "models": models}})
    folder.add_timing(1, train_s=4.126, evaluate_s=1)
    rows = folder.write_curve()
    with open(folder.path / "curve.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    names = "round,labeled,fraction,cost,cost_slices,cost_area,cost_volumes,dice_3d,dice_2d,hd95_3d,dice_query"
    steps = ("train_s", "score_s", "select_s", "evaluate_s")
    assert list(table[0]) == [*names.split(","), *steps, "dice_3d_liver", "dice_3d_spleen"]
    assert [row["dice_3d"] for row in table] == ["", "0.5"]
    assert [row["hd95_3d"] for row in table] == ["", "1.5"]
    assert [table[1][f"cost_{model}"] for model in models] == ["3.0", "", "5.0"]
    assert table[1]["dice_3d_spleen"] == table[1]["score_s"] == ""
    assert (table[0]["cost"], table[0]["cost_slices"]) == ("1.0", "")  # as runs have it from before there were models
    assert (table[1]["train_s"], table[1]["round"], table[1]["labeled"]) == ("4.13", "1", "3")
    assert rows == folder.curve()
    assert rows[0]["dice_3d"] is None
    before = (folder.path / "curve.csv").read_bytes()
    folder.write_curve()
    assert (folder.path / "curve.csv").read_bytes() == before
    folder.write_metrics(2, metrics(4, 0.75))
    assert len(folder.write_curve()) == 3


def test_broken_file_is_named(started):
    path = started.path / "round_00" / "query.json"
    path.write_text('{"round": 0')
    with pytest.raises(ValueError, match=r"round_00/query\.json is not valid JSON"):
        started.query(0)


def trained(folder):
    folder.write_model(0, 0, lambda file: file.write(b"weights"))


# -- the lock ----------------------------------------------------------------------------------------------------------

CHILD = """
import sys, time
from monai_al.records.files import TEMPORARY
from monai_al.records.run_folder import RunFolder
folder = RunFolder(sys.argv[1])
folder.lock()
print("locked", flush=True)
(folder.scratch(0) / "checkpoint.pt").write_bytes(b"half")
(folder.path / "round_00" / f"{TEMPORARY}half").write_bytes(b"half")
time.sleep(60)
"""


def child_with_lock(path):
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_live_process_keeps_its_folder_and_a_killed_one_does_not(started):
    folder = started
    trained(folder)
    process = child_with_lock(folder.path)
    try:
        while not (folder.path / "round_00" / f"{TEMPORARY}half").exists():
            time.sleep(0.01)
        before = content(folder.path)
        with pytest.raises(RunFolderError, match=f"in use by process {process.pid} on ") as error:
            folder.lock()
        assert str(folder.path) in str(error.value)
        assert content(folder.path) == before
        folder.unlock()  # of a folder that is not ours
        assert content(folder.path) == before
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    folder.lock()
    assert json.loads((folder.path / "process.json").read_text())["pid"] == os.getpid()
    (folder.path / ".tmp-mine").write_bytes(b"a user's own")
    left = [path for path in folder.path.rglob("*") if path.name.startswith(TEMPORARY)]
    assert left
    with pytest.raises(RunFolderError, match="another config"):
        folder.start(run_json(config=changed_config("learner", "members", value=2)), pool_json())
    assert all(path.exists() for path in left)  # what is refused is not touched
    folder.start(run_json(), pool_json())
    assert not any(path.exists() for path in left)
    assert (folder.path / ".tmp-mine").exists()
    assert folder.query(0) is not None
    folder.unlock()
    assert not (folder.path / "process.json").exists()


def test_lock_and_unlock_in_one_process(tmp_path):
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    first.lock()
    with pytest.raises(RunFolderError, match=f"process {os.getpid()}"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()
    first.lock()
    first.unlock()


def test_scratch_is_new_each_time_and_dropped_with_the_next_start(tmp_path):
    folder = RunFolder(tmp_path)
    folder.start(run_json(), pool_json())
    (folder.scratch(1) / "a").write_text("a")
    path = folder.scratch(1)
    assert list(path.iterdir()) == []
    folder.lock()
    assert path.exists()
    folder.start(run_json(), pool_json())
    assert not path.exists()
    folder.unlock()


# -- going on ----------------------------------------------------------------------------------------------------------


def refused(folder, run, pool, message):
    """Refused with this message, and nothing is touched, with the lock taken as a run does."""
    trained(folder)
    before = content(folder.path)
    folder.lock()
    try:
        with pytest.raises(RunFolderError, match=message):
            folder.start(run, pool)
    finally:
        folder.unlock()
    assert content(folder.path) == before


def test_the_same_again_changes_nothing(started):
    before = content(started.path)
    found = started.start(run_json() | {"versions": {"torch": "9"}}, pool_json())
    assert found == run_json() | {"config_hash": config_hash(CONFIG)}
    assert content(started.path) == before


def changed_config(*path, value=None):
    config = json.loads(json.dumps(CONFIG))
    place = config
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed_config("training", "lr", value=0.2), "another config: training#lr was 0.1 and is now 0.2"),
        (
            changed_config("training", "net", "channels", value=[8]),
            r"training#net#channels was \[8, 16\] and is now \[8\]",
        ),
        (changed_config("learner", "seed"), r"learner#seed is gone \(it was 0\)"),
        (changed_config("learner", "members", value=2), r"learner#members is new \(2\)"),
    ],
)
def test_another_config_is_refused_by_key(started, config, message):
    refused(started, run_json(config=config), pool_json(), message)


def without(pool, *ids):
    return pool.with_items(item for item in pool if item.id not in ids)


def changed_item(pool, id, **values):
    return pool.with_items(replace(item, **values) if item.id == id else item for item in pool)


def test_another_pool_is_refused_by_item(started):
    pool = pool_of()
    extra = pool.with_items([*pool, Item("d", "/data/a.nii", "d", "d", "/data/a_l.nii")])
    patient = pool.with_items(replace(i, patient="x") if i.volume == "a" else i for i in pool)
    split = pool.with_items(replace(i, split="validation") if i.volume == "b" else i for i in pool)
    turned = pool.with_items([pool[1], pool[0], *pool[2:]])
    for other, message in [
        (without(pool, "b/0001"), r"another pool \(6 items, now 5\): item 'b/0001' is missing"),
        (extra, r"another pool \(6 items, now 7\): item 'd' is new"),
        (patient, "patient of item 'a/0000' was 'a' and is now 'x'"),
        (split, "split of item 'b/0000' was 'train' and is now 'validation'"),
        (changed_item(pool, "b/0001", slice=3), "slice of item 'b/0001' was 1 and is now 3"),
        (changed_item(pool, "b/0001", slice_axis=0), "slice_axis of item 'b/0001' was 2 and is now 0"),
        (turned, "order of items, from 'a/0001' on"),
        (Pool(pool.items, ("background", "x"), root=pool.root), r"other classes: \['background', 'foreground'\], now"),
        (Pool(pool.items, label_values={0: 0, 1: 255}, root=pool.root), "other label_values"),
    ]:
        refused(started, run_json(), pool_json(other), message)


def test_a_pool_comes_back_from_its_file():
    turned = Pool(slices_of(2, image="a.nii", volume="a", patient="p", slice_axis=1), slice_axis="coarsest")
    back = pool_from_json(json.loads(json.dumps(pool_to_json(turned, {"a.nii": "e3b0"}))))
    assert (back.items, back.classes, back.label_values) == (turned.items, turned.classes, turned.label_values)
    assert back.slice_axis == "coarsest"


def test_changed_images_are_refused(started):
    refused(started, run_json(), pool_json(**{"b.nii": "other"}), r"other images: that of 'b/0000' has changed.*b\.nii")


def test_a_label_may_change_or_come_later(tmp_path):
    pool = pool_of()
    unlabeled = pool.with_items(replace(i, label=None) if i.volume == "b" else i for i in pool)
    hashes = {p: "h" for i in pool for p in (i.image, i.label)}
    folder = RunFolder(tmp_path)
    folder.start(run_json(), pool_to_json(unlabeled, hashes))
    before = content(folder.path)
    for later in (hashes, hashes | {"/data/b_l.nii": "corrected"}):
        folder.start(run_json(), pool_to_json(pool, later))
    assert content(folder.path) == before


def test_the_data_set_may_move(started):
    before = content(started.path)
    moved = pool_of("/elsewhere/data")
    started.start(run_json(), pool_json(moved))
    assert content(started.path) == before


def test_rounds_grow_and_budget_is_extended_at_its_end(started):
    folder, before = started, content(started.path)
    folder.start(run_json(rounds=3, budget=1, sizes=(1, 1, 1)), pool_json())
    folder.start(run_json(rounds=4, budget=[1, 1, 1, 2], sizes=(1, 1, 1, 2)), pool_json())
    after = content(folder.path)
    assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == ["extension_00.json", "extension_01.json"]
    logged = json.loads((folder.path / "extension_01.json").read_text())
    assert (logged["rounds"], logged["budget"], logged["sizes"]) == (4, [1, 1, 1, 2], [1, 1, 1, 2])
    assert logged["when"]
    folder.start(run_json(rounds=4, budget=[1, 1, 1, 2], sizes=(1, 1, 1, 2)), pool_json())
    assert content(folder.path) == after


def test_sizes_are_what_was_asked_last(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"run\.json"):
        folder.sizes()
    sizes = [1, 1]
    for rounds in range(2, 15):
        folder.start(run_json(rounds, 1, sizes), pool_json())
        assert folder.sizes() == RunFolder(str(folder.path)).sizes() == sizes
        sizes = [*sizes, rounds]
    trained(folder)
    assert len(list(folder.path.glob("extension_*.json"))) == 12
    assert json.loads((folder.path / "run.json").read_text())["sizes"] == [1, 1]
    before, sizes = content(folder.path), folder.sizes()
    with pytest.raises(RunFolderError):
        folder.start(run_json(2, 1, [1, 1]), pool_json())
    assert (content(folder.path), folder.sizes()) == (before, sizes)


@pytest.mark.parametrize(
    ("rounds", "budget", "sizes"),
    [(1, 1, (1,)), (2, 2, (2, 2)), (2, [1, 2], (1, 2)), (3, [2, 1, 1], (2, 1, 1)), (3, [1, 2, 3], (1, 2, 3))],
)
def test_other_rounds_and_budgets_are_refused(started, rounds, budget, sizes):
    refused(started, run_json(rounds, budget, sizes), pool_json(), r"started with rounds of \[1, 1\] items, now")


def test_an_extension_counts_as_asked(started):
    started.start(run_json(rounds=4, sizes=(1, 1, 1, 1)), pool_json())
    refused(started, run_json(), pool_json(), r"rounds of \[1, 1, 1, 1\] items, now \[1, 1\]")
    refused(started, run_json(rounds=4, budget=[1, 1, 2, 2], sizes=(1, 1, 2, 2)), pool_json(), r"now \[1, 1, 2, 2\]")


HANDED = {  # what a folder without a model holds -> whether somebody may miss it
    "nothing": (lambda folder: None, False),
    "a query that the oracle answered": (lambda folder: folder.write_labels(0, [Label("a/0000")], "oracle"), False),
    "labels of a person": (lambda folder: folder.write_labels(0, [Label("a/0000")], "someone"), True),
    "work for a person": (lambda folder: (folder.path / "annotate" / "round_00").mkdir(parents=True), True),
    "a model": (lambda folder: trained(folder), True),
}


@pytest.mark.parametrize("more", HANDED)
@pytest.mark.parametrize("changed", ["config", "pool", "sizes"])
def test_a_folder_that_nobody_would_miss_starts_afresh_with_what_is_asked_now(
    tmp_path, caplog, monkeypatch, more, changed
):
    monkeypatch.setattr(logging.getLogger("monai_al"), "propagate", True)  # a bundle's logging.conf turns it off
    monkeypatch.setattr(logging.getLogger("monai_al"), "handlers", [])  # where pytest listens, too
    folder = RunFolder(tmp_path / "run")
    folder.start(run_json() | {"annotator": "oracle"}, pool_json())
    folder.write_query(Query(0, "random", 0, (QueryItem("a/0000"),)))
    write, missed = HANDED[more]
    write(folder)
    (folder.path / "log.txt").write_text("a warning")
    asked = {
        "config": (run_json(config=changed_config("training", "lr", value=0.2)), pool_json()),
        "pool": (run_json(), pool_json(without(pool_of(), "b/0001"))),
        "sizes": (run_json(rounds=1, sizes=(1,)), pool_json()),
    }[changed]
    if missed:
        refused(folder, *asked, "was started with")
        return
    folder.start(*asked)
    told = "another config: training#lr was 0.1 and is now 0.2" if changed == "config" else "was started with"
    assert told in caplog.text
    assert caplog.text.rstrip().endswith("; it holds no model yet, so it starts afresh")
    assert sorted(content(folder.path)) == ["log.txt", "pool.json", "run.json"]
    assert not (folder.path / "round_00").exists()
    assert json.loads((folder.path / "run.json").read_text())["sizes"] == list(asked[0]["sizes"])
    caplog.clear()
    folder.start(*asked)  # which is the same again
    assert caplog.text == ""


def test_a_query_that_waits_for_a_person_is_missed(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.start(run_json() | {"annotator": "someone"}, pool_json())
    folder.start(run_json(config=changed_config("training", "lr", value=0.2)) | {"annotator": "someone"}, pool_json())
    folder.write_query(Query(0, "random", 0, (QueryItem("a/0000"),)))
    with pytest.raises(RunFolderError, match=r"training#lr was 0.2 and is now 0.1; give another output_dir, or the"):
        folder.start(run_json(), pool_json())
    (folder.path / "run.json").unlink()
    with pytest.raises(RunFolderError, match=r"holds rounds but no run\.json: restore it"):
        folder.start(run_json(), pool_json())


@pytest.mark.parametrize(
    ("names", "refused_for"),
    [
        (["thesis.docx"], r"\(thesis\.docx\)"),
        (["imagesTr/a.nii.gz", "dataset.json"], r"\(dataset\.json and 1 more\)"),
        (["images/a.png", "masks/a.png"], r"\(images and 1 more\)"),
        ([".DS_Store", ".git/config", "log.txt", "cache/images/ab/geometry.json", "process.json"], None),
        (["images/ab/geometry.json", "labels/ab/label.npy", "my cache/images/ab/geometry.json"], None),
        (["another run/run.json", "config_20260101_120000.json", "mlruns.db"], None),
        (["thesis.docx", "run.json"], None),
        ([], None),
    ],
)
def test_a_folder_of_somebody_else_is_refused(tmp_path, names, refused_for):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    folder, before = RunFolder(tmp_path), content(tmp_path)
    if refused_for:
        with pytest.raises(RunFolderError, match=f"holds what no run wrote {refused_for}: give a folder of its own by"):
            folder.lock()
        assert content(tmp_path) == before
        assert not (tmp_path / ".lock").exists()
    else:
        folder.lock()
        folder.unlock()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file: give a folder"):
        RunFolder(tmp_path / "file").lock()


def test_a_start_that_was_killed_between_its_files_starts_again(tmp_path):
    folder = RunFolder(tmp_path)
    folder.start(run_json(), pool_json())
    (tmp_path / "run.json").unlink()
    other = without(pool_of(), "b/0001")
    folder.start(run_json(), pool_json(other))
    assert len(json.loads((tmp_path / "pool.json").read_text())["items"]) == 5


@pytest.mark.parametrize("name", ["report/thesis.tex", "models/best.pt", "cache/a", "round_1/a.nii.gz", "round_01/a"])
def test_nothing_is_dropped_where_no_run_is_known(tmp_path, name):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("of somebody")
    folder = RunFolder(tmp_path)
    if name.startswith("round_"):
        with pytest.raises(RunFolderError, match=r"holds rounds but no run\.json"):
            folder.start(run_json(), pool_json())
    else:
        folder.start(run_json(), pool_json())
    assert (tmp_path / name).read_text() == "of somebody"


def test_pool_json():
    pool = Pool(
        [
            Item("a/0001", "/data/x/a.nii", "a", "p", "/data/x/a_l.nii", 1, "test"),
            Item("b", "/other/b.png", "b", "q"),
        ],
        ("background", "liver"),
        {0: 0, 5: 1, 9: 255},
        root="/data",
    )
    hashes = {"/data/x/a.nii": "1", "/data/x/a_l.nii": "2", "/other/b.png": "3"}
    assert pool_to_json(pool, hashes) == {
        "classes": ["background", "liver"],
        "label_values": {"0": 0, "5": 1, "9": 255},
        "items": [
            {"id": "a/0001", "image": "x/a.nii", "label": "x/a_l.nii", "volume": "a", "patient": "p", "slice": 1,
             "split": "test"},
            {"id": "b", "image": "/other/b.png", "label": None, "volume": "b", "patient": "q", "slice": None,
             "split": "train"},
        ],
        "files": {"x/a.nii": "1", "x/a_l.nii": "2", "/other/b.png": "3"},
    }  # fmt: skip
    with pytest.raises(KeyError):
        pool_to_json(pool, {})


configs = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=40)
@given(a=st.dictionaries(st.text(max_size=2), configs, max_size=3), b=configs)
def test_config_hash_is_that_of_the_content(a, b):
    turned = dict(reversed(list(a.items())))
    assert config_hash(a) == config_hash(turned) == config_hash(json.loads(json.dumps(a)))
    assert (config_hash(a) == config_hash(b)) is (json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True))
