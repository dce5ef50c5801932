# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The learning curve of a run over what its labels cost, a line for each model of the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.records.cost_text import COST_TITLES
from monai_al.records.files import write_file

__all__ = ["write_cost_curve"]


def write_cost_curve(rows: Sequence[Mapping[str, Any]], path: str | Path) -> bool:
    """Draw the mean 3D Dice against the cost by each model as a PNG.

    A model that is undefined in all rounds has no line, and where models agree in all rounds one line stands for them.

    Args:
        rows: one mapping per round, as :meth:`monai_al.records.RunFolder.curve` gives them.
        path: where the PNG goes; its folder is made. The file is complete or absent.

    Returns:
        Whether there was something to draw: a round with a Dice and a cost by another model than ``cost`` alone.

    Example:
        >>> import tempfile
        >>> row = {"dice_3d": 0.5, "cost": 2.0, "cost_slices": 2.0, "cost_area": None, "cost_volumes": 3.0}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_cost_curve([row], Path(folder) / "cost.png")
        True
        >>> write_cost_curve([{"dice_3d": 0.5, "cost": 2.0}], "not_written.png")
        False
    """
    lines = _lines(rows)
    modelled = any(row.get(column) is not None for row in rows for column in COST_TITLES if column != "cost")
    if not lines or not modelled:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, (title, points) in enumerate(lines.items()):
        axes.plot(*zip(*points, strict=True), marker="osD^"[number], linewidth=1.6, markersize=5, label=title)
    axes.set_xlabel("cost of all labels")
    axes.set_ylabel("3D Dice")
    axes.grid(True, alpha=0.3)
    axes.margins(y=0.1)
    axes.legend(loc="best", fontsize="small")
    write_file(Path(path), lambda file: figure.savefig(file, format="png"))
    return True


def _lines(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Title -> cost and Dice of each round that has both."""
    titles: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for column, title in COST_TITLES.items():
        both = ((row.get(column), row.get("dice_3d")) for row in rows)
        points = tuple((float(x), float(y)) for x, y in both if x is not None and y is not None)
        if points:
            titles.setdefault(points, []).append(title.removeprefix("cost "))
    return {" = ".join(names): list(points) for points, names in titles.items()}
