# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a comparison on Ray, with a stand-in for MONAI's command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from monai_al.comparison import on_ray
from monai_al.comparison.on_ray import OnRay

ROOT = Path(__file__).parents[2]


def test_a_run_that_ray_has_lost_is_told():
    class RayError(Exception):
        pass

    def lost(task):
        raise RayError("The worker died.\nmore")

    ray = SimpleNamespace(
        wait=lambda tasks, timeout: (tasks, []), get=lost, exceptions=SimpleNamespace(RayError=RayError)
    )
    job = on_ray._RayJob(ray, "task")
    assert (job.poll(), job.why) == (1, "Ray lost it: The worker died.")


@pytest.mark.parametrize(
    ("address", "mode", "told"), [("a:1", None, True), ("auto", None, False), ("a:1", "token", True)]
)
def test_what_a_cluster_may_want_is_told(monkeypatch, address, mode, told):
    errors = SimpleNamespace(RayError=type("RayError", (Exception,), {}))

    def init(**options):
        raise errors.RayError("no answer") if mode else ConnectionError("no answer")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, is_initialized=bool, exceptions=errors))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(ValueError, match=rf"--address {address}: no Ray cluster answers there \(no answer\)") as error:
        OnRay(address)
    assert ("RAY_AUTH_MODE=token" in str(error.value)) == told


RAY = """
import sys, threading, time
from pathlib import Path
from monai_al.comparison import on_ray, run_all, Comparison
from monai_al.comparison.on_ray import OnRay

out, stand_in, kill = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "kill"
real = on_ray.prepared
def prepared(run):
    process = real(run)
    process.python = stand_in
    return process
on_ray.prepared = prepared
once = "\\nif len(list(folder.glob('pid_*'))) == 1: time.sleep(60)" if kill else ""
do = {"a": once, "b": "sys.exit('error: no luck')"}
runs = {name: {"overlays": (), "options": {"do": text}} for name, text in do.items()}
planned = Comparison("a", str(out / "al.yaml"), options={"rounds": 1}, runs=runs, seeds=(0,)).planned(out / "runs")
print(run_all(planned, place=OnRay(cpus=1), progress=False))
"""


@pytest.mark.nightly
@pytest.mark.parametrize("what", ["run", "kill"])
def test_ray(tmp_path, stand_in, what):
    """Ray is started in a process of its own; a worker that is killed costs no run."""
    pytest.importorskip("ray")
    (tmp_path / "al.yaml").write_text("{}")
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(RAY))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": "/tmp"}
    command = [sys.executable, str(script), str(tmp_path), str(stand_in), what]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    folder = tmp_path / "runs" / "a" / "seed_0"
    if what == "kill":
        deadline = time.monotonic() + 90
        while not (pids := list(folder.glob("pid_*"))) and time.monotonic() < deadline:
            time.sleep(0.05)
        status = Path(f"/proc/{pids[0].name[4:]}/status").read_text()
        worker = int(status.split("PPid:")[1].split()[0])
        os.kill(worker, signal.SIGKILL)
    out, error = process.communicate(timeout=180)
    assert process.returncode == 0, error
    assert "b, seed 0 ended with code 1: error: no luck" in out
    assert "a, seed 0" not in out
    assert len(list(folder.glob("pid_*"))) == (2 if what == "kill" else 1)
