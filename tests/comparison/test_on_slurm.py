# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a comparison by submitit, here and on Slurm, with stand-ins for MONAI's command and for Slurm's."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from monai_al.comparison import on_slurm, run_all
from monai_al.comparison.on_slurm import OnSlurm
from monai_al.comparison.slurm_queue import SlurmQueue
from monai_al.comparison.state import asked_for, beside

WAITING = "(folder / 'waits').write_text('')\nwhile (folder / 'waits').exists(): time.sleep(0.02)"


def wait_for(path, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


class TestSubmitit:
    """On this machine, as where there is no Slurm."""

    @pytest.fixture
    def place(self, tmp_path):
        pytest.importorskip("submitit")
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in run_all, also where nohup ignores it
        yield OnSlurm(tmp_path / "jobs", at_once=2, cluster="local")
        signal.signal(signal.SIGINT, before)

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

    def test_all_are_ended_even_if_one_cannot_be(self, place, tmp_path):
        ended = []

        def job(number):
            def cancel(check=True):
                ended.append(number)
                raise subprocess.CalledProcessError(1, ["scancel"])

            paths = SimpleNamespace(result_pickle=Path(__file__), folder=tmp_path)
            return on_slurm._SlurmJob(
                SimpleNamespace(cancel=cancel, paths=paths, job_id=str(number)), Path("run"), False
            )

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
    def job(self, tmp_path, monkeypatch):
        """``job(submitted)``: number 7."""
        monkeypatch.setattr(on_slurm._SlurmJob, "queue", SlurmQueue())
        monkeypatch.setattr(SlurmQueue, "EVERY", 0)
        paths = SimpleNamespace(result_pickle=tmp_path / "7.pkl", stderr=tmp_path / "7.err", folder=tmp_path)
        cancelled = []
        of_submitit = SimpleNamespace(
            job_id="7", paths=paths, result=lambda: 3, cancel=lambda check: cancelled.append("7"), cancelled=cancelled
        )
        return lambda was_done=False: on_slurm._SlurmJob(of_submitit, tmp_path / "run", was_done)

    def test_a_job_without_a_result_is_told_after_a_while(self, answers, job, tmp_path, monkeypatch):
        job = job()
        assert job.poll() is None
        answers(r"7 NODE_FAIL None\n")
        assert job.poll() is None  # its result may be seen late
        answers(r"7 PENDING Priority\n")  # Slurm begins it again
        monkeypatch.setattr(on_slurm._SlurmJob, "late", 0)
        assert job.poll() is None
        assert not job.job.cancelled
        answers(r"7 NODE_FAIL None\n")
        assert job.poll() == 1
        assert job.why == f"job 7 ended without a result (Slurm's state: NODE_FAIL); see {tmp_path / '7.err'}"
        assert job.job.cancelled == ["7"]
        monkeypatch.setattr(on_slurm, "is_done", lambda folder: folder == tmp_path / "run")
        assert job.poll() == 0  # its result got lost
        (tmp_path / "7.pkl").touch()
        assert job.poll() == 3

    def test_what_was_done_before_says_nothing_of_a_job(self, answers, job, monkeypatch):
        monkeypatch.setattr(on_slurm._SlurmJob, "late", 0)
        monkeypatch.setattr(on_slurm, "is_done", lambda folder: True)
        answers(r"7 CANCELLED None\n")
        assert job(was_done=True).poll() == 1  # such as one that was to add rounds
        assert job(was_done=False).poll() == 0

    def test_a_job_is_cancelled_though_nothing_can_be_written(self, job, monkeypatch):
        monkeypatch.setattr(on_slurm, "_ended_by_us", lambda folder, job_id: Path("/dev/null/no"))
        job = job()
        job.ask_to_end()
        assert job.job.cancelled == ["7"]

    def test_whoever_listened_before_hears_it_too(self, monkeypatch, tmp_path, heard):
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        monkeypatch.setattr(on_slurm, "_HEARD", 0)
        assert on_slurm._Resumable(lambda: signal.raise_signal(signal.SIGTERM) or 0, str(tmp_path))() == 0
        assert heard == [signal.SIGTERM]

    def test_a_job_that_is_held_is_told_once(self, answers, job, capsys):
        answers(r"7 PENDING JobHeldUser\n")
        job = job()
        assert [job.poll(), job.poll()] == [None, None]
        assert capsys.readouterr().err == "Slurm holds job 7: scontrol release 7\n"

    @pytest.fixture
    def heard(self):
        """The SIGTERMs that somebody listened to before."""
        heard = []
        before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
        yield heard
        signal.signal(signal.SIGTERM, before)

    @pytest.mark.parametrize("ends", ["by Slurm", "by us"])
    @pytest.mark.usefixtures("heard")
    def test_a_run_that_was_told_to_end_gives_no_result(self, monkeypatch, tmp_path, ends):
        """The process around it waits to be killed, whatever its exit status is, unless it will not begin again."""
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        monkeypatch.setattr(on_slurm, "_HEARD", 0)

        class KilledError(Exception):
            pass

        def sleep(seconds):
            if not seconds:
                return
            if ends == "by Slurm":
                raise KilledError
            on_slurm._ended_by_us(str(tmp_path), "7").touch()

        def stopped():
            signal.raise_signal(signal.SIGTERM)
            return 2

        monkeypatch.setattr(on_slurm, "time", SimpleNamespace(sleep=sleep))
        before = signal.getsignal(signal.SIGTERM)
        run = on_slurm._Resumable(stopped, str(tmp_path))
        if ends == "by Slurm":
            with pytest.raises(KilledError):
                run()
        else:
            assert run() == 2
        assert signal.getsignal(signal.SIGTERM) == before

    @pytest.mark.parametrize("code", [0, 1, 143, -15])
    def test_a_run_that_ends_by_itself_gives_its_result(self, monkeypatch, tmp_path, code):
        monkeypatch.setattr(on_slurm, "_HEARD", 0)
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        assert on_slurm._Resumable(lambda: code, str(tmp_path))() == code

    @pytest.mark.parametrize(("warning", "ignored"), [("USR2", ("SIGUSR2",)), ("TERM", ())])
    def test_a_run_does_not_hear_the_warning_of_the_scheduler(self, runs, tmp_path, monkeypatch, warning, ignored):
        submitit = pytest.importorskip("submitit")
        monkeypatch.setattr(submitit.JobEnvironment, "USR_SIG", warning)
        place = OnSlurm(tmp_path / "jobs", cluster="local")
        submitted = []

        def submit(resumable):
            submitted.append(resumable)
            return SimpleNamespace(job_id="7", paths=None)

        monkeypatch.setattr(place.executor, "submit", submit)
        (planned,) = runs(a="")
        planned.folder.parent.mkdir(parents=True)
        place.start(planned)
        assert submitted[0].process.ignored == ignored
