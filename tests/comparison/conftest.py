# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Run folders of comparisons, written without training, and runs with a stand-in for MONAI's command."""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch

from monai_al.comparison import Comparison, on_slurm

N_ITEMS = 400
SIZES = [20, 20, 40]


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _write_run(
    folder, scores, *, sizes=None, initial=("a/0001", "b/0002"), pool=None, weights=None, seconds=None, price=1.0,
    test_labels=None, **record
):  # fmt: skip
    """A run folder with one round for each score: a 3D Dice, or metric -> value.

    ``record`` is more of run.json, ``weights`` those of the first model, ``seconds`` the time of each round.
    """
    sizes = sizes or SIZES[: len(scores)]
    _write(folder / "run.json", {"schema_version": 1, "sizes": sizes, "rounds": len(sizes), **record})
    if pool is not None:
        _write(folder / "pool.json", pool)
    for number, score in enumerate(scores):
        labeled = sum(sizes[: number + 1])
        items = [{"id": id, "score": None} for id in initial] if number == 0 else [{"id": f"c/{number:04d}"}]
        place = folder / f"round_{number:02d}"
        _write(
            place / "query.json", {"round": number, "strategy": "s" if number else "random", "seed": 0, "items": items}
        )
        own = {"dice_3d": score, "dice_2d": 0.999, "hd95_3d": None} | (score if isinstance(score, dict) else {})
        metrics = {"labeled": labeled, "fraction": labeled / N_ITEMS, "cost": {"total": price * labeled}}
        metrics |= {} if test_labels is None else {"test_labels": test_labels}
        metrics |= {name: {"mean": own[name], "per_class": {}} for name in ("dice_3d", "dice_2d", "hd95_3d")}
        metrics["dice_3d"]["per_class"] = {"liver": own["dice_3d"]}
        _write(place / "metrics.json", metrics)
        if seconds is not None:
            _write(place / "timings.json", {"train_s": seconds[number]})
    if weights is not None:
        torch.save({"model": weights}, folder / "round_00" / "model_0.pt")


def _write_all(root, curves, **more):
    """``curves``: (name, seed) -> score of each round; "all" stands for the run on everything."""
    for (name, seed), scores in curves.items():
        _write_run(root / name / f"seed_{seed}", scores, sizes=[N_ITEMS] if name == "all" else None, **more)


@pytest.fixture(scope="session")
def write_run():
    return _write_run


@pytest.fixture(scope="session")
def write_all():
    return _write_all


STAND_IN = """#!{python} -S
import ast, json, os, sys, time
from pathlib import Path

options = json.loads(Path(ast.literal_eval(sys.argv[5])[-1]).read_text())
folder = Path(options["output_dir"])
folder.mkdir(parents=True, exist_ok=True)
(folder / f"pid_{{os.getpid()}}").write_text("")
exec(options.get("do", ""))
(folder / "run.json").write_text('{{"sizes": [4]}}')
(folder / "round_00").mkdir(exist_ok=True)
(folder / "round_00" / "metrics.json").write_text('{{"dice_3d": {{"mean": 0.5}}}}')
"""


@pytest.fixture
def stand_in(tmp_path):
    """A file that does what a run's option ``do`` says, in place of Python."""
    path = tmp_path / "stand_in"
    path.write_text(STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.fixture
def runs(tmp_path, monkeypatch, stand_in):
    """``runs(name=what it does, ...)``: planned runs whose command is a stand-in."""
    (tmp_path / "al.yaml").write_text("{}")
    real = on_slurm.prepared

    def prepared(run):
        process = real(run)
        process.python = str(stand_in)
        return process

    monkeypatch.setattr(on_slurm, "prepared", prepared)

    def planned(**do):
        own = {name: {"overlays": (), "options": {"do": text}} for name, text in do.items()}
        return Comparison("a", str(tmp_path / "al.yaml"), options={"rounds": 1}, runs=own, seeds=(0,)).planned(
            tmp_path / "out"
        )

    return planned


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """``answers(text)``: what squeue prints from now on, where it is asked for all jobs of the user."""
    command = tmp_path / "bin" / "squeue"
    command.parent.mkdir()
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SQUEUE_PARTITION", "another")
    asked = f"--all --noheader --states=all --format=%A %T %r --user={os.getuid()}"

    def say(text):
        lines = [
            "#!/bin/sh",
            f"echo >> {tmp_path}/asked",
            f'[ "$*" = "{asked}" ] && [ -z "$SQUEUE_PARTITION" ] || exit 1',
            "exit 1" if text is None else f"printf '{text}'",
        ]
        command.write_text("\n".join(lines))
        command.chmod(0o755)

    say(None)
    return say
