# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a comparison on Ray, by submitit and on Slurm, with a stand-in for MONAI's command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from monai_al.commands import main
from monai_al.comparison import Comparison, on_ray, on_slurm, run_all, run_process
from monai_al.comparison.on_ray import OnRay
from monai_al.comparison.on_slurm import OnSlurm
from monai_al.comparison.run_process import RunProcess
from monai_al.comparison.slurm_queue import SlurmQueue
from monai_al.comparison.state import asked_for, beside

ROOT = Path(__file__).parents[2]
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
WAITING = "(folder / 'waits').write_text('')\nwhile (folder / 'waits').exists(): time.sleep(0.02)"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """``runs(name=what it does, ...)``: planned runs whose command is a stand-in."""
    stand_in = tmp_path / "stand_in"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o755)
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


def wait_for(path, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


@pytest.mark.parametrize(("on", "package"), [(lambda: OnRay(), "ray"), (lambda: OnSlurm(Path("jobs")), "submitit")])
def test_a_package_that_is_missing_is_named(monkeypatch, on, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"needs {package}, which is not installed: .*monai_al\[{package}\]"):
        on()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cpus", "2"], "--cpus and --gpus are for each run on a cluster: give --on ray or --on slurm"),
        (["--on", "slurm", "--cpus", "0"], "--cpus must be at least 1, got 0"),
        (["--address", "auto"], "--address is that of a Ray cluster: give --on ray"),
        (["--on", "ray", "--slurm", "partition=gpu"], "--slurm tells more of jobs of Slurm: give --on slurm"),
        (["--on", "slurm", "--slurm", "partition"], "--slurm partition: give NAME=VALUE"),
        (["--on", "slurm", "--gpus", "0.5"], "--gpus 0.5: Slurm gives whole GPUs"),
    ],
)
def test_options_that_do_not_go_together(capsys, tmp_path, options, message):
    out = tmp_path / "out"
    assert main(["compare", "--config", "selective_uncertainty_table3", "--output_dir", str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_run_that_ray_has_lost_is_told(runs):
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
    ("address", "mode", "told"), [("a:1", None, True), ("auto", None, False), ("a:1", "token", False)]
)
def test_what_a_cluster_may_want_is_told(monkeypatch, address, mode, told):
    def init(**options):
        raise ConnectionError("no answer")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, is_initialized=lambda: False))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(ValueError, match=rf"--address {address}: no Ray cluster answers there \(no answer\)") as error:
        OnRay(address)
    assert ("RAY_AUTH_MODE=token" in str(error.value)) == told


class TestSubmitit:
    """On this machine, as where there is no Slurm."""

    @pytest.fixture
    def place(self, tmp_path):
        pytest.importorskip("submitit")
        return OnSlurm(tmp_path / "jobs", at_once=2, cluster="local")

    def test_an_unknown_option(self, tmp_path):
        pytest.importorskip("submitit")
        with pytest.raises(ValueError, match="--slurm: .*slurm_partitio"):
            OnSlurm(tmp_path, options={"slurm_partitio": "gpu"}, cluster="local")

    @pytest.mark.nightly
    def test_runs_are_done_and_failures_told(self, runs, place):
        failures = run_all(runs(a="", b="sys.exit('error: no luck')", c=""), place=place, progress=False)
        assert len(failures) == 1
        assert failures[0].startswith("b, seed 0 ended with code 1: error: no luck")

    @pytest.mark.nightly
    def test_a_killed_command_finds_its_jobs_again(self, runs, place, tmp_path):
        (planned,) = runs(a=WAITING)
        planned.folder.parent.mkdir(parents=True)
        job = place.start(planned)  # by a command that is then killed
        wait_for(planned.folder / "waits")
        threading.Timer(1.0, (planned.folder / "waits").unlink).start()
        assert run_all([planned], place=OnSlurm(tmp_path / "jobs", cluster="local"), progress=False) == []
        assert len(list(planned.folder.glob("pid_*"))) == 1
        assert json.loads(beside(planned, ".job.json").read_text())["job_id"] == job.job.job_id
        again = replace(planned, options={**planned.options, "do": ""})
        assert place.start(again).job.job_id != job.job.job_id  # that one is done

    @pytest.mark.nightly
    def test_a_job_that_does_something_else_is_ended(self, runs, place, tmp_path):
        (planned,) = runs(a=WAITING)
        planned.folder.parent.mkdir(parents=True)
        place.start(planned)
        wait_for(planned.folder / "waits")
        (before,) = planned.folder.glob("pid_*")
        other = replace(planned, options={**planned.options, "do": ""})
        assert run_all([other], place=OnSlurm(tmp_path / "jobs", cluster="local"), progress=False) == []
        assert not Path(f"/proc/{before.name[4:]}").exists()
        assert len(list(planned.folder.glob("pid_*"))) == 2
        assert json.loads(beside(planned, ".done.json").read_text()) == asked_for(other)

    def test_a_job_that_is_refused_is_told(self, runs, place, monkeypatch):
        def refuse(job):
            raise subprocess.CalledProcessError(1, ["sbatch"], stderr="sbatch: error: invalid partition")

        monkeypatch.setattr(place.executor, "submit", refuse)
        (planned,) = runs(a="")
        with pytest.raises(ValueError, match=r"--slurm: a job was refused \(a, seed 0\): sbatch: error: invalid"):
            place.start(planned)

    def test_all_are_ended_even_if_one_cannot_be(self, place):
        ended = []

        def job(number):
            def cancel(check=True):
                ended.append(number)
                raise subprocess.CalledProcessError(1, ["scancel"])

            paths = SimpleNamespace(result_pickle=Path(__file__))
            return on_slurm._SlurmJob(SimpleNamespace(cancel=cancel, paths=paths))

        place.end([job(0), job(1)])
        assert ended == [0, 1]

    @pytest.mark.nightly
    def test_what_is_left_is_ended(self, runs, place):
        (planned,) = runs(a=WAITING)
        planned.folder.parent.mkdir(parents=True)
        job = place.start(planned)
        wait_for(planned.folder / "waits")
        place.end([job])
        assert job.poll() == 1
        (pid,) = (int(path.name[4:]) for path in planned.folder.glob("pid_*"))
        deadline = time.monotonic() + 40
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not Path(f"/proc/{pid}").exists()


class TestSlurm:
    """A stand-in answers for Slurm."""

    @pytest.fixture
    def answers(self, tmp_path, monkeypatch):
        """``answers(text)``: what squeue prints from now on; None: it fails."""
        command = tmp_path / "bin" / "squeue"
        command.parent.mkdir()
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")

        def say(text):
            command.write_text("#!/bin/sh\nexit 1\n" if text is None else f"#!/bin/sh\nprintf '{text}'\n")
            command.chmod(0o755)

        say(None)
        return say

    def test_the_state_of_a_job(self, answers):
        queue = SlurmQueue()
        assert queue.ended("7") is None  # nobody answers
        answers(r"7 RUNNING\n70 PENDING\n8 OUT_OF_MEMORY\n9 COMPLETING\n")
        assert [queue.ended(job) for job in ("7", "70", "9")] == [None, None, None]
        assert queue.ended("8") == "Slurm's state: OUT_OF_MEMORY"
        assert queue.ended("1") == "Slurm does not know it any more"
        answers(r"7 FAILED\n")
        assert queue.ended("7", seen=60) is None  # the answer of just before
        assert queue.ended("7") == "Slurm's state: FAILED"

    def test_a_job_without_a_result_is_told_after_a_while(self, answers, tmp_path, monkeypatch):
        monkeypatch.setattr(on_slurm._SlurmJob, "queue", SlurmQueue())
        monkeypatch.setattr(SlurmQueue, "EVERY", 0)
        paths = SimpleNamespace(result_pickle=tmp_path / "7.pkl", stderr=tmp_path / "7.err")
        job = on_slurm._SlurmJob(SimpleNamespace(job_id="7", paths=paths, result=lambda: 3))
        assert job.poll() is None
        answers(r"7 NODE_FAIL\n")
        assert job.poll() is None  # its result may be seen late
        answers(r"7 PENDING\n")  # Slurm begins it again
        monkeypatch.setattr(on_slurm, "_LATE", 0)
        assert job.poll() is None
        answers(r"7 NODE_FAIL\n")
        assert job.poll() == 1
        assert job.why == f"job 7 ended without a result (Slurm's state: NODE_FAIL); see {tmp_path / '7.err'}"
        paths.result_pickle.touch()
        assert job.poll() == 3

    @pytest.mark.parametrize(("code", "waits"), [(143, True), (-15, True), (1, False), (0, False), (-9, False)])
    def test_a_run_that_was_told_to_end_gives_no_result(self, monkeypatch, code, waits):
        slept = []
        monkeypatch.setattr(on_slurm.time, "sleep", slept.append)
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        assert on_slurm._Resumable(lambda: code)() == code
        assert bool(slept) == waits

    def test_a_run_does_not_hear_the_warning_of_the_scheduler(self, tmp_path):
        told = tmp_path / "told"
        python = tmp_path / "python"
        python.write_text(f"#!{sys.executable} -S\nimport os, signal\nos.kill(os.getpid(), signal.SIGUSR2)\n")
        python.chmod(0o755)
        codes = [
            run_process.start(RunProcess([], str(told), str(tmp_path / "run"), str(python), ignored=names)).wait()
            for names in ((), ("SIGUSR2",))
        ]
        assert codes == [-signal.SIGUSR2, 0]


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
def test_ray(tmp_path, what):
    """Ray is started in a process of its own; a worker that is killed costs no run."""
    pytest.importorskip("ray")
    (tmp_path / "al.yaml").write_text("{}")
    stand_in = tmp_path / "stand_in"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o755)
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
