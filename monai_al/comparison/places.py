# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the runs of a comparison are done: in processes here, by Ray, or by a scheduler such as Slurm."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.run_process import RunProcess, end, prepared, start
from monai_al.comparison.state import asked_for, beside
from monai_al.records.files import read_json, write_json

__all__ = ["Here", "Job", "OnRay", "OnSlurm", "Place"]

_RETRIES = 3  # of a run whose machine was lost; it goes on from its last complete step
_LOST = 1  # exit status of a run whose end nobody told
_MANY = 1000  # jobs that wait for Slurm at once
_PATIENCE = 60.0  # seconds, for jobs that were asked to end


class Job(Protocol):
    """A run that was started.

    Example:
        >>> sorted(name for name in vars(_HereJob) if name == "poll")
        ['poll']
    """

    why: str

    def poll(self) -> int | None:
        """Its exit status; None while it runs or waits."""


class Place(Protocol):
    """Starts runs, and ends those that are left.

    Example:
        >>> place: Place = Here(at_once=3)
        >>> place.end([])
    """

    at_once: int

    def start(self, run: PlannedRun) -> Job:
        """Start a run, or take over one that is under way there."""

    def end(self, jobs: Sequence[Job]) -> None:
        """End runs that may not be done, and wait for it."""


# -- here --------------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _HereJob:
    process: subprocess.Popen
    why: str = ""

    def poll(self) -> int | None:
        return self.process.poll()


@dataclass
class Here:
    """Processes of this machine.

    Args:
        at_once: how many at once.

    Example:
        >>> Here(at_once=2).at_once
        2
    """

    at_once: int = 1

    def start(self, run: PlannedRun) -> Job:
        """See :class:`Place`."""
        return _HereJob(start(prepared(run)))

    def end(self, jobs: Sequence[Job]) -> None:
        """See :class:`Place`."""
        end([job.process for job in jobs if isinstance(job, _HereJob)])


# -- Ray ---------------------------------------------------------------------------------------------------------------


class _RayJob:
    def __init__(self, ray: Any, task: Any) -> None:
        self.ray, self.task, self.why = ray, task, ""

    def poll(self) -> int | None:
        ready, _ = self.ray.wait([self.task], timeout=0)
        if not ready:
            return None
        try:
            return self.ray.get(self.task)
        except self.ray.exceptions.RayError as error:
            self.why = f"Ray lost it: {_first_line(error)}"
            return _LOST


class OnRay:
    """A Ray cluster, or one that is started here and ends with this process.

    Where a machine or a worker is lost, Ray does its runs again, up to three times, and each goes on from its last
    complete step. All machines see the same folders.

    Args:
        address: of a cluster, as ``ray.init`` takes it; None starts one here.
        cpus: CPUs for each run.
        gpus: GPUs for each run; may be a fraction.
        at_once: how many at once, at most; None: as many as the cluster has room for.

    Raises:
        ValueError: Ray is not installed, or there is no cluster at the address.

    Example:
        >>> import inspect
        >>> {name: one.default for name, one in inspect.signature(OnRay).parameters.items()}
        {'address': None, 'cpus': 1, 'gpus': 0, 'at_once': None}
    """

    def __init__(
        self, address: str | None = None, *, cpus: float = 1, gpus: float = 0, at_once: int | None = None
    ) -> None:
        ray = _imported("ray", "--on ray")
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, logging_level="error", include_dashboard=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ValueError(f"--address {address}: no Ray cluster answers there ({error})") from None
        has = ray.cluster_resources()
        room = int(min(has.get("CPU", 0) / cpus, has.get("GPU", 0) / gpus if gpus else float("inf")))
        if room < 1:
            raise ValueError(
                f"--cpus {cpus:g} --gpus {gpus:g}: the Ray cluster has {has.get('CPU', 0):g} CPUs and "
                f"{has.get('GPU', 0):g} GPUs, which is too little for one run; ask for less"
            )
        self.ray, self.at_once = ray, min(room, at_once or room)
        again = {"max_retries": _RETRIES, "retry_exceptions": [_KilledError]}
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, **again)(_do)

    def start(self, run: PlannedRun) -> Job:
        """See :class:`Place`."""
        process = prepared(run)
        # Ray sets the number of threads by the CPUs of a task; what comes out depends on it
        process.environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")}
        return _RayJob(self.ray, self._task.remote(process))

    def end(self, jobs: Sequence[Job]) -> None:
        """See :class:`Place`."""
        tasks = [job.task for job in jobs if isinstance(job, _RayJob)]
        for task in tasks:
            self.ray.cancel(task)  # a KeyboardInterrupt there, which ends the run's process
        if tasks:
            self.ray.wait(tasks, num_returns=len(tasks), timeout=60)


class _KilledError(Exception):
    """Something ended the process of a run by force, such as a machine that is out of memory."""


def _do(process: RunProcess) -> int:
    code = process()
    if code == -signal.SIGKILL:
        raise _KilledError(f"its process was killed; its log is {process.log}")
    return code


# -- Slurm, and what else submitit knows -------------------------------------------------------------------------------


class _Resumable:
    """A run that a scheduler may stop, to free its machine or because its time is over, and start again."""

    def __init__(self, process: RunProcess) -> None:
        self.process = process

    def __call__(self) -> int:
        return self.process()

    def checkpoint(self) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class _SlurmJob:
    def __init__(self, job: Any, *, local: bool = False) -> None:
        self.job, self.local, self.why = job, local, ""

    def is_over(self) -> bool:
        if self.job.paths.result_pickle.exists():
            return True
        if self.local:  # of another process, whose jobs submitit does not know
            command = Path(f"/proc/{self.job.job_id}/cmdline")
            return not command.exists() or b"submitit" not in command.read_bytes()
        return self.job.done()

    def cancel(self) -> None:
        with contextlib.suppress(Exception):  # it ended meanwhile, or the scheduler has forgotten it
            if self.local:
                os.kill(int(self.job.job_id), signal.SIGINT)
            else:
                self.job.cancel(check=False)

    def is_known_over(self) -> bool:
        try:
            return self.is_over()
        except Exception:  # the scheduler has forgotten it
            return True

    def poll(self) -> int | None:
        if not self.is_over():
            return None
        try:
            return self.job.result()
        except Exception as error:  # whatever ended it there
            self.why = f"job {self.job.job_id} ended: {_first_line(error)}"
            return _LOST


@dataclass
class OnSlurm:
    """Jobs of Slurm, by submitit; of this machine where there is no Slurm.

    Jobs outlive this process: the same command takes them over, and ends those that do something else. One that the
    scheduler stops, because its time is over or another one needs its machine, is queued again and goes on from its
    last complete step. All machines see the same folders.

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
        self.submitit = _imported("submitit", "--on slurm")
        self.executor = self.submitit.AutoExecutor(folder=str(self.folder.absolute()), cluster=self.cluster)
        self._is_local = self.executor.cluster == "local"
        asked = {"name": "monai_al", "cpus_per_task": self.cpus, "gpus_per_node": self.gpus, "timeout_min": 24 * 60}
        try:
            self.executor.update_parameters(**{**asked, **self.options})
        except (NameError, TypeError, ValueError) as error:
            raise ValueError(f"--slurm: {_first_line(error)}") from None
        if self.at_once is None:
            self.at_once = max(1, (os.cpu_count() or 1) // self.cpus) if self._is_local else _MANY

    def start(self, run: PlannedRun) -> Job:
        """See :class:`Place`."""
        record, asked = beside(run, ".job.json"), asked_for(run)
        under_way = self._under_way(record, asked)
        if under_way is not None:
            return under_way
        try:
            job = self.executor.submit(_Resumable(prepared(run)))
        except (self.submitit.core.utils.FailedJobError, subprocess.SubprocessError, OSError) as error:
            told = getattr(error, "stderr", None) or error
            raise ValueError(f"--slurm: a job was refused ({run.name}, seed {run.seed}): {_first_line(told)}") from None
        write_json(record, {"job_id": job.job_id, "folder": str(self.folder.absolute()), "asked": asked})
        return _SlurmJob(job)

    def _under_way(self, record: Path, asked: Mapping[str, str]) -> _SlurmJob | None:
        """The job of a command that was killed, where it still waits or runs; one that does something else is ended."""
        if not record.is_file():
            return None
        told = read_json(record)
        kind = self.submitit.LocalJob if self._is_local else self.submitit.SlurmJob
        job = _SlurmJob(kind(told["folder"], told["job_id"]), local=self._is_local)
        if job.is_known_over():
            return None
        if told["asked"] == asked:
            return job
        self.end([job])
        return None

    def end(self, jobs: Sequence[Job]) -> None:
        """See :class:`Place`."""
        own = [job for job in jobs if isinstance(job, _SlurmJob)]
        for job in own:
            job.cancel()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and not all(job.is_known_over() for job in own):
            time.sleep(0.2)


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _imported(package: str, option: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise ValueError(
            f"{option} needs {package}, which is not installed: pip install 'monai_al[{package}]'"
        ) from None
