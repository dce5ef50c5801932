# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the runs of a comparison are done: in processes here, or elsewhere."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.run_process import end, prepared, start
from monai_al.moved import moved

__all__ = ["LOST", "Here", "Job", "Place", "first_line", "imported"]

LOST = 1  # exit status of a run whose end nobody told


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


def imported(package: str, option: str) -> Any:
    """A package that an option needs.

    Args:
        package: its name, which is that of our extra, too.
        option: what needs it.

    Raises:
        ValueError: it is not installed.

    Example:
        >>> imported("json", "--on json").__name__
        'json'
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ValueError(
            f"{option} needs {package}, which is not installed: pip install 'monai_al[{package}]'"
        ) from None


def first_line(error: object) -> str:
    """What an error says first.

    Example:
        >>> first_line(ValueError("no luck, at line 3"))
        'no luck, at line 3'
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


__getattr__ = moved(
    __name__,
    {
        "OnRay": "monai_al.comparison.on_ray",
        "OnSlurm": "monai_al.comparison.on_slurm",
        "_Resumable": "monai_al.comparison.on_slurm",  # of jobs that are queued
    },
)
