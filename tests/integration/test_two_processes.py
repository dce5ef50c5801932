# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run of two processes ends as that of one, and goes on wherever one of them was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def printed(script, *words):
    line = [sys.executable, str(Path(__file__).with_name(script)), *map(str, words)]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.nightly
@pytest.mark.parametrize("members", [1, 2])
def test_killed_at_a_point_it_goes_on_as_if_it_were_not(tmp_path, members):
    whole, *points = printed("two_process_points.py", tmp_path, members)
    assert whole["files"] == 4 + 2 * members
    if members > 1:  # each is trained by one process
        assert whole["differ"] == []
    else:
        assert "round_00/model_0.pt" in whole["differ"]
    assert {point["point"] for point in points} == {"training", "scoring", "evaluating", "writing"}
    for point in points:
        killed, other = point["ended"][point["rank"]], point["ended"][1 - point["rank"]]
        assert killed == -signal.SIGKILL, f"{point}: was never reached"
        assert other not in (0, -signal.SIGKILL), f"{point}: the other process did not notice"
        assert point["again"] == [0, 0], point
        assert not point["differ"], point


@pytest.mark.nightly
def test_every_strategy_asks_for_what_it_asks_for_in_one_process(tmp_path):
    found = printed("two_process_strategies.py", tmp_path)
    assert len(found) > 30
    for one in found:
        assert one["ended"] == [0, 0, 0], one
        assert one["files"] >= 8, one
        assert not one["differ"], one


@pytest.mark.nightly
def test_every_kind_of_training_runs_and_a_killed_pretraining_goes_on(tmp_path):
    by_itself, another_number, *found = printed("two_process_trainings.py", tmp_path)
    assert by_itself == {"by itself": [0, 0], "left": ["best.pt", "model.pt"]}
    assert another_number == {"another number": [[0], [0, 0]], "told": True}
    trained = [one for one in found if "training" in one]
    killed = [one for one in found if "killed in" in one]
    assert len(trained) == 11
    assert len(killed) == 6
    for one in trained:
        assert one["ended"] == [0, 0], one
        assert len(one["dice"]) == 2, one
    for one in killed:
        assert one["ended"][one["rank"]] == -signal.SIGKILL, one
        assert one["ended"][1 - one["rank"]] not in (0, -signal.SIGKILL), one
        assert (one["again"], one["equal"]) == ([0, 0], True), one


@pytest.mark.nightly
def test_bundles_of_others_run(tmp_path):
    found = printed("two_process_foreign.py", tmp_path)
    assert [one["bundle"] for one in found] == [
        "hippocampus_3d", "skin_lesion_2d", "cardiac_multilabel", "python_workflow",
    ]  # fmt: skip
    for one in found:
        assert one["together"] == [0, 0], one
        assert one["processes"] == 2, one
        assert all(0 <= value <= 1 for value in one["dice"]), one
        assert one["dice"], one
        assert one["members"] == [[0], [0, 0]], one
        assert one["files"] == 4, one
        assert not one["differ"], one
