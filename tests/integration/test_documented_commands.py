# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands of the README and of the quick start, typed one after the other where the data that they name lie."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_al.datasets import phantom

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_HERE = ("make", "pip", "source", "python3", "python -m monai_al annotate")  # run by CI, or in a window
SHORT = {  # after the words of a command, what makes it short
    "run active_learning --training_config": "--epochs 1 --network_def#channels [2,4,4] --num_workers 0 --device cpu",
    "run active_learning/inference": "--device cpu",
    "run": "--steps 2 --device cpu",
    "check": "--network_def#channels [2,4,4] --num_workers 0 --device cpu",
}


def commands(page):
    """The commands of a page, without comments and with continued lines as one."""
    text = "\n".join(BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))).replace("\\\n", " ")
    lines = [line.partition("   #")[0].partition("    #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", *NOT_HERE))]


def shortened(command):
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "monai_al"], command
    key = next((key for key in SHORT if " ".join(words[3:]).startswith(key)), None)
    short = iter(shlex.split(SHORT.get(key, "")))
    for name, value in zip(short, short, strict=True):
        place = words.index(name) if name in words else len(words)
        words[place : place + 2] = [name, value]
    return words[3:]


@pytest.fixture
def place(tmp_path):
    """A folder with what the commands name."""
    write = runpy.run_path(str(ROOT / "tests" / "bundles" / "test_foreign_bundles.py"))["WRITE"]["hippocampus_3d"]
    for name in ("Task04_Hippocampus", "their_data"):
        write(tmp_path / name, np.random.default_rng(0))
    shutil.copytree(ROOT / "tests" / "foreign_bundles" / "hippocampus_3d", tmp_path / "their_bundle")
    drawn = phantom(tmp_path / "drawn", patients=3, volumes_per_patient=1, shape=(32, 32, 8))
    (tmp_path / "scans").mkdir()
    for image in {item.image for item in drawn}:
        shutil.copy(image, tmp_path / "scans")
    shutil.copytree(tmp_path / "Task04_Hippocampus" / "imagesTr", tmp_path / "new_scans")
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", "docs/quick_start.md"])
def test_there_are_commands(page):
    assert len(commands(page)) >= 4


@pytest.mark.nightly
@pytest.mark.parametrize("page", ["README.md", "docs/quick_start.md"])
def test_every_command_works_as_it_is_written(page, place):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for command in commands(page):
        words = [sys.executable, "-m", "monai_al", *shortened(command)]
        done = subprocess.run(words, cwd=place, env=environment, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
