# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a comparison as tasks of a Ray cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.places import LOST, Job, first_line, imported
from monai_al.comparison.run_process import RunProcess, prepared

__all__ = ["OnRay"]

_RETRIES = 3  # of a run whose machine was lost; it goes on from its last complete step


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
            self.why = f"Ray lost it: {first_line(error)}"
            return LOST


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
        ray = imported("ray", "--on ray")
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, logging_level="error", include_dashboard=False)
            except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
                raise ValueError(
                    f"--address {address}: no Ray cluster answers there ({first_line(error)}){_about_tokens(address)}"
                ) from None
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


def _about_tokens(address: str | None) -> str:
    """What helps where a cluster wants a token: Ray sends none to an address of its own accord."""
    if (address or os.environ.get("RAY_ADDRESS")) in (None, "auto", "local"):
        return ""
    return (
        "; if that one wants a token, as clusters of new versions of Ray do, set RAY_AUTH_MODE=token, and its token as "
        "RAY_AUTH_TOKEN or in the file ~/.ray/auth_token"
    )


class _KilledError(Exception):
    """Something ended the process of a run by force, such as a machine that is out of memory."""


def _do(process: RunProcess) -> int:
    code = process()
    if code == -signal.SIGKILL:
        raise _KilledError(f"its process was killed; its log is {process.log}")
    return code
