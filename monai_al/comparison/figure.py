# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The figure of a comparison: the curve of each run, with its spread over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_al.comparison.config import Comparison
from monai_al.comparison.drawn import draw_once
from monai_al.comparison.markdown import span
from monai_al.comparison.metric import AXES, METRICS
from monai_al.records.files import write_file
from monai_al.report.run_colors import run_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CurveStyle", "curve_styles", "write_comparison_figure"]

_MARKERS = "osD^vP*X<>"


@dataclass(frozen=True)
class CurveStyle:
    """How a run is drawn.

    Args:
        color: of matplotlib's cycle, such as ``"C0"``.
        marker: of its rounds.
        line: ``"-"``, or ``"--"`` for the run that another one of the same color is tested against.

    Example:
        >>> CurveStyle("C0", "o").line
        '-'
    """

    color: str
    marker: str
    line: str = "-"


def curve_styles(comparison: Comparison, names: Sequence[str]) -> dict[str, CurveStyle]:
    """A style for each run.

    A run that ``against`` pairs with exactly one other has that one's color, and the one tested against is dashed.

    Args:
        comparison: what is compared.
        names: the runs that are drawn.

    Example:
        >>> comparison = Comparison("a", "al.yaml", against={"entropy_batches": "entropy"})
        >>> styles = curve_styles(comparison, ["random", "entropy", "entropy_batches"])
        >>> [(style.color, style.line) for style in styles.values()]
        [('C0', '-'), ('C1', '--'), ('C1', '-')]
    """
    others = [other for name, other in comparison.against.items() if name in names]
    alone = {other for other in others if others.count(other) == 1} - set(comparison.against)
    partner = {name: other for name, other in comparison.against.items() if other in alone and name in names}
    keys = dict.fromkeys(partner.get(name, name) for name in names)
    number = {key: i for i, key in enumerate(keys)}
    return {
        name: CurveStyle(
            run_color(number[key]),
            _MARKERS[number[key] % len(_MARKERS)],
            "--" if name in partner.values() else "-",
        )
        for name in names
        for key in [partner.get(name, name)]
    }


def write_comparison_figure(comparison: Comparison, table: Mapping[str, Any], path: str | Path) -> None:
    """Draw the first metric against the number of labeled items, or their cost, as a PNG.

    A line is the mean over the seeds, its band one standard deviation (ddof = 1) to both sides, with two seeds or more.
    Rounds where a seed is undefined, or what it cost, are gaps. A dotted line shows the mean of the run on everything.

    Args:
        comparison: what is compared.
        table: of :func:`monai_al.comparison.comparison_table`.
        path: where the PNG goes; its folder is made. The file is complete or absent, and stays where it shows the same
            already.

    Raises:
        ValueError: no run is done.

    Example:
        >>> import tempfile
        >>> curves = {"random": {0: [{"labeled": 10, "dice_3d": 0.5}, {"labeled": 20, "dice_3d": 0.6}]}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "mine.png"
        ...     write_comparison_figure(Comparison("Mine", "al.yaml"), {"curves": curves, "everything": {}}, path)
        ...     path.read_bytes()[1:4]
        b'PNG'
    """
    if not table["curves"]:
        raise ValueError("no run is done yet, so there is nothing to draw")
    shown = [comparison.title, comparison.metrics[0], comparison.axis, comparison.against, comparison.everything]
    shown += [comparison.log_axis, table.get("assumed")]
    inputs = [*shown, table["curves"], table["everything"]]
    draw_once(path, inputs, lambda: _write(comparison, table, Path(path)))


def _write(comparison: Comparison, table: Mapping[str, Any], path: Path) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    curves, metric = table["curves"], METRICS[comparison.metrics[0]]
    figure = Figure(figsize=(10, 5.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, style in curve_styles(comparison, list(curves)).items():
        _draw(axes, name, list(curves[name].values()), comparison.metrics[0], style, comparison.axis)
    everything = [value for value in table["everything"].values() if value is not None]
    if everything:
        axes.axhline(float(np.mean(everything)), color="0.4", linestyle=":", label=str(comparison.everything))
    n_seeds = [len(of_seed) for of_seed in curves.values()]
    spread = f", mean and standard deviation over {span(n_seeds)} seeds" if max(n_seeds) > 1 else ""
    axes.set_title(f"{comparison.title}{spread}")
    axes.set_xlabel(_under(comparison, table))
    axes.set_ylabel(metric.name if metric.higher_is_better else f"{metric.name}, lower is better")
    axes.grid(True, alpha=0.3)
    axes.margins(y=0.1)
    if comparison.log_axis:
        _draw_logarithmic(axes)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=not comparison.is_over_cost, steps=[1, 2, 2.5, 5, 10]))
    figure.legend(loc="outside right upper", fontsize="small", handlelength=3.5)
    write_file(path, lambda file: figure.savefig(file, format="png"))
    return comparison.title


def _under(comparison: Comparison, table: Mapping[str, Any]) -> str:
    """The title of the axis, with what costs assume."""
    assumed = table.get("assumed")
    if not comparison.is_over_cost or not assumed:
        return AXES[comparison.axis]
    return f"{AXES[comparison.axis]}, a weak label costing 1/{assumed['scribble_speed']:g} of a full one"


def _draw_logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw(
    axes: Axes, name: str, curves: Sequence[Sequence[Mapping[str, Any]]], metric: str, style: CurveStyle, axis: str
) -> None:
    labeled = np.array([[row.get(axis) for row in curve] for curve in curves], dtype=np.float64).mean(axis=0)
    values = np.array([[row[metric] for row in curve] for curve in curves], dtype=np.float64)  # None becomes NaN
    mean = values.mean(axis=0)
    look = {"color": style.color, "linestyle": style.line, "marker": style.marker}
    face = style.color if style.line == "-" else "white"
    axes.plot(labeled, mean, linewidth=1.8, markersize=4.5, markerfacecolor=face, label=name, **look)
    if len(values) > 1:
        sd = values.std(axis=0, ddof=1)
        axes.fill_between(labeled, mean - sd, mean + sd, color=style.color, alpha=0.12, linewidth=0)
