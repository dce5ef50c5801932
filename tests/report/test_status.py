# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from monai_al.data import DataError
from monai_al.records import Label
from monai_al.report import describe_run

RUN = {
    "schema_version": 1,
    "config": {"learner": {"strategy": "entropy", "members": 2}},
    "seed": 7,
    "strategy": "entropy",
    "annotator": "oracle",
    "items": 100,
    "rounds": 3,
    "budget": [10, 20],
    "sizes": [10, 20, 20],
    "threads": 1,
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def write_round(folder, number, *, asked=4, labeled=4, models=2, dice=0.5, hd95=12.345):
    """Files of one round; ``dice=None`` an undefined score, ``dice=False`` not evaluated."""
    place = folder / f"round_{number:02d}"
    ids = [f"v/{number}{i:03d}" for i in range(asked)]
    write(place / "query.json", {"round": number, "strategy": "entropy", "seed": 7, "items": [{"id": i} for i in ids]})
    if labeled:
        write(place / "labels" / "0000.json", {"items": ids[:labeled]})
    for member in range(models):
        write(place / f"model_{member}.pt", "weights")
    if dice is not False:
        scores = {"dice_3d": {"mean": dice}, "dice_2d": {"mean": 0.25}, "hd95_3d": {"mean": hd95}}
        write(place / "metrics.json", {"labeled": 4 * (number + 1), "fraction": 0.04 * (number + 1), **scores})


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "run.json", RUN)
    return tmp_path


def test_tells_what_was_asked(folder):
    text = describe_run(folder)
    asked = {"strategy": "entropy", "annotator": "oracle", "seed": "7", "rounds": "3", "budget": "10, 20"}
    asked |= {"items": "100", "members": "2", "sizes": "10, 20, 20"}
    for key, value in asked.items():
        assert re.search(rf"^  {key} +{value}$", text, re.M), key
    assert "round 0 has not begun" in text
    assert "No process uses the folder." in text
    assert "Start the same command again" in text


def test_table_has_one_row_per_round_and_dashes(folder):
    write_round(folder, 0)
    write_round(folder, 1, dice=None, hd95=None)
    write_round(folder, 2, labeled=1, models=1, dice=False)
    text = describe_run(str(folder))
    rows = [line.split() for line in text.splitlines() if re.match(r"  +\d ", line)]
    assert rows == [
        ["0", "4", "4.0", "%", "0.5000", "0.2500", "12.35"],
        ["1", "8", "8.0", "%", "–", "0.2500", "–"],
        ["2", "–", "–", "–", "–", "–"],
    ]
    assert not re.search(r"\bnan\b|\bNone\b|\bnull\b|\binf\b", text)
    assert "Round 2 holds:" in text
    assert "query     4 items" in text
    assert "labels    1 of 4 items labeled, waiting for v/2001, v/2002, v/2003" in text
    assert "models    1 of 2" in text
    assert "metrics   –" in text
    assert "3 items of round 2 wait for labels" in text


def test_done_run_says_how_to_add_rounds(folder):
    for number in range(3):
        write_round(folder, number)
    assert "All 3 rounds are done" in describe_run(folder)
    write(folder / "extension_00.json", {"rounds": 4, "budget": [10, 20], "sizes": [10, 20, 20, 20], "when": "now"})
    text = describe_run(folder)
    assert "All" not in text
    assert re.search(r"^  rounds +4$", text, re.M)


def test_live_process_is_named(folder):
    user = {"pid": os.getpid(), "host": socket.gethostname(), "since": "2026-01-01"}
    write(folder / "process.json", user)
    text = describe_run(folder)
    assert f"In use by process {os.getpid()} on {socket.gethostname()} since 2026-01-01." in text
    assert "Wait for it" in text
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write(folder / "process.json", user | {"pid": ended.pid})
    text = describe_run(folder)
    assert f"process {ended.pid} on" in text
    assert "has ended before its run was done" in text
    assert "Start the same command again" in text
    write(folder / "process.json", user | {"host": "elsewhere"})
    assert "another machine" in describe_run(folder)


def test_reads_only(folder):
    write_round(folder, 0)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    describe_run(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere is no folder"):
        describe_run(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no run\.json"):
        describe_run(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["run.json", "process.json", "extension_00.json", "round_00/query.json", "round_00/metrics.json"]
    + ["round_00/labels/0000.json"],
)
@pytest.mark.parametrize("content", ['{"items": [', "[]", "3"])
def test_broken_file_is_named(folder, name, content):
    write_round(folder, 0)
    write(folder / name, content)
    with pytest.raises(DataError, match=re.escape(str(folder / name))):
        describe_run(folder)


@pytest.mark.parametrize("content", ["{}", '{"items": 3}', '{"items": [{}]}', '{"items": ["a"]}'])
def test_query_without_items_is_named(folder, content):
    write(folder / "round_00" / "query.json", content)
    with pytest.raises(DataError, match=r"query\.json names no items"):
        describe_run(folder)


def test_needs_neither_torch_nor_monai(folder):
    write_round(folder, 0)
    code = (
        f"import sys; from monai_al.report import describe_run; describe_run({str(folder)!r}); "
        "assert not {'torch', 'monai', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reads_what_a_run_folder_writes(tmp_path):
    from monai_al.data import Item, Pool, Query, QueryItem, RunFolder, pool_to_json

    pool = Pool([Item(i, i, i, i) for i in "abc"])
    run = RunFolder(tmp_path)
    run.lock()
    run.start(RUN, pool_to_json(pool, dict.fromkeys("abc", "hash")))
    run.write_query(Query(0, "entropy", 7, (QueryItem("a"), QueryItem("b"))))
    run.write_labels(0, [Label("a")], "oracle")
    text = describe_run(tmp_path)
    assert f"In use by process {os.getpid()}" in text
    assert "1 of 2 items labeled, waiting for b" in text
    run.unlock()
    assert "No process uses the folder." in describe_run(tmp_path)
