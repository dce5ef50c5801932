# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Do the runs of a comparison, each in a process of its own; what is done is not done again."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from monai_al.comparison.config import PlannedRun
from monai_al.data import RunFolder, config_hash
from monai_al.data.files import read_json, write_json

__all__ = ["asked_otherwise", "is_done", "run_all"]

_PLACES = {"cache_dir", "dataset_dir", "device", "num_workers"}  # may differ without making it another run
_HEADER = "-- started at "
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
    bar = tqdm(total=len(planned), initial=done, desc="runs", unit="run", disable=not progress)
    with bar, _ending(running):
        while waiting or running:
            while waiting and len(running) < workers:
                run = waiting.pop(0)
                asked[run.folder] = _asked(run)
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
                bar.update()
    return failures


def is_done(folder: str | Path) -> bool:
    """Whether a run folder holds all rounds that were asked for.

    Example:
        >>> is_done("no/such/folder")
        False
    """
    run = RunFolder(folder)
    return (run.path / "run.json").exists() and len(run.curve()) == len(run.sizes())


def asked_otherwise(run: PlannedRun) -> bool:
    """Whether a run was done with other configs or options than it would be now, as far as that is recorded.

    Example:
        >>> asked_otherwise(PlannedRun("random", 0, Path("no/such/folder"), (), {"seed": 0}))
        False
    """
    record = _beside(run, ".done.json")
    return record.exists() and read_json(record) != _asked(run)


def _asked(run: PlannedRun) -> dict[str, str]:
    files = [*run.config_files, Path(run.config_files[0]).with_name("train.yaml")]
    texts = [Path(file).read_text(encoding="utf-8") for file in files if Path(file).is_file()]
    return {"asked": config_hash([texts, {id: run.options[id] for id in run.options if id not in _PLACES}])}


def _start(run: PlannedRun) -> subprocess.Popen:
    options, log = _beside(run, ".json"), _beside(run, ".log")
    write_json(options, {**run.options, "output_dir": str(run.folder), "progress": False})
    files = [*run.config_files, str(options)]
    with open(log, "a", encoding="utf-8") as file:
        print(f"{_HEADER}{time.strftime('%Y-%m-%d %H:%M:%S')}", file=file, flush=True)
        return subprocess.Popen(
            [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def _failure(run: PlannedRun, code: int, asked: Mapping[str, str]) -> str | None:
    if code == 0 and is_done(run.folder):
        write_json(_beside(run, ".done.json"), asked)
        return None
    log = _beside(run, ".log")
    why = _why(log.read_text(encoding="utf-8", errors="replace"))
    return f"{_names([run])} ended with code {code}: {why} (all of it in {log})"


def _why(log: str) -> str:
    """The error that the last process in a log ended with, without those that followed from it; else its last line."""
    lines = [line for line in log[log.rindex(_HEADER) :].splitlines() if line.strip()]
    return next((line for line in lines if _ERROR.match(line)), lines[-1])


def _names(runs: Iterable[PlannedRun]) -> str:
    return "; ".join(f"{run.name}, seed {run.seed}" for run in runs)


def _beside(run: PlannedRun, suffix: str) -> Path:
    return run.folder.with_name(f"{run.folder.name}{suffix}")


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Ctrl-C and SIGTERM take effect after the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
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
    """End the processes that are left, also after Ctrl-C or a SIGTERM."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if is_main else None
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        if is_main:
            signal.signal(signal.SIGTERM, before)
