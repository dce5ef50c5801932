# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run folder holds, in words; reads only its small files and needs neither torch nor MONAI."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from monai_al.records import TEST, UNDEFINED, Labels, read_labels, read_pseudo_labels, round_name, round_numbers, shown
from monai_al.records.work_list import WORK_LIST, WORK_PAGE, work_path, work_task
from monai_al.report.annotations import describe_agreement, waiting_notes

__all__ = ["describe_run"]


def describe_run(path: str | Path) -> str:
    """Tell people what a run was asked for, what it has done, and how to go on.

    Args:
        path: the run folder.

    Returns:
        Lines of text: what was asked; one table row per round with the number of labeled items, their share of the
        pool, 3D Dice, 2D Dice and HD95 in mm (a dash where a number is undefined or not there yet); the state of the
        round that is under way; who uses the folder; how to go on.

    Raises:
        DataError: there is no run folder, or a file in it is broken; the message names the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "run.json").write_text('{"strategy": "entropy", "seed": 0, "rounds": 2}')
        ...     "strategy  entropy" in describe_run(folder)
        True
    """
    folder = Path(path)
    if not folder.is_dir():
        _fail(f"{folder} is no folder; give the output_dir of a run")
    if not (folder / "run.json").is_file():
        _fail(f"{folder} is no run folder: it holds no run.json; give the output_dir of a run")
    run = _read(folder / "run.json")
    asked = run | _last_extension(folder)
    last = max(round_numbers(folder), default=-1)
    states = [_RoundState(folder / f"round_{number:02d}") for number in range(last + 1)]
    process = _process(folder)
    lines = [f"Run {folder}", "", *_what_was_asked(asked), "", *_table(states)]
    current = states[-1] if states else None
    lines += ["", *(_current(current, last, asked) if current else ["Nothing is done yet: round 0 has not begun."])]
    lines += _returned(folder, last, states)
    lines += _test_set(folder)
    return "\n".join([*lines, "", process.text, *_how_to_go_on(folder, asked, states, process.live)]) + "\n"


class _RoundState:
    """What the files of one round say."""

    def __init__(self, path: Path) -> None:
        query = _read(path / "query.json") if (path / "query.json").exists() else None
        self.asked = None if query is None else list(dict.fromkeys(_ids(query, path / "query.json")))
        self.labels = Labels(read_labels(path))
        self.pseudo = len(read_pseudo_labels(path))
        self.models = len(list(path.glob("model_*.pt")))
        self.metrics = _read(path / "metrics.json") if (path / "metrics.json").exists() else None
        asked = set(self.labels.asked)
        self.waiting = [id for id in self.asked or [] if id not in asked]


class _Process:
    def __init__(self, text: str, live: bool) -> None:
        self.text = text
        self.live = live


def _fail(message: str) -> NoReturn:
    from monai_al.records.errors import DataError  # here, because the data package loads torch

    raise DataError(message)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _fail(f"{path} cannot be read ({error}); restore it, or remove it with all that came later")
    if not isinstance(content, dict):
        _fail(f"{path} should hold a JSON object, but holds {type(content).__name__}; restore it")
    return content


def _ids(query: Mapping[str, Any], path: Path) -> list[str]:
    try:
        return [str(item["id"]) for item in query["items"]]
    except (KeyError, TypeError):
        _fail(f"{path} names no items; restore it, or remove it with all that came later")


def _last_extension(folder: Path) -> dict[str, Any]:
    """Rounds and budget as they were extended later."""
    extensions = sorted(folder.glob("extension_*.json"))
    return {k: v for k, v in _read(extensions[-1]).items() if k != "when"} if extensions else {}


def _find(run: Mapping[str, Any], key: str) -> Any:
    """A value of ``run.json``, or of the learner's settings in its config."""
    config = run.get("config")
    places = [run, config, config.get("learner") if isinstance(config, Mapping) else None]
    return next((place[key] for place in places if isinstance(place, Mapping) and key in place), None)


def _rounds(run: Mapping[str, Any]) -> int | None:
    """How many rounds there will be: as many as have something to annotate."""
    sizes, rounds = run.get("sizes"), _find(run, "rounds")
    return len(sizes) if isinstance(sizes, list) else rounds if isinstance(rounds, int) else None


def _what_was_asked(run: Mapping[str, Any]) -> list[str]:
    keys = ("strategy", "annotator", "seed", "rounds", "budget", "sizes", "items", "members", "threads")
    found = [(key, _find(run, key)) for key in keys]
    return [f"  {key:9} {_plain(value)}" for key, value in found if value is not None]


def _plain(value: Any) -> str:
    """A config value in few words: a component by the name of its class."""
    if isinstance(value, Mapping):
        return str(value.get("_target_", json.dumps(value, ensure_ascii=False)))
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _table(states: Sequence[_RoundState]) -> list[str]:
    answered = any((state.metrics or {}).get("dice_query") for state in states)
    rows = [("round", "labeled", "share", "3D Dice", "2D Dice", "HD95 mm", *["on the query"] * answered)]
    for number, state in enumerate(states):
        metrics = state.metrics or {}
        share = metrics.get("fraction")
        rows.append(
            (
                str(number),
                shown(metrics.get("labeled"), "d"),
                UNDEFINED if share is None else f"{100 * share:.1f} %",
                shown(_mean(metrics, "dice_3d"), ".4f"),
                shown(_mean(metrics, "dice_2d"), ".4f"),
                shown(_mean(metrics, "hd95_3d"), ".2f"),
                *[shown(_mean(metrics, "dice_query"), ".4f")] * answered,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _mean(metrics: Mapping[str, Any], key: str) -> float | None:
    entry = metrics.get(key)
    return entry.get("mean") if isinstance(entry, Mapping) else entry


def _current(state: _RoundState, number: int, run: Mapping[str, Any]) -> list[str]:
    """What is done of the last round that has a folder."""
    members = _find(run, "members")
    n_asked = len(state.asked or [])
    labels = f"{sum(id in state.labels for id in state.asked or ())} of {n_asked} items labeled"
    labels += f", {len(state.labels.refused)} without any label" if state.labels.refused else ""
    waiting = f", waiting for {', '.join(state.waiting[:3])}" + (" ..." if len(state.waiting) > 3 else "")
    return [
        f"Round {number} holds:",
        f"  query     {UNDEFINED if state.asked is None else f'{n_asked} items'}",
        f"  labels    {UNDEFINED if state.asked is None else labels + (waiting if state.waiting else '')}",
        *([f"  pseudo    {state.pseudo} labels of the strategy, for this round alone"] if state.pseudo else []),
        f"  models    {state.models}" + (f" of {members}" if isinstance(members, int) else ""),
        f"  metrics   {UNDEFINED if state.metrics is None else 'done'}",
    ]


def _returned(folder: Path, number: int, states: Sequence[_RoundState]) -> list[str]:
    """Who returned labels of the last round, why slices still wait for which some came back, how far people agree."""
    if not states or not (work_path(folder, number) / WORK_LIST).is_file():
        return []
    people = Counter(label.annotator for label in states[-1].labels.values())
    by = [f"  returned  {', '.join(f'{n} by {name}' for name, n in people.items())}"] if people else []
    notes = waiting_notes(folder, number, states[-1].waiting)
    return [*by, *(f"  {id}: {note}" for id, note in notes.items()), *describe_agreement(folder)]


def _test_set(folder: Path) -> list[str]:
    """How much of the test set is labeled, where people annotate one."""
    if not (folder / round_name(TEST) / "query.json").is_file():
        return []
    state = _RoundState(folder / round_name(TEST))
    page = work_path(folder, TEST) / WORK_PAGE
    line = f"  test set  {len(state.asked or []) - len(state.waiting)} of {len(state.asked or [])} items labeled"
    notes = waiting_notes(folder, TEST, state.waiting)
    lies = f"; the work lies in {page}" if state.waiting and page.is_file() else ""
    return [line + lies, *(f"  {id}: {note}" for id, note in notes.items())]


def _process(folder: Path) -> _Process:
    """Who uses the folder; a claim of another machine cannot be checked and is believed."""
    file = folder / "process.json"
    if not file.exists():
        return _Process("No process uses the folder.", live=False)
    user = _read(file)
    who = f"process {user.get('pid', '?')} on {user.get('host', '?')} since {user.get('since', '?')}"
    if user.get("host") != socket.gethostname():
        return _Process(f"In use by {who}, if it still runs (this is another machine).", live=True)
    if _is_alive(user.get("pid")):
        return _Process(f"In use by {who}.", live=True)
    return _Process(f"No process uses the folder: {who} has ended before its run was done.", live=False)


def _is_alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    if os.name != "posix":  # signal 0 would end a process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _how_to_go_on(folder: Path, run: Mapping[str, Any], states: Sequence[_RoundState], live: bool) -> list[str]:
    rounds = _rounds(run)
    n_done = sum(state.metrics is not None for state in states)
    waiting = states[-1].waiting if states else []
    if live:
        return ["Wait for it, or stop it and start the same command again: it goes on where it stopped."]
    if rounds is not None and n_done >= rounds:
        on = "To go on, start the same command with a larger --rounds."
        if not waiting:
            return [f"All {rounds} rounds are done. {on}"]
        place = work_path(folder, len(states) - 1)
        lies = f", and lies in {place / WORK_PAGE}" if (place / WORK_PAGE).is_file() else ""
        lies += f"; it asks for strokes: {task}" if (task := work_task(place)) else ""
        return [f"All {rounds} rounds are done. The query after them waits for {len(waiting)} labels{lies}. {on}"]
    again = f"Start the same command again with --output_dir {folder}: it goes on where it stopped."
    if waiting:
        left = f"{len(waiting)} items of round {len(states) - 1} wait for labels"
        place = work_path(folder, len(states) - 1)
        if not (place / WORK_LIST).is_file():
            return [f"{left}: import them, or let the annotator answer.", again]
        asked = f" Asked for: {task}." if (task := work_task(place)) else ""
        draw = f"To draw it in napari: python -m monai_al annotate {folder}"
        take = f"To take what came back without training: python -m monai_al import-labels {folder}"
        return [f"{left}; the work lies in {place / WORK_PAGE}.{asked}", draw, take, again]
    return [again]
