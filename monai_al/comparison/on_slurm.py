# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a comparison as jobs of Slurm, by submitit, or of this machine where there is no Slurm."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.places import LOST, Job, first_line, imported
from monai_al.comparison.run_process import RunProcess, prepared
from monai_al.comparison.slurm_queue import SlurmQueue
from monai_al.comparison.state import asked_for, beside
from monai_al.records.files import read_json, write_json

__all__ = ["OnSlurm"]

_MANY = 1000  # jobs that wait for Slurm at once
_TIMEOUTS = 20  # of a job, which is queued again after each
_PATIENCE = 60.0  # seconds, for jobs that were asked to end
_LATE = 30.0  # seconds that a result may take to be seen here, after its job has ended
_GRACE = 600.0  # seconds that a scheduler may give a job to end, before it does that itself


class _Resumable:
    """A run that a scheduler may stop, to free its machine or because its time is over, and start again."""

    def __init__(self, process: RunProcess) -> None:
        self.process = process

    def __call__(self) -> int:
        code = self.process()
        if code in (-signal.SIGTERM, 128 + signal.SIGTERM) and "SLURM_JOB_ID" in os.environ:
            # the scheduler told all processes to end; a result would say that this job is done, and it may be for later
            time.sleep(_GRACE)
        return code

    def checkpoint(self) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class _SubmittedJob:
    """A job of submitit."""

    def __init__(self, job: Any) -> None:
        self.job, self.why = job, ""
        self._over_since: float | None = None

    def ended(self, *, seen: float = 0.0) -> str | None:
        """How it ended; None while it waits or runs.

        Args:
            seen: seconds for which what is known of it may be old.
        """
        raise NotImplementedError

    def ask_to_end(self) -> None:
        """Let it end soon."""
        raise NotImplementedError

    def has_result(self) -> bool:
        return self.job.paths.result_pickle.exists()

    def is_over(self, *, seen: float = 0.0) -> bool:
        return self.has_result() or self.ended(seen=seen) is not None

    def poll(self) -> int | None:
        if self.has_result():
            try:
                return self.job.result()
            except Exception as error:  # whatever ended it there
                self.why = f"job {self.job.job_id} ended: {first_line(error)}"
                return LOST
        how = self.ended(seen=SlurmQueue.EVERY)
        if how is None:
            self._over_since = None
            return None
        if self._over_since is None:
            self._over_since = time.monotonic()
        if time.monotonic() < self._over_since + _LATE:
            return None
        self.why = f"job {self.job.job_id} ended without a result ({how}); see {self.job.paths.stderr}"
        return LOST


class _SlurmJob(_SubmittedJob):
    queue: ClassVar[SlurmQueue] = SlurmQueue()

    def ended(self, *, seen: float = 0.0) -> str | None:
        return self.queue.ended(self.job.job_id, seen)

    def ask_to_end(self) -> None:
        self.job.cancel(check=False)


class _LocalJob(_SubmittedJob):
    """One of this machine."""

    def ended(self, *, seen: float = 0.0) -> str | None:
        return "its process is over" if self.job.done() else None

    def ask_to_end(self) -> None:
        os.kill(int(self.job.job_id), signal.SIGINT)


class _LeftLocalJob(_LocalJob):
    """One of this machine and of another process, which submitit does not know."""

    def ended(self, *, seen: float = 0.0) -> str | None:
        with contextlib.suppress(OSError):
            if b"submitit" in Path(f"/proc/{self.job.job_id}/cmdline").read_bytes():
                return None
        return "its process is over"


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
        under_way = self._under_way(record, asked)
        if under_way is not None:
            return under_way
        process = prepared(run)
        process.ignored = (f"SIG{self.submitit.JobEnvironment.USR_SIG}",)  # it is meant for the process around it
        try:
            job = self.executor.submit(_Resumable(process))
        except (self.submitit.core.utils.FailedJobError, subprocess.SubprocessError, OSError) as error:
            told = getattr(error, "stderr", None) or error
            raise ValueError(f"--slurm: a job was refused ({run.name}, seed {run.seed}): {first_line(told)}") from None
        write_json(record, {"job_id": job.job_id, "folder": str(self.folder.absolute()), "asked": asked})
        return _LocalJob(job) if self._is_local else _SlurmJob(job)

    def _under_way(self, record: Path, asked: Mapping[str, str]) -> _SubmittedJob | None:
        """The job of a command that was killed, where it still waits or runs; one that does something else is ended."""
        if not record.is_file():
            return None
        told = read_json(record)
        of_submitit = self.submitit.LocalJob if self._is_local else self.submitit.SlurmJob
        job = (_LeftLocalJob if self._is_local else _SlurmJob)(of_submitit(told["folder"], told["job_id"]))
        if job.is_over():
            return None
        if told["asked"] == asked:
            return job
        self.end([job])
        return None

    def end(self, jobs: Sequence[Job]) -> None:
        """See :class:`~monai_al.comparison.places.Place`."""
        own = [job for job in jobs if isinstance(job, _SubmittedJob)]
        for job in own:
            with contextlib.suppress(OSError, subprocess.SubprocessError):  # it ended meanwhile
                job.ask_to_end()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and not all(job.is_over(seen=1.0) for job in own):
            time.sleep(0.2)
