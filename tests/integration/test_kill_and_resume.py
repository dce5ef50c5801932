# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run that is killed at any point and started again ends with the files of a run that was never killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("step", "strategy", "n_files"),
    [
        (12, "selective", 6),
        pytest.param(1, "selective", 6, marks=pytest.mark.nightly),
        pytest.param(1, "ceal", 7, marks=pytest.mark.nightly),  # one of them the pseudo labels
    ],
    ids=["a sample", "all", "all, with pseudo labels"],
)
def test_killed_at_any_point(tmp_path, step, strategy, n_files):
    script = Path(__file__).with_name("kill_points.py")
    line = [sys.executable, str(script), str(tmp_path), str(step), strategy]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *points, whole = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(whole["files"]) == n_files
    kinds = {point["point"].split(",")[0] for point in points}
    assert kinds == {"training", "scoring", "evaluating", "writing"}
    assert len(points) >= (15 if step == 1 else 4)
    for point in points:
        assert point["signal"] == signal.SIGKILL, f"{point['point']}: was never reached"
        assert not point["differ"], f"{point['point']}: {point['differ']}"
        assert not point["changed"], f"{point['point']}: {point['changed']}"
        assert not point["left"], f"{point['point']}: left {point['left']}"
