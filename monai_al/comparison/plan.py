# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What of a comparison is done, what is left, and how long that may take."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monai_al.comparison.config import PlannedRun
from monai_al.comparison.state import asked_otherwise, is_done, rounds_done
from monai_al.records import RunFolder
from monai_al.records.files import read_json

__all__ = ["WorkLeft", "time_text", "work_left", "work_text"]

_STEPS = ("train_s", "evaluate_s", "score_s", "select_s")


@dataclass(frozen=True)
class WorkLeft:
    """What is left of a comparison.

    Args:
        done: runs that have all their rounds.
        begun: runs with a part of them.
        to_come: runs that have not begun.
        otherwise: runs that are done, but were asked for otherwise and start again; not counted above.
        rounds: rounds that are left.
        timed: finished rounds whose times are known.
        seconds: what each run that is left may still take; None where no time is known.

    Example:
        >>> WorkLeft(done=1, begun=1, to_come=1, rounds=6, timed=4, seconds=(20.0, 40.0)).seconds_left(workers=2)
        40.0
    """

    done: int = 0
    begun: int = 0
    to_come: int = 0
    otherwise: int = 0
    rounds: int = 0
    timed: int = 0
    seconds: tuple[float, ...] | None = None

    @property
    def runs(self) -> int:
        """All runs."""
        return self.done + self.begun + self.to_come + self.otherwise

    def seconds_left(self, workers: int = 1) -> float | None:
        """How long it may take with so many runs at once, None where no time is known."""
        return None if self.seconds is None else max(sum(self.seconds) / workers, *self.seconds, 0.0)


def work_left(planned: Sequence[PlannedRun]) -> WorkLeft:
    """Look at the run folders.

    The time of a round is the mean over the finished rounds of the same number, of runs of the same name or, where
    there is none, of all runs; where no round of this number is finished, that of the nearest one.

    Args:
        planned: the runs.

    Example:
        >>> run = PlannedRun("random", 0, Path("no/such/folder"), (), {"rounds": 3})
        >>> work_left([run])
        WorkLeft(done=0, begun=0, to_come=1, otherwise=0, rounds=3, timed=0, seconds=None)
    """
    counts = dict.fromkeys(("done", "begun", "to_come", "otherwise"), 0)
    times: dict[str, dict[int, list[float]]] = {}
    left: list[tuple[str, range]] = []
    for run in planned:
        n, complete = rounds_done(run.folder), is_done(run.folder)
        state = "begun" if n else "to_come"
        if complete:
            state = "otherwise" if asked_otherwise(run) else "done"
        counts[state] += 1
        if state != "done":
            left.append((run.name, range(n, max(n, _rounds_asked(run)))))
        for number, seconds in _times(run.folder).items():
            times.setdefault(run.name, {}).setdefault(number, []).append(seconds)
    of_all: dict[int, list[float]] = {}
    for number, own in (entry for of_name in times.values() for entry in of_name.items()):
        of_all.setdefault(number, []).extend(own)
    timed = sum(map(len, of_all.values()))
    seconds = tuple(sum(_expected(times.get(name, of_all), number) for number in numbers) for name, numbers in left)
    return WorkLeft(
        **counts, rounds=sum(len(numbers) for _, numbers in left), timed=timed, seconds=seconds if timed else None
    )


def work_text(title: str, work: WorkLeft, workers: int = 1) -> str:
    """What is left, in words.

    Args:
        title: what is compared.
        work: of :func:`work_left`.
        workers: how many runs at once.

    Example:
        >>> print(work_text("Mine", WorkLeft(done=1, to_come=1, rounds=3, timed=3, seconds=(600.0,))))
        Mine: 1 of 2 runs done, 0 begun, 1 to come; rounds left: 3. About 10 min, judged by 3 finished rounds.
    """
    if work.done == work.runs:
        return f"{title}: all {work.runs} runs are done."
    told = f"{title}: {work.done} of {work.runs} runs done, {work.begun} begun, {work.to_come} to come"
    if work.otherwise:
        told += f", {work.otherwise} done with other configs or options, which start again"
    told += f"; rounds left: {work.rounds}."
    seconds = work.seconds_left(workers)
    if seconds is None:
        return f"{told} No estimate of the time yet: no round is finished."
    at_once = f" with {workers} runs at once" if workers > 1 else ""
    return f"{told} About {time_text(seconds)}{at_once}, judged by {work.timed} finished rounds."


def time_text(seconds: float) -> str:
    """A duration with its two largest units.

    Example:
        >>> time_text(42), time_text(600), time_text(3 * 3600 + 20 * 60), time_text(100_000)
        ('42 s', '10 min', '3 h 20 min', '1 d 4 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def _times(folder: Path) -> dict[int, float]:
    """Seconds of each finished round."""
    found = {}
    for path in folder.glob("round_*/timings.json"):
        with contextlib.suppress(ValueError):  # whoever needs the file tells that it is broken
            timings = read_json(path)
            if (path.parent / "metrics.json").exists() and "train_s" in timings:
                found[int(path.parent.name[6:])] = sum(timings.get(step) or 0.0 for step in _STEPS)
    return found


def _expected(times: Mapping[int, Sequence[float]], number: int) -> float:
    """Seconds that a round may take: the mean of the nearest round that is known."""
    if not times:
        return 0.0
    nearest = times[min(times, key=lambda known: abs(known - number))]
    return sum(nearest) / len(nearest)


def _rounds_asked(run: PlannedRun) -> int:
    """How many rounds a run shall have, as far as its options, its configs or its folder say."""
    given = [run.options.get("rounds"), *(_content(file).get("rounds") for file in reversed(run.config_files))]
    if (run.folder / "run.json").exists():
        given.append(len(RunFolder(run.folder).sizes()))
    return next((rounds for rounds in given if isinstance(rounds, int)), 1)


def _content(file: str) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}  # the run tells what is wrong with it
    return content if isinstance(content, Mapping) else {}
