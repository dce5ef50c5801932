# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What Slurm says of the jobs of this user."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import ClassVar

__all__ = ["SlurmQueue"]

_ENDS = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT",
}  # fmt: skip


class SlurmQueue:
    """The states of all jobs of this user, of one ``squeue`` for all of them.

    submitit asks ``sacct``, every ten minutes: where Slurm keeps no accounts, a job that was killed would be waited for
    forever.

    Args:
        ask: gives the state of each job, or None where Slurm does not answer.

    Example:
        >>> queue = SlurmQueue(lambda: {"17": "OUT_OF_MEMORY", "18": "RUNNING"})
        >>> queue.ended("17"), queue.ended("18")
        ("Slurm's state: OUT_OF_MEMORY", None)
    """

    EVERY: ClassVar[float] = 10.0
    """Seconds after which it is worth asking again."""

    def __init__(self, ask: Callable[[], dict[str, str] | None] | None = None) -> None:
        self._ask = ask or _states
        self._asked = float("-inf")
        self._states: dict[str, str] | None = None

    def ended(self, job_id: str, seen: float = 0.0) -> str | None:
        """How a job ended, as Slurm calls it.

        Args:
            job_id: Slurm's number of the job.
            seen: for how many seconds the last answer counts.

        Returns:
            None while it waits or runs, or where Slurm does not answer.
        """
        if time.monotonic() > self._asked + seen:
            self._states = self._ask()
            self._asked = time.monotonic()
        if self._states is None:
            return None
        state = self._states.get(job_id)
        if state is None:
            return "Slurm does not know it any more"
        return f"Slurm's state: {state}" if state in _ENDS else None


def _states() -> dict[str, str] | None:
    """Job -> state; None where Slurm does not answer."""
    command = ["squeue", "--noheader", "--states=all", "--format=%A %T", f"--user={os.getuid()}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split()[:2] for line in done.stdout.splitlines() if len(line.split()) > 1)
