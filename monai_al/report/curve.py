# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The learning curve: score against labeled items."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_al.report.pictures import class_color
from monai_al.report.run_colors import BASELINE_COLOR, run_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_learning_curve"]

Rows = Sequence[Mapping[str, Any]]

_PER_CLASS = "dice_3d_"
_ON_THE_QUERY = "2D Dice on the slices asked for next, which are no sample of the data set"
_UNDEFINED = ("", "-", "–", "nan", "null", "none")


def write_learning_curve(
    rows: Rows | Mapping[str, Rows],
    path: str | Path,
    *,
    title: str = "Learning curve",
    n_items: int | None = None,
    per_class: bool | None = None,
    baseline: tuple[str, Rows] | None = None,
    spread: Sequence[tuple[float, float, float]] = (),
) -> None:
    """Draw the mean 3D Dice against the number of labeled items as a PNG.

    Rounds without a defined score are gaps, never 0. A second axis shows the labeled share of the pool in percent if
    all runs have the same pool.

    Args:
        rows: one mapping per round, as the rows of ``curve.csv``: ``labeled``, ``dice_3d``, optionally ``fraction``
            and ``dice_3d_<class>`` for every class; numbers, their text, or None and dashes for undefined. Or run
            name -> such rows, one line for each.
        path: where the PNG goes; its folder is made. The file is complete or absent.
        title: title of the figure.
        n_items: size of the pool; by default found from ``labeled`` and ``fraction``.
        per_class: thin lines of the classes; by default only for a single run.
        baseline: name and rows of a run that the others are looked at beside, drawn in gray.
        spread: labeled items, first and third quartile of the patients' 3D Dice, for each round of a single run.

    Raises:
        ValueError: there are no rows, a row misses ``labeled`` or ``dice_3d``, or a value is no number.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "curve.png"
        ...     write_learning_curve([{"labeled": 10, "fraction": 0.1, "dice_3d": 0.5}], path)
        ...     path.read_bytes()[1:4]
        b'PNG'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from monai_al.records.files import write_file  # here, because the data package loads torch

    runs = dict(rows) if isinstance(rows, Mapping) else {"mean 3D Dice": rows}
    if not runs or not all(runs.values()):
        empty = next((repr(name) for name, own in runs.items() if not own), "any run")
        raise ValueError(f"no rounds to draw for {empty}: a curve needs at least one evaluated round")
    figure = Figure(figsize=(8, 5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    tested = any(not math.isnan(value) for own in runs.values() for value in _column(own, "dice_3d"))
    answered = not tested and _draw_answers(axes, runs)
    if spread and not answered:
        labeled, low, high = zip(*spread, strict=True)
        axes.fill_between(labeled, low, high, color=run_color(0), alpha=0.12, linewidth=0, label="half of the patients")
    if baseline is not None:
        name, own = baseline
        _draw_run(axes, f"{name}, for comparison", own, color=BASELINE_COLOR, per_class=False, line="--")
    for number, (name, own) in enumerate(() if answered else runs.items()):
        _draw_run(
            axes, name, own, color=run_color(number), per_class=len(runs) == 1 if per_class is None else per_class
        )
    axes.set_xlabel("labeled items")
    axes.set_ylabel("2D Dice" if answered else "3D Dice")
    axes.set_title(title)
    axes.grid(True, alpha=0.3)
    axes.margins(y=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.legend(loc="best", fontsize="small")
    size = n_items if n_items is not None else _pool_size(runs.values())
    if size:
        percent = axes.secondary_xaxis("top", functions=_percent_of(size))
        percent.set_xlabel(f"labeled share of the pool of {size} items (%)")
    if not (tested or answered):
        axes.text(0.5, 0.5, "no round has a defined 3D Dice", transform=axes.transAxes, ha="center", va="center")
    write_file(Path(path), lambda file: figure.savefig(file, format="png"))


def _draw_run(axes: Axes, name: str, rows: Rows, *, color: str, per_class: bool, line: str = "-") -> None:
    labeled = _column(rows, "labeled")
    axes.plot(labeled, _column(rows, "dice_3d"), line, marker="o", linewidth=2, color=color, label=name)
    columns = list(dict.fromkeys(key for row in rows for key in row if key.startswith(_PER_CLASS)))
    if not per_class or len(columns) < 2:  # a single class is the mean
        return
    for number, key in enumerate(columns, start=1):
        style = {"linewidth": 1.2, "marker": ".", "markersize": 5, "color": class_color(number)}
        axes.plot(labeled, _column(rows, key, required=False), label=key.removeprefix(_PER_CLASS), **style)


def _draw_answers(axes: Axes, runs: Mapping[str, Rows]) -> bool:
    """What the networks said of the items that were then annotated; False where nothing is known of it."""
    drawn = False
    for number, own in enumerate(runs.values()):
        scores = _column(own, "dice_query", required=False)
        if not all(math.isnan(score) for score in scores):
            before = [math.nan, *_column(own, "labeled")[:-1]]  # the network that was asked had seen no more
            axes.plot(before, scores, marker="s", linestyle="--", color=run_color(number), label=_ON_THE_QUERY)
            drawn = True
    return drawn


def _percent_of(size: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Items to percent of the pool and back."""
    return lambda items: 100 * items / size, lambda percent: percent * size / 100


def _column(rows: Rows, key: str, *, required: bool = True) -> list[float]:
    """The values of one column, NaN where they are undefined."""
    values = []
    for number, row in enumerate(rows):
        if required and key not in row:
            raise ValueError(f"row {number} of the curve has no {key!r}, only {', '.join(map(str, row))}")
        values.append(_number(row.get(key), f"{key!r} of row {number}"))
    return values


def _number(value: Any, where: str) -> float:
    if value is None or str(value).strip().lower() in _UNDEFINED:
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{where} is no number: {value!r}") from None


def _pool_size(runs: Iterable[Rows]) -> int | None:
    """The size that all runs' pools share, None where they differ or it is unknown."""
    sizes: set[int | None] = set()
    for rows in runs:
        pairs = zip(_column(rows, "labeled"), _column(rows, "fraction", required=False), strict=True)
        known = [(labeled, fraction) for labeled, fraction in pairs if fraction > 0]
        sizes.add(round(max(known)[0] / max(known)[1]) if known else None)
    return sizes.pop() if len(sizes) == 1 else None
