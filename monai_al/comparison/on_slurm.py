# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a comparison as jobs of Slurm, by submitit, or of this machine where there is no Slurm."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tqdm import tqdm

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.places import LOST, Job, first_line, imported
from monai_al.comparison.run_process import RunProcess, prepared
from monai_al.comparison.slurm_queue import SlurmQueue
from monai_al.comparison.state import asked_for, beside, is_done
from monai_al.records.files import read_json, write_json

__all__ = ["OnSlurm"]

_MANY = 1000  # jobs that wait for Slurm at once
_TIMEOUTS = 20  # how often a job whose time was over is queued again
_PATIENCE = 60.0  # seconds, for jobs that were asked to end
_GRACE = 1800  # seconds that a scheduler may give a job to end, before it does that itself
_HEARD = 2.0  # seconds after which a signal to all processes of a job has reached each
_ENDS_OTHERWISE = {"TERM", "INT"}  # signals that a run must hear


class _Resumable:
    """A run that a scheduler may stop, to free its machine or because its time is over, and start again.

    Such a job must give no result, which would say that it is done: Slurm may begin it once more.
    """

    folder: str | None = None

    def __init__(self, process: RunProcess, folder: str) -> None:
        self.process, self.folder = process, folder

    def __call__(self) -> int:
        job = os.environ.get("SLURM_JOB_ID")
        if job is None:
            return self.process()
        with _noticing_the_end() as told_to_end:
            code = self.process()
            if code:
                time.sleep(_HEARD)
            for _ in range(_GRACE if code and told_to_end else 0):  # until Slurm kills it
                if self.folder is not None and _ended_by_us(self.folder, job).exists():
                    break
                time.sleep(1)
        return code

    def checkpoint(self) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self)


@contextlib.contextmanager
def _noticing_the_end() -> Iterator[list[int]]:
    """Gathers the SIGTERMs that this process gets, which a scheduler sends to all processes of a job."""
    came: list[int] = []

    def hear(number: int, frame: Any) -> None:
        came.append(number)
        if callable(before):  # submitit's
            before(number, frame)

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, hear)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _ended_by_us(folder: str, job_id: str) -> Path:
    """A file that says of a job that it will not begin again."""
    return Path(folder) / f"{job_id}_ended"


class _SubmittedJob:
    """A job of submitit.

    Args:
        job: submitit's.
        folder: the run folder.
        was_done: whether that was done before; what a job adds to it may be missing then.
    """

    late: ClassVar[float] = 0.0
    """Seconds that a result may take to be seen here after the job has ended."""

    def __init__(self, job: Any, folder: Path, was_done: bool) -> None:
        self.job, self.folder, self.was_done, self.why = job, folder, was_done, ""
        self._over_since: float | None = None

    def ended(self, max_age: float = 0.0) -> str | None:
        """How it ended; None while it waits or runs.

        Args:
            max_age: how many seconds old an answer may be.
        """
        raise NotImplementedError

    def ask_to_end(self) -> None:
        """Let it end soon."""
        raise NotImplementedError

    def has_result(self) -> bool:
        return self.job.paths.result_pickle.exists()

    def is_over(self, max_age: float = 0.0) -> bool:
        return self.has_result() or self.ended(max_age) is not None

    def poll(self) -> int | None:
        """See :class:`~monai_al.comparison.places.Job`."""
        if self.has_result():
            try:
                return self.job.result()
            except Exception as error:  # whatever ended it there
                self.why = f"job {self.job.job_id} ended: {first_line(error)}"
                return LOST
        how = self.ended(SlurmQueue.EVERY)
        now = time.monotonic()
        if how is None:
            self._over_since = None
            return None
        self._over_since = now if self._over_since is None else self._over_since
        if now < self._over_since + self.late:
            return None
        if not self.was_done and is_done(self.folder):  # whose result got lost
            return 0
        self.why = f"job {self.job.job_id} ended without a result ({how}); see {self.job.paths.stderr}"
        return LOST


class _SlurmJob(_SubmittedJob):
    queue: ClassVar[SlurmQueue] = SlurmQueue()
    late: ClassVar[float] = 90.0  # a file system of a network shows new files after a minute at most

    def __init__(self, job: Any, folder: Path, was_done: bool, submitted: float = float("-inf")) -> None:
        super().__init__(job, folder, was_done)
        self.submitted = submitted  # by time.monotonic(); before this process began where it is not known
        self._told_held = False

    def ended(self, max_age: float = 0.0) -> str | None:
        how = self.queue.ended(self.job.job_id, max_age=max_age, since=self.submitted)
        if not self._told_held and self.queue.is_held(self.job.job_id):
            self._told_held = True
            tqdm.write(f"Slurm holds job {self.job.job_id}: scontrol release {self.job.job_id}", file=sys.stderr)
        return how

    def ask_to_end(self) -> None:
        with contextlib.suppress(OSError):  # without it the job ends a little later
            _ended_by_us(str(self.job.paths.folder), self.job.job_id).touch()
        self.job.cancel(check=False)

    def poll(self) -> int | None:
        code = super().poll()
        if code == LOST and not self.has_result():
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self.ask_to_end()  # so that there are never two, whatever Slurm meant
        return code


class _LocalJob(_SubmittedJob):
    """One of this machine."""

    def ended(self, max_age: float = 0.0) -> str | None:
        return "its process is over" if self.job.done() else None

    def ask_to_end(self) -> None:
        self.job.cancel(check=False)


class _LeftLocalJob(_SubmittedJob):
    """One of this machine and of another process, which submitit does not know."""

    def ended(self, max_age: float = 0.0) -> str | None:
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{self.job.job_id}/cmdline").read_bytes()
            if b"submitit" in command and os.fsencode(self.job.paths.folder) in command:
                return None
        return "its process is over"

    def ask_to_end(self) -> None:
        if self.ended() is None:
            os.kill(int(self.job.job_id), signal.SIGINT)


@dataclass
class OnSlurm:
    """Jobs of Slurm, by submitit; of this machine where there is no Slurm.

    Jobs outlive this process: the same command takes them over, and ends those that do something else. One that the
    scheduler stops, because its time is over or another one needs its machine, is queued again and goes on from its
    last complete step. All machines see the same folders. Slurm need not keep accounts of jobs.

    Args:
        folder: for what submitit writes.
        cpus: CPUs for each run.
        gpus: GPUs for each run.
        at_once: how many jobs are queued or run at once; None: 1000 on Slurm, else as many as there are cores for.
        options: further ones of ``submitit.AutoExecutor.update_parameters``, such as ``slurm_partition``.
        cluster: ``"slurm"``, ``"local"``, or None: Slurm where there is one.

    Raises:
        ValueError: submitit is not installed, or an option is unknown.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     OnSlurm(Path(folder), cpus=1000, options={"slurm_partition": "gpu"}, cluster="local").at_once
        1
    """

    folder: Path
    cpus: int = 1
    gpus: int = 0
    at_once: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    cluster: str | None = None

    def __post_init__(self) -> None:
        self.submitit = imported("submitit", "--on slurm")
        self.executor = self.submitit.AutoExecutor(
            folder=str(self.folder.absolute()), cluster=self.cluster, slurm_max_num_timeout=_TIMEOUTS
        )
        self._is_local = self.executor.cluster == "local"
        asked = {"name": "monai_al", "cpus_per_task": self.cpus, "gpus_per_node": self.gpus, "timeout_min": 24 * 60}
        try:
            self.executor.update_parameters(**{**asked, **self.options})
        except (NameError, TypeError, ValueError) as error:
            raise ValueError(f"--slurm: {first_line(error)}") from None
        if self.at_once is None:
            self.at_once = max(1, (os.cpu_count() or 1) // self.cpus) if self._is_local else _MANY

    def start(self, run: PlannedRun) -> Job:
        """See :class:`~monai_al.comparison.places.Place`."""
        record, asked = beside(run, ".job.json"), asked_for(run)
        under_way = self._under_way(run, record, asked)
        if under_way is not None:
            return under_way
        process, was_done = prepared(run), is_done(run.folder)
        warning = self.submitit.JobEnvironment.USR_SIG  # to all processes of a job, meant for the one around the run
        process.ignored = () if warning in _ENDS_OTHERWISE else (f"SIG{warning}",)
        try:
            job = self.executor.submit(_Resumable(process, str(self.folder.absolute())))
        except (self.submitit.core.utils.FailedJobError, subprocess.SubprocessError, OSError) as error:
            told = getattr(error, "stderr", None) or error
            raise ValueError(f"--slurm: a job was refused ({run.name}, seed {run.seed}): {first_line(told)}") from None
        told = {"job_id": job.job_id, "folder": str(self.folder.absolute()), "asked": asked, "was_done": was_done}
        write_json(record, told)
        if self._is_local:
            return _LocalJob(job, run.folder, was_done)
        return _SlurmJob(job, run.folder, was_done, time.monotonic())

    def _under_way(self, run: PlannedRun, record: Path, asked: Mapping[str, str]) -> _SubmittedJob | None:
        """The job of a command that was killed, where it still waits or runs; one that does something else is ended."""
        if not record.is_file():
            return None
        told = read_json(record)
        of_submitit = self.submitit.LocalJob if self._is_local else self.submitit.SlurmJob
        kind = _LeftLocalJob if self._is_local else _SlurmJob
        job = kind(of_submitit(told["folder"], told["job_id"]), run.folder, told.get("was_done", True))
        if not job.is_over(SlurmQueue.EVERY) and told["asked"] == asked:
            return job
        if not job.has_result():  # also of one that is over, which Slurm may begin again
            self.end([job])
        return None

    def end(self, jobs: Sequence[Job]) -> None:
        """See :class:`~monai_al.comparison.places.Place`."""
        own = [job for job in jobs if isinstance(job, _SubmittedJob)]
        for job in own:
            with contextlib.suppress(OSError, subprocess.SubprocessError):  # it ended meanwhile
                job.ask_to_end()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and not all(job.is_over(1.0) for job in own):
            time.sleep(0.2)
