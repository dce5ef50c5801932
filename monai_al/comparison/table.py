# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of a comparison: every round with mean and range over the seeds; one number per run, and its tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.comparison.bootstrap import Spreads, bootstrap_spreads
from monai_al.comparison.config import Comparison
from monai_al.comparison.markdown import markdown_table, span
from monai_al.comparison.metric import AXES, METRICS, CurveMetric, common_interval
from monai_al.comparison.pairs import check_pairs
from monai_al.comparison.runs import asked_otherwise, is_done
from monai_al.comparison.sensitivity import assumed_costs, sensitivity_text, speed_sensitivity
from monai_al.comparison.summary import mean_and_spread, pair_tests
from monai_al.comparison.summary_text import summary_text, tests_text
from monai_al.records import UNDEFINED, RunFolder
from monai_al.records.cost_text import assumptions_text
from monai_al.records.files import read_json

__all__ = ["comparison_table", "comparison_text"]

Curve = list[dict[str, Any]]

_MARK = "†"
_WIDE = 10  # rounds from which on they stand in rows


def comparison_table(comparison: Comparison, output_dir: str | Path) -> dict[str, Any]:
    """Read what the runs found; runs that are not done are left out and counted.

    Args:
        comparison: what is compared.
        output_dir: where its runs lie.

    Returns:
        ``columns``: for each round the labeled items, or what they cost (fewest and most over the runs), and their
        share (None where curves stand over the cost and it differs); ``rows``: name -> ``values`` (one list over the
        seeds per column), ``best`` (the best of all rounds, per seed), ``labels`` (for each seed whose run on
        everything is done, the smallest number of labeled items, or cost, whose round reaches it; None for never) and
        ``seeds``; ``everything``: its last value per seed; all of these of
        the first metric, the mean over the test set, None where it is undefined. ``curves``: name -> seed -> a row per
        round; ``missing``: how many runs are not done; ``otherwise``: how many of the others were done with other
        configs or options; ``notes``: what else is to be known of the pairs; ``spreads``: with ``spread: bootstrap``
        those of :func:`monai_al.comparison.bootstrap.bootstrap_spreads`, otherwise None; ``truth``: names of the runs
        whose strategy uses the truth. Where curves stand over the cost ``assumed``: what it assumes; ``interval``: the
        part that all curves share; ``no_cost``: names of the runs that do not tell it in all rounds; ``sensitivity``:
        of :func:`monai_al.comparison.sensitivity.speed_sensitivity`.

    Raises:
        DataError: runs differ in their number of rounds, or those of one seed in more than what was chosen, so that
            they are no pairs; see :func:`monai_al.comparison.pairs.check_pairs`.

    Example:
        >>> table = comparison_table(Comparison("a", "al.yaml", runs={"random": {}}), "no/such/folder")
        >>> table["rows"], table["missing"]
        ({}, 3)
    """
    planned = comparison.planned(output_dir)
    done = [run for run in planned if is_done(run.folder)]
    notes = check_pairs(comparison, done)
    curves: dict[str, dict[int, Curve]] = {}
    folders: dict[str, dict[int, RunFolder]] = {}
    for run in sorted(done, key=lambda run: list(comparison.runs).index(run.name)):
        folders.setdefault(run.name, {})[run.seed] = RunFolder(run.folder)
        curves.setdefault(run.name, {})[run.seed] = RunFolder(run.folder).curve()
    metric = comparison.metrics[0]
    everything = {seed: curve[-1][metric] for seed, curve in curves.pop(comparison.everything or "", {}).items()}
    drawn_anew = comparison.spread == "bootstrap"
    rounds = zip(*(curve for of_seed in curves.values() for curve in of_seed.values()), strict=True)
    return {
        "columns": [_column(rows, comparison.axis) for rows in rounds],
        "rows": {name: _row(of_seed, everything, metric, comparison.axis) for name, of_seed in curves.items()},
        "everything": everything,
        "curves": curves,
        "missing": len(planned) - len(done),
        "otherwise": sum(asked_otherwise(run) for run in done),
        "notes": notes,
        "spreads": bootstrap_spreads(comparison, _without(folders, comparison.everything)) if drawn_anew else None,
        "truth": {run.name for run in done if _uses_truth(run.folder)},
        **_of_costs(comparison, _without(folders, comparison.everything)),
    }


def _column(rows: Sequence[Mapping[str, Any]], axis: str) -> tuple[tuple[float, float] | None, float | None]:
    """Where a round stands on the axis, None where no run tells it; its share, None where runs differ."""
    places = [row[axis] for row in rows if row.get(axis) is not None]
    one_share = axis == "labeled" or len({row["fraction"] for row in rows}) == 1
    return _range(places) if places else None, rows[0]["fraction"] if one_share else None


def _of_costs(comparison: Comparison, folders: Mapping[str, Mapping[int, RunFolder]]) -> dict[str, Any]:
    """What is to be known where curves stand over the cost."""
    if not comparison.is_over_cost or not folders:
        return {"assumed": None, "interval": None, "no_cost": [], "sensitivity": None}
    axis = comparison.axis
    curves = {name: [folder.curve() for folder in of_seed.values()] for name, of_seed in folders.items()}
    return {
        "assumed": assumed_costs(folders, axis),
        "interval": common_interval((curve for own in curves.values() for curve in own), axis),
        "no_cost": [n for n, own in curves.items() if any(row.get(axis) is None for curve in own for row in curve)],
        "sensitivity": speed_sensitivity(comparison, folders),
    }


def _without(folders: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    return {other: of_seed for other, of_seed in folders.items() if other != name}


def _row(curves: Mapping[int, Curve], everything: Mapping[int, float | None], name: str, axis: str) -> dict[str, Any]:
    values, metric = [[row[name] for row in curve] for curve in curves.values()], METRICS[name]
    targets = {seed: everything[seed] for seed in curves if seed in everything}
    return {
        "values": [list(column) for column in zip(*values, strict=True)],
        "best": [metric.best(own) for own in values],
        "labels": [_labels_to_reach(curves[seed], target, name, axis) for seed, target in targets.items()],
        "seeds": list(curves),
    }


def _labels_to_reach(curve: Curve, target: float | None, name: str, axis: str) -> float | None:
    if target is None:
        return None
    rows = (row for row in curve if row[name] is not None and METRICS[name].reaches(row[name], target))
    return next((row.get(axis) for row in rows), None)


def _uses_truth(folder: Path) -> bool:
    record = read_json(folder / "run.json")
    learner = (record.get("config") or {}).get("learner") or {}
    return bool(learner.get("uses_truth"))


def comparison_text(comparison: Comparison, table: Mapping[str, Any]) -> str:
    """The tables as Markdown, and the published one beside them.

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

    def marked(name: str) -> str:
        return f"{name} {_MARK}" if name in table["truth"] else name

    title, state = f"{comparison.title}.", _state(table)
    rounds, of_rounds = _rounds(comparison, table, marked), _about_rounds(comparison, table)
    parts = [" ".join([title, *of_rounds, *state]), rounds]
    if comparison.has_summary:
        tests = pair_tests(comparison, table["curves"])
        cells = mean_and_spread(comparison, table["curves"], table["spreads"])
        after = f"{METRICS[comparison.metrics[0]].name} after each round."
        parts = [" ".join([title, *state]), summary_text(comparison, cells, tests, marked, table["interval"])]
        parts += [tests_text(comparison, tests, marked)] if tests else []
        parts += [" ".join([after, *of_rounds]), rounds]
    if table["sensitivity"] is not None:
        parts.append(sensitivity_text(comparison, table["sensitivity"], marked))
    return "\n\n".join([*parts, *_published(comparison)])


def _state(table: Mapping[str, Any]) -> list[str]:
    """What is to be known of the runs."""
    told = list(table["notes"])
    if table["assumed"] is not None:
        told.append(assumptions_text(table["assumed"]))
    if table["no_cost"]:
        told.append(f"Not all rounds of these tell their cost by this model: {', '.join(table['no_cost'])}.")
    if table["truth"]:
        told.append(
            f"{_MARK} chooses by the truth of items that nobody has labeled: a reference, no strategy for real use."
        )
    if table["missing"]:
        told.append(f"Runs not done yet: {table['missing']}.")
    if table["otherwise"]:
        told.append(f"Runs done with other configs or options than now: {table['otherwise']}.")
    return told


def _about_rounds(comparison: Comparison, table: Mapping[str, Any]) -> list[str]:
    n_seeds = span([len(row["seeds"]) for row in table["rows"].values()])
    shown = "[smallest, largest]" if table["spreads"] is None else "± two standard deviations of the bootstrap"
    told = [f"Mean over {n_seeds} seed{'s' * (n_seeds != '1')} {shown}."]
    told += [f"In brackets and under labels: {AXES[comparison.axis]}."] if comparison.axis != "labeled" else []
    if table["everything"]:
        values = _mean_and_range(list(table["everything"].values()), METRICS[comparison.metrics[0]])
        told.append(f"Trained on everything: {values}.")
    return told


def _rounds(comparison: Comparison, table: Mapping[str, Any], marked: Callable[[str], str]) -> str:
    """A row for each run and a column for each round; the other way round where there are many rounds."""
    metric = METRICS[comparison.metrics[0]]
    shares = [_title(number, *column) for number, column in enumerate(table["columns"])]
    lines = [[metric.name, *shares, "best", "labels"]]
    for name, row in table["rows"].items():
        cells = _of_rounds(row["values"], name, metric, table["spreads"])
        cells.append(_mean_and_range(row["best"], metric))
        lines.append([marked(name), *cells, _reached(row["labels"])])
    if len(shares) > _WIDE:
        lines = [list(column) for column in zip(*lines, strict=True)]
    return markdown_table(lines[0], lines[1:])


def _title(number: int, places: tuple[float, float] | None, share: float | None) -> str:
    """What a column says of its round."""
    name = f"round {number}" if share is None else f"{100 * share:.1f} %"
    return f"{name} ({UNDEFINED if places is None else span(places)})"


def _of_rounds(
    columns: Sequence[Sequence[float | None]], name: str, metric: CurveMetric, spreads: Spreads | None
) -> list[str]:
    """A cell for each round."""
    if spreads is None:
        return [_mean_and_range(values, metric) for values in columns]
    pairs = zip(columns, spreads.rounds[name], strict=True)
    return [_mean_and_spread(values, spread, metric) for values, spread in pairs]


def _published(comparison: Comparison) -> list[str]:
    published = comparison.published
    if published is None:
        return []
    rows = [[name, *map(str, values)] for name, values in published["rows"].items()]
    table = markdown_table(["published", *map(str, published["columns"])], rows)
    return [f"Published ({published['source']}):", table]


def _mean_and_range(values: Sequence[float | None], metric: CurveMetric) -> str:
    defined = [value for value in values if value is not None]
    if len(defined) < len(values) or not defined:
        return UNDEFINED
    mean, least, most = map(metric.shown, (sum(defined) / len(defined), min(defined), max(defined)))
    return mean if len(defined) == 1 else f"{mean} [{least}, {most}]"


def _mean_and_spread(values: Sequence[float | None], spread: float | None, metric: CurveMetric) -> str:
    defined = [value for value in values if value is not None]
    if len(defined) < len(values) or not defined:
        return UNDEFINED
    shown = "" if spread is None else f" ± {metric.shown(spread)}"
    return f"{metric.shown(sum(defined) / len(defined))}{shown}"


def _reached(labels: Sequence[float | None]) -> str:
    reached = [n for n in labels if n is not None]
    if not reached:
        return UNDEFINED
    return span(reached) if len(reached) == len(labels) else f"{span(reached)} ({len(reached)} of {len(labels)} seeds)"


def _range(numbers: Sequence[float]) -> tuple[float, float]:
    return min(numbers), max(numbers)
