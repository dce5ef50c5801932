# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of a comparison: mean and range over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.comparison.config import Comparison
from monai_al.comparison.runs import is_done
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
        ``columns``: labeled items and their share after each round; ``rows``: name -> ``dice`` (one list over the seeds
        per column), ``best`` (the highest of all rounds, per seed), ``labels`` (per seed, the smallest number of
        labeled items whose round reaches the run on everything; None for never) and ``seeds``; ``everything``: its Dice
        per seed; ``missing``: how many runs are not done. All Dice are the mean 3D Dice of the test set.

    Raises:
        DataError: runs of one seed differ in their initial set or their rounds, so that they are no pairs.

    Example:
        >>> table = comparison_table(Comparison("a", "al.yaml", runs={"random": {}}), "no/such/folder")
        >>> table["rows"], table["missing"]
        ({}, 3)
    """
    curves: dict[str, dict[int, Curve]] = {}
    first: dict[int, tuple[str, Any]] = {}
    missing = 0
    for run in comparison.planned(output_dir):
        if not is_done(run.folder):
            missing += 1
            continue
        folder = RunFolder(run.folder)
        curve = folder.curve()
        curves.setdefault(run.name, {})[run.seed] = curve
        if run.name != comparison.everything:
            query = folder.query(0)
            start = (query.ids if query else (), [row["labeled"] for row in curve])
            name, expected = first.setdefault(run.seed, (run.name, start))
            if start != expected:
                raise DataError(
                    f"{run.name} and {name} of seed {run.seed} differ in their initial set or their rounds, so they "
                    f"cannot be compared ({run.folder})"
                )
    everything = {seed: curve[-1]["dice_3d"] for seed, curve in curves.pop(comparison.everything or "", {}).items()}
    rows = {name: _row(of_seed, everything) for name, of_seed in curves.items()}
    columns = next(([(row["labeled"], row["fraction"]) for row in next(iter(c.values()))] for c in curves.values()), [])
    return {"columns": columns, "rows": rows, "everything": everything, "missing": missing}


def _row(curves: Mapping[int, Curve], everything: Mapping[int, float | None]) -> dict[str, Any]:
    dice = [[row["dice_3d"] for row in curve] for curve in curves.values()]
    return {
        "dice": [list(column) for column in zip(*dice, strict=True)],
        "best": [max((value for value in own if value is not None), default=None) for own in dice],
        "labels": [_labels_to_reach(curve, everything.get(seed)) for seed, curve in curves.items()],
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
        a: no run is done yet, 3 are to come
    """
    if not table["rows"]:
        return f"{comparison.title}: no run is done yet, {table['missing']} are to come"
    head = ["3D Dice", *(f"{share:.1%} ({n})" for n, share in table["columns"]), "best", "labels"]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, row in table["rows"].items():
        cells = [*map(_mean_and_range, row["dice"]), _mean_and_range(row["best"]), _reached(row["labels"])]
        lines.append(_line([name, *cells]))
    n_seeds = sorted({len(row["seeds"]) for row in table["rows"].values()})
    notes = [f"{comparison.title}. Mean over {' or '.join(map(str, n_seeds))} seeds [smallest, largest]."]
    if table["everything"]:
        notes.append(f"Trained on everything: {_mean_and_range(list(table['everything'].values()))}.")
    if table["missing"]:
        notes.append(f"{table['missing']} runs are not done yet.")
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
    span = f"{min(reached)}" if min(reached) == max(reached) else f"{min(reached)} to {max(reached)}"
    return span if len(reached) == len(labels) else f"{span} ({len(reached)} of {len(labels)} seeds)"
