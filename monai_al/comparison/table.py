# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of a comparison: mean and range over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.comparison.config import Comparison, PlannedRun
from monai_al.comparison.runs import asked_otherwise, is_done
from monai_al.data import DataError, RunFolder
from monai_al.data.run_folder import UNDEFINED

__all__ = ["comparison_table", "comparison_text"]

Curve = list[dict[str, Any]]


def comparison_table(comparison: Comparison, output_dir: str | Path) -> dict[str, Any]:
    """Read what the runs found; runs that are not done are left out and counted.

    Args:
        comparison: what is compared.
        output_dir: where its runs lie.

    Returns:
        ``columns``: for each round the labeled items (fewest and most over the runs) and their share; ``rows``: name ->
        ``dice`` (one list over the seeds per column), ``best`` (the highest of all rounds, per seed), ``labels`` (for
        each seed whose run on everything is done, the smallest number of labeled items whose round reaches it; None
        for never) and ``seeds``; ``everything``: its Dice per seed; ``missing``: how many runs are not done;
        ``otherwise``: how many of the others were done with other configs or options. All Dice are the mean 3D Dice of
        the test set, None where it is undefined.

    Raises:
        DataError: runs differ in their number of rounds, or those of one seed in their initial set or their labeled
            items, so that they are no pairs.

    Example:
        >>> table = comparison_table(Comparison("a", "al.yaml", runs={"random": {}}), "no/such/folder")
        >>> table["rows"], table["missing"]
        ({}, 3)
    """
    planned = comparison.planned(output_dir)
    done = [run for run in planned if is_done(run.folder)]
    curves: dict[str, dict[int, Curve]] = {}
    for run in done:
        curves.setdefault(run.name, {})[run.seed] = RunFolder(run.folder).curve()
    _check_pairs([run for run in done if run.name != comparison.everything], curves)
    everything = {seed: curve[-1]["dice_3d"] for seed, curve in curves.pop(comparison.everything or "", {}).items()}
    rounds = zip(*(curve for of_seed in curves.values() for curve in of_seed.values()), strict=True)
    return {
        "columns": [(_range([row["labeled"] for row in rows]), rows[0]["fraction"]) for rows in rounds],
        "rows": {name: _row(of_seed, everything) for name, of_seed in curves.items()},
        "everything": everything,
        "missing": len(planned) - len(done),
        "otherwise": sum(asked_otherwise(run) for run in done),
    }


def _check_pairs(runs: Sequence[PlannedRun], curves: Mapping[str, Mapping[int, Curve]]) -> None:
    first: dict[int, tuple[PlannedRun, Any]] = {}
    for run in runs:
        curve, query = curves[run.name][run.seed], RunFolder(run.folder).query(0)
        start = (query.ids if query else (), [row["labeled"] for row in curve])
        other, expected = first.setdefault(run.seed, (run, start))
        if start != expected:
            what = "their initial set" if start[0] != expected[0] else "the labeled items of their rounds"
            raise DataError(
                f"{run.name} and {other.name} of seed {run.seed} differ in {what}, so they cannot be compared "
                f"({run.folder} and {other.folder})"
            )
        n = len(curves[runs[0].name][runs[0].seed])
        if len(curve) != n:
            raise DataError(f"{run.folder} holds {len(curve)} rounds and {runs[0].folder} {n}: they must agree")


def _row(curves: Mapping[int, Curve], everything: Mapping[int, float | None]) -> dict[str, Any]:
    dice = [[row["dice_3d"] for row in curve] for curve in curves.values()]
    return {
        "dice": [list(column) for column in zip(*dice, strict=True)],
        "best": [max((value for value in own if value is not None), default=None) for own in dice],
        "labels": [_labels_to_reach(curve, everything[seed]) for seed, curve in curves.items() if seed in everything],
        "seeds": list(curves),
    }


def _labels_to_reach(curve: Curve, target: float | None) -> int | None:
    if target is None:
        return None
    return next((row["labeled"] for row in curve if row["dice_3d"] is not None and row["dice_3d"] >= target), None)


def comparison_text(comparison: Comparison, table: Mapping[str, Any]) -> str:
    """The table as Markdown, and the published one beside it.

    Args:
        comparison: what is compared.
        table: of :func:`comparison_table`.

    Example:
        >>> comparison = Comparison("a", "al.yaml", runs={"random": {}})
        >>> print(comparison_text(comparison, comparison_table(comparison, "no/such/folder")))
        a: nothing to show yet, runs to come: 3
    """
    if not table["rows"]:
        return f"{comparison.title}: nothing to show yet, runs to come: {table['missing']}"
    head = ["3D Dice", *(f"{100 * share:.1f} % ({_span(n)})" for n, share in table["columns"]), "best", "labels"]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, row in table["rows"].items():
        cells = [*map(_mean_and_range, row["dice"]), _mean_and_range(row["best"]), _reached(row["labels"])]
        lines.append(_line([name, *cells]))
    n_seeds = _span(_range([len(row["seeds"]) for row in table["rows"].values()]))
    notes = [f"{comparison.title}. Mean over {n_seeds} seed{'s' * (n_seeds != '1')} [smallest, largest]."]
    if table["everything"]:
        notes.append(f"Trained on everything: {_mean_and_range(list(table['everything'].values()))}.")
    if table["missing"]:
        notes.append(f"Runs not done yet: {table['missing']}.")
    if table["otherwise"]:
        notes.append(f"Runs done with other configs or options than now: {table['otherwise']}.")
    return "\n".join([" ".join(notes), "", *lines, *_published(comparison)])


def _published(comparison: Comparison) -> list[str]:
    published = comparison.published
    if published is None:
        return []
    head = ["published", *map(str, published["columns"])]
    rows = [_line([name, *map(str, published["rows"][name])]) for name in published["rows"]]
    return ["", f"Published ({published['source']}):", "", _line(head), _line(["---"] * len(head)), *rows]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mean_and_range(values: Sequence[float | None]) -> str:
    defined = [value for value in values if value is not None]
    if len(defined) < len(values) or not defined:
        return UNDEFINED
    mean = sum(defined) / len(defined)
    return f"{mean:.3f}" if len(defined) == 1 else f"{mean:.3f} [{min(defined):.3f}, {max(defined):.3f}]"


def _reached(labels: Sequence[int | None]) -> str:
    reached = [n for n in labels if n is not None]
    if not reached:
        return UNDEFINED
    span = _span(_range(reached))
    return span if len(reached) == len(labels) else f"{span} ({len(reached)} of {len(labels)} seeds)"


def _range(numbers: Sequence[int]) -> tuple[int, int]:
    return min(numbers), max(numbers)


def _span(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}" if numbers[0] == numbers[1] else f"{numbers[0]} to {numbers[1]}"
