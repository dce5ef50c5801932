# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What Slurm says of the jobs of this user."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from typing import ClassVar

__all__ = ["SlurmQueue"]

_ENDS = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
_HELD = "held"  # by its user, an administrator, or because it could not be started: reasons such as JobHeldUser
_HELD_STATES = {"REQUEUE_HOLD", "SPECIAL_EXIT"}
_UNKNOWN = "Slurm does not know it any more"


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
        self._asked = self._answered = float("-inf")
        self._states: dict[str, str] | None = None

    def ended(self, job_id: str, *, max_age: float = 0.0, since: float = float("-inf")) -> str | None:
        """How a job ended, as Slurm calls it.

        Args:
            job_id: Slurm's number of the job.
            max_age: how many seconds old an answer may be.
            since: when the job was submitted, by ``time.monotonic()``; older answers do not know it.

        Returns:
            None while it waits or runs, or where Slurm does not answer.
        """
        state = self._state(job_id, max_age, since)
        return f"Slurm's state: {state}" if state in _ENDS else state if state == _UNKNOWN else None

    def is_held(self, job_id: str) -> bool:
        """Whether a job waits until somebody releases it, as of the last answer."""
        state = (self._states or {}).get(job_id)
        return state == _HELD or state in _HELD_STATES

    def _state(self, job_id: str, max_age: float, since: float) -> str | None:
        now = time.monotonic()
        if now > self._answered + max_age or self._asked < since:
            self._states, self._asked, self._answered = self._ask(), now, time.monotonic()
        return None if self._states is None else self._states.get(job_id, _UNKNOWN)


def _states() -> dict[str, str] | None:
    """Job -> state; None where Slurm does not answer."""
    command = ["squeue", "--all", "--noheader", "--states=all", "--format=%A %T %r", f"--user={os.getuid()}"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}  # which choose jobs
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=plain)
    except (OSError, subprocess.SubprocessError):
        return None
    found = {}
    for line in filter(str.strip, done.stdout.splitlines()):
        job, state, *reason = line.split(maxsplit=2)
        is_held = state == "PENDING" and re.search("h[eo]ld", " ".join(reason), re.IGNORECASE)
        found[job] = _HELD if is_held else state
    return found
