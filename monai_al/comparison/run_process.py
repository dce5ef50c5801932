# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One run of a comparison as a process, wherever that is started: here, by Ray, or by a cluster's scheduler."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import filelock

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.state import beside, is_done
from monai_al.options import literal
from monai_al.records.files import write_json

__all__ = ["RunProcess", "failure", "prepared", "start"]

_PATIENCE = 30.0  # seconds, for a run that was asked to stop
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_HEADER = "-- started at "
_TOLD = "error: "
_ERROR = re.compile(r"[\w.]+(Error|Exception|Interrupt)\b")


def prepared(run: PlannedRun) -> RunProcess:
    """Write the options of a run; what starts it then.

    Args:
        run: the run.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(prepared(PlannedRun("a", 0, Path(folder) / "seed_0", ("al.yaml",), {"steps": 3})).log).name
        'seed_0.log'
    """
    options = beside(run, ".json")
    write_json(options, {**run.options, "output_dir": literal(str(run.folder)), "progress": False})
    files = [str(Path(file).absolute()) for file in (*run.config_files, options)]
    return RunProcess(files, str(beside(run, ".log").absolute()), str(run.folder.absolute()), sys.executable)


def start(process: RunProcess) -> subprocess.Popen:
    """Start a run in a process of its own, which ends with this one.

    Args:
        process: of :func:`prepared`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     start(RunProcess(["al.yaml"], f"{folder}/seed_0.log", f"{folder}/seed_0", "true")).wait()
        0
    """
    with open(process.log, "a", encoding="utf-8") as file:
        print(f"{_HEADER}{time.strftime('%Y-%m-%d %H:%M:%S')}", file=file, flush=True)
        return subprocess.Popen(
            [process.python, "-m", "monai.bundle", "run", "--config_file", str(process.files)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=process.working_dir,
            env=process.whole_environment(),
            preexec_fn=_at_first(process.ignored),  # noqa: PLW1509, it only makes some system calls
        )


class RunProcess:
    """Does a run from its beginning, or from where it stopped, and waits for it; it can be sent to another machine.

    Args:
        files: the config and all that is laid over it.
        log: the file that the run writes to.
        folder: the run folder.
        python: the interpreter.
        environment: variables that the run gets; None takes one away.
        ignored: names of signals that the run is to ignore.

    Example:
        >>> RunProcess(["al.yaml"], "seed_0.log", "seed_0", "python").folder
        'seed_0'
    """

    ignored: Sequence[str] = ()

    def __init__(
        self,
        files: Sequence[str],
        log: str,
        folder: str,
        python: str,
        environment: Mapping[str, str | None] | None = None,
        ignored: Sequence[str] = (),
    ) -> None:
        self.files, self.log, self.folder, self.python = list(files), log, folder, python
        self.environment, self.ignored = environment, tuple(ignored)
        self.working_dir = os.getcwd()  # that of the command, wherever the run is done

    def whole_environment(self) -> dict[str, str]:
        """What the process finds there."""
        asked = {**os.environ, **(self.environment or {})}
        return {name: value for name, value in asked.items() if value is not None}

    def __call__(self) -> int:
        """Do it; returns its exit status."""
        self._wait_for_another()
        process = start(self)
        try:
            return process.wait()
        finally:
            end([process])

    def _wait_for_another(self) -> None:
        """Let a process end that was doing this run, when what it ran on was lost."""
        if Path(self.folder).is_dir():
            with contextlib.suppress(filelock.Timeout), filelock.FileLock(Path(self.folder) / ".lock", timeout=60):
                pass


def end(processes: Sequence[subprocess.Popen]) -> None:
    """End processes, by a signal that lets them tidy up, then by force.

    Args:
        processes: those that may still run.

    Example:
        >>> end([])
    """
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def failure(run: PlannedRun, code: int, asked: Mapping[str, str], why: str = "") -> str | None:
    """One sentence about a run that failed, None for one that is done, which is recorded.

    Args:
        run: the run.
        code: its exit status.
        asked: what tells it from one with other options.
        why: what is known of its end beside its log.

    Example:
        >>> run = PlannedRun("random", 0, Path("no/such/folder"), (), {})
        >>> str(failure(run, 1, {})).partition(" (")[0]
        'random, seed 0 ended with code 1: it never began'
    """
    if code == 0 and is_done(run.folder):
        write_json(beside(run, ".done.json"), asked)
        return None
    log = beside(run, ".log")
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with code {code}"
    return f"{run.name}, seed {run.seed} {how}: {why or _why(text)} (all of it in {log})"


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _why(log: str) -> str:
    """The error that the last process in a log told, or ended with, without those that followed; else its last line."""
    lines = [line for line in log[max(log.rfind(_HEADER), 0) :].splitlines() if line.strip()]
    if len(lines) == 1 and lines[0].startswith(_HEADER):
        return "it told nothing"
    told = [line for line in lines if line.startswith(_TOLD)]
    if told:
        return told[-1]
    return next((line for line in lines if _ERROR.match(line)), lines[-1] if lines else "it never began")


def _at_first(ignored: Sequence[str]) -> Callable[[], None] | None:
    """What a new process does first: it ignores some signals, and ends with this one, also where this one is killed.

    Only Linux can do the latter; None where there is nothing to do, as Windows can do nothing first.
    """
    numbers = [getattr(signal, name) for name in ignored]
    control = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None
    parent = os.getpid()
    if control is None and not numbers:
        return None

    def ask_kernel() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        if control is None:
            return
        control(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM))
        if os.getppid() != parent:  # it was killed meanwhile
            os._exit(128 + signal.SIGTERM)

    return ask_kernel
