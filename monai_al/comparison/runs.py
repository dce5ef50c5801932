# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Do the runs of a comparison, each in a process of its own; what is done is not done again."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.plan import time_text, work_left
from monai_al.comparison.state import asked_for, asked_otherwise, beside, is_done
from monai_al.failures import stopping
from monai_al.options import literal
from monai_al.records.files import write_json

__all__ = ["run_all"]

_PATIENCE = 30.0  # seconds, for a run that was asked to stop
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_LOOKS_EVERY = 60.0  # seconds, at how far the runs are
_HEADER = "-- started at "
_TOLD = "error: "
_ERROR = re.compile(r"[\w.]+(Error|Exception|Interrupt)\b")


def run_all(planned: Sequence[PlannedRun], *, workers: int = 1, progress: bool = True) -> list[str]:
    """Do every run that is not done yet; one that was stopped goes on where it stopped.

    A run that was done with other configs or options starts again: it gets the rounds that were added, or says what
    differs. However this ends, no run goes on after it.

    Args:
        planned: the runs, in their order.
        workers: how many at once; give each ``threads`` of its own then.
        progress: show a bar with the time that is left, and failures when they happen.

    Returns:
        One sentence for each run that failed: its name and the error in its log.

    Example:
        >>> run_all([])
        []
    """
    waiting = [run for run in planned if not is_done(run.folder) or asked_otherwise(run)]
    running: dict[subprocess.Popen, PlannedRun] = {}
    asked, failures = {}, []
    done = len(planned) - len(waiting)
    bar = _Bar(total=len(planned), initial=done, desc="runs", bar_format=_Bar.FORMAT, disable=not progress)
    bar.look(planned, workers)
    with bar, _ending(running):
        while waiting or running:
            while waiting and len(running) < workers:
                run = waiting.pop(0)
                asked[run.folder] = asked_for(run)
                with _signals_later():  # none comes between the start of a process and its entry
                    running[_start(run)] = run
                bar.set_postfix_str(_names(running.values()))
            time.sleep(0.1)
            for process in [process for process in running if process.poll() is not None]:
                run = running.pop(process)
                failure = _failure(run, process.returncode, asked[run.folder])
                if failure:
                    failures.append(failure)
                    if progress:
                        bar.write(failure, file=sys.stderr)
                bar.set_postfix_str(_names(running.values()), refresh=False)
                bar.look(planned, workers)
                bar.update()
            if time.monotonic() > bar.looked + _LOOKS_EVERY:
                bar.look(planned, workers)
                bar.refresh()
    return failures


class _Bar(tqdm):
    """Counts runs; the time that is left is judged by finished rounds."""

    FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}{postfix}]"
    left = "?"
    looked = float("-inf")

    def look(self, planned: Sequence[PlannedRun], workers: int) -> None:
        self.looked = time.monotonic()
        if not self.disable:
            seconds = work_left(planned).seconds_left(workers)
            self.left = "?" if seconds is None else time_text(seconds)

    @property
    def format_dict(self) -> dict[str, Any]:
        return {**super().format_dict, "left": self.left}


def _start(run: PlannedRun) -> subprocess.Popen:
    options, log = beside(run, ".json"), beside(run, ".log")
    write_json(options, {**run.options, "output_dir": literal(str(run.folder)), "progress": False})
    files = [*run.config_files, str(options)]
    with open(log, "a", encoding="utf-8") as file:
        print(f"{_HEADER}{time.strftime('%Y-%m-%d %H:%M:%S')}", file=file, flush=True)
        return subprocess.Popen(
            [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=_end_with_parent(),  # noqa: PLW1509, it only makes two system calls
        )


def _failure(run: PlannedRun, code: int, asked: Mapping[str, str]) -> str | None:
    if code == 0 and is_done(run.folder):
        write_json(beside(run, ".done.json"), asked)
        return None
    log = beside(run, ".log")
    why = _why(log.read_text(encoding="utf-8", errors="replace"))
    return f"{_names([run])} ended with code {code}: {why} (all of it in {log})"


def _why(log: str) -> str:
    """The error that the last process in a log told, or ended with, without those that followed; else its last line."""
    lines = [line for line in log[log.rindex(_HEADER) :].splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(_TOLD)]
    if told:
        return told[-1]
    return next((line for line in lines if _ERROR.match(line)), lines[-1])


def _names(runs: Iterable[PlannedRun]) -> str:
    return "; ".join(f"{run.name}, seed {run.seed}" for run in runs)


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Signals that stop a command take effect after the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
    before = {kind: signal.signal(kind, lambda number, frame: came.append(number)) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
    if came:
        signal.raise_signal(came[0])


@contextlib.contextmanager
def _ending(processes: dict[subprocess.Popen, PlannedRun]) -> Iterator[None]:
    """End the processes that are left, also after Ctrl-C, a SIGTERM or a terminal that is closed."""
    with stopping():
        try:
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(timeout=_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """What a new process does first, so that it ends with this one, also where this one is killed; Linux alone can."""
    if not sys.platform.startswith("linux"):
        return None
    control, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask_kernel() -> None:
        control(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM))
        if os.getppid() != parent:  # it was killed meanwhile
            os._exit(128 + signal.SIGTERM)

    return ask_kernel
