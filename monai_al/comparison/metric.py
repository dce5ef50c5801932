# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The metrics that can be compared, and what becomes of a curve: one number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_al.records.cost_text import COST_TITLES

__all__ = [
    "AXES",
    "METRICS",
    "SPREADS",
    "SUMMARIES",
    "CurveMetric",
    "Interval",
    "aubc",
    "common_interval",
    "summarized",
]

Interval = tuple[float, float]


@dataclass(frozen=True)
class CurveMetric:
    """A column of ``curve.csv``.

    Args:
        name: as it stands in tables.
        higher_is_better: False for distances.
        digits: behind the point, in tables.

    Example:
        >>> CurveMetric("3D Dice").best([0.5, None, 0.7]), CurveMetric("HD95", higher_is_better=False).best([8.0, 9.0])
        (0.7, 8.0)
    """

    name: str
    higher_is_better: bool = True
    digits: int = 3

    def best(self, values: Sequence[float | None]) -> float | None:
        """The best of the values that are defined, None where there is none."""
        defined = [value for value in values if value is not None]
        return (max if self.higher_is_better else min)(defined, default=None)

    def reaches(self, value: float, target: float) -> bool:
        """Whether a value is as good as another one."""
        return value >= target if self.higher_is_better else value <= target

    def shown(self, value: float) -> str:
        """A value as it stands in tables."""
        return f"{value:.{self.digits}f}"


METRICS: Mapping[str, CurveMetric] = {
    "dice_3d": CurveMetric("3D Dice"),
    "dice_2d": CurveMetric("2D Dice"),
    "hd95_3d": CurveMetric("3D HD95 (mm)", higher_is_better=False, digits=2),
}
SUMMARIES: Mapping[str, str] = {
    "mean": "Mean of all rounds",
    "final": "Score after the last round",
    "best": "Best of all rounds",
    "aubc": "Area under the curve",
}  # kind -> what it is, in words
SPREADS = ("seeds", "all", "bootstrap")  # what the standard deviations are over
AXES: Mapping[str, str] = {"labeled": "labeled items", **COST_TITLES}
"""What the curves stand over: a column of ``curve.csv`` -> what it is, in words."""


def common_interval(curves: Iterable[Sequence[Mapping[str, Any]]], axis: str) -> Interval | None:
    """From where to where all curves go, so that areas under them can be compared; the first end may be the larger one.

    Args:
        curves: one row per round each. Where the axis is undefined in a round, the curve does not count.
        axis: a key of :data:`AXES`.

    Returns:
        None where the axis is that of labeled items, of which runs ask for as many, or no curve counts.

    Example:
        >>> curves = [[{"cost": 2}, {"cost": 9}], [{"cost": 1}, {"cost": 6}]]
        >>> common_interval(curves, "cost"), common_interval(curves, "labeled")
        ((2.0, 6.0), None)
    """
    if axis not in COST_TITLES:
        return None
    costs = [[row.get(axis) for row in curve] for curve in curves]
    ends = [(float(own[0]), float(own[-1])) for own in costs if own and None not in own]  # type: ignore[arg-type]
    return (max(first for first, _ in ends), min(last for _, last in ends)) if ends else None


def summarized(
    curve: Sequence[Mapping[str, Any]],
    metric: str,
    kind: str,
    axis: str = "labeled",
    interval: Interval | None = None,
) -> float | None:
    """One number for a curve.

    Args:
        curve: one row per round, as :meth:`monai_al.records.RunFolder.curve` gives them.
        metric: a key of :data:`METRICS`.
        kind: ``"mean"`` of all rounds, ``"final"``: the last round, ``"best"`` of the rounds where it is defined,
            ``"aubc"``: see :func:`aubc`.
        axis: what the area is over, a key of :data:`AXES`.
        interval: the part of the axis that the area is over; None: all of the curve's own.

    Returns:
        None where it is undefined: where any round is, that counts, or the interval is empty.

    Raises:
        ValueError: an unknown kind, or no round.

    Example:
        >>> curve = [{"labeled": 10, "dice_3d": 0.5}, {"labeled": 20, "dice_3d": 0.75}]
        >>> [summarized(curve, "dice_3d", kind) for kind in SUMMARIES]
        [0.625, 0.75, 0.75, 0.625]
    """
    if kind not in SUMMARIES:
        raise ValueError(f"{kind!r} is no summary of a curve; take {', '.join(SUMMARIES)}")
    if not curve:
        raise ValueError("a curve needs at least one round")
    values = [row[metric] for row in curve]
    if kind == "best":
        return METRICS[metric].best(values)
    if kind == "final":
        return values[-1]
    if None in values:
        return None
    if kind != "aubc":
        return sum(values) / len(values)
    places = [row.get(axis) for row in curve]
    if None in places or (interval is not None and interval[0] > interval[1]):
        return None
    return aubc(places, values, interval)  # type: ignore[arg-type]


def aubc(labeled: Sequence[float], values: Sequence[float], interval: Interval | None = None) -> float:
    """Area under the budget curve: the mean of a curve over labeled items or cost, by trapezoids between its rounds.

    A constant curve gives its constant, and so does a single round; where nothing was added, it is the plain mean.

    Args:
        labeled: items labeled in each round, or what they cost; never falling.
        values: the score of each round.
        interval: the part that counts, inside of the curve; at its ends the curve is interpolated linearly. None: all.

    Raises:
        ValueError: there is no round, the labeled items fall, or the interval is no part of the curve.

    Example:
        >>> aubc([10, 20, 40], [0.5, 0.6, 0.7])
        0.6166666666666667
        >>> aubc([10, 20, 40], [0.5, 0.6, 0.7], (20, 30))
        0.625
    """
    from scipy.integrate import trapezoid

    if not len(values) or len(labeled) != len(values):
        raise ValueError(f"a curve needs one score for each of one or more rounds, got {len(values)} of {len(labeled)}")
    if any(after < before for before, after in zip(labeled[:-1], labeled[1:], strict=True)):
        raise ValueError(f"labeled items and cost must not fall from round to round, got {list(labeled)}")
    if interval is not None:
        labeled, values = _part(labeled, values, interval)
    if labeled[-1] == labeled[0]:
        return float(sum(values) / len(values))
    return float(trapezoid(values, labeled) / (labeled[-1] - labeled[0]))


def _part(x: Sequence[float], y: Sequence[float], interval: Interval) -> tuple[list[float], list[float]]:
    """A curve from one place to another; where it jumps at an end, the side that lies inside counts."""
    low, high = interval
    if not x[0] <= low <= high <= x[-1]:
        raise ValueError(f"the interval from {low:g} to {high:g} is no part of a curve from {x[0]:g} to {x[-1]:g}")
    inside = [(a, b) for a, b in zip(x, y, strict=True) if low < a < high]
    first = float(np.interp(low, x, y))
    last = float(np.interp(-high, [-a for a in reversed(x)], list(reversed(y))))
    return [low, *(a for a, _ in inside), high], [first, *(b for _, b in inside), last]
