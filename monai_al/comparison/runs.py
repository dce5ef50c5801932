# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Do the runs of a comparison, here or elsewhere; what is done is not done again."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.places import Here, Job, Place
from monai_al.comparison.plan import time_text, work_left
from monai_al.comparison.run_process import failure
from monai_al.comparison.state import asked_for, asked_otherwise, is_done
from monai_al.failures import stopping

__all__ = ["run_all"]

_LOOKS_EVERY = 60.0  # seconds, at how far the runs are


def run_all(
    planned: Sequence[PlannedRun], *, workers: int = 1, progress: bool = True, place: Place | None = None
) -> list[str]:
    """Do every run that is not done yet; one that was stopped goes on where it stopped.

    A run that was done with other configs or options starts again: it gets the rounds that were added, or says what
    differs. However this ends, no run goes on after it.

    Args:
        planned: the runs, in their order.
        workers: how many at once; give each ``threads`` of its own then.
        progress: show a bar with the time that is left, and failures when they happen.
        place: where they are done; default: in as many processes here.

    Returns:
        One sentence for each run that failed: its name and the error in its log.

    Example:
        >>> run_all([])
        []
    """
    place = Here(workers) if place is None else place
    waiting = [run for run in planned if not is_done(run.folder) or asked_otherwise(run)]
    running: dict[Job, PlannedRun] = {}
    asked, failures = {}, []
    done = len(planned) - len(waiting)
    bar = _Bar(total=len(planned), initial=done, desc="runs", bar_format=_Bar.FORMAT, disable=not progress)
    bar.look(planned, place.at_once)
    with bar, _ending(place, running):
        while waiting or running:
            while waiting and len(running) < place.at_once:
                run = waiting.pop(0)
                asked[run.folder] = asked_for(run)
                with _signals_later():  # none comes between the start of a run and its entry
                    running[place.start(run)] = run
                bar.set_postfix_str(_names(running.values()))
            time.sleep(0.1)
            for job, code in [(job, job.poll()) for job in running]:
                if code is None:
                    continue
                run = running.pop(job)
                failed = failure(run, code, asked[run.folder], job.why)
                if failed:
                    failures.append(failed)
                    if progress:
                        bar.write(failed, file=sys.stderr)
                bar.set_postfix_str(_names(running.values()), refresh=False)
                bar.look(planned, place.at_once)
                bar.update()
            if time.monotonic() > bar.looked + _LOOKS_EVERY:
                bar.look(planned, place.at_once)
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
def _ending(place: Place, running: dict[Job, PlannedRun]) -> Iterator[None]:
    """End the runs that are left, also after Ctrl-C, a SIGTERM or a terminal that is closed."""
    with stopping():
        try:
            yield
        finally:
            place.end(list(running))
