# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The metrics that can be compared, and what becomes of a curve: one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["AXES", "METRICS", "SPREADS", "SUMMARIES", "CurveMetric", "aubc", "summarized"]


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
AXES: Mapping[str, str] = {"labeled": "labeled items", "cost": "cost in full items"}
"""What the curves stand over: a column of ``curve.csv`` -> what it is, in words."""


def summarized(curve: Sequence[Mapping[str, Any]], metric: str, kind: str, axis: str = "labeled") -> float | None:
    """One number for a curve.

    Args:
        curve: one row per round, as :meth:`monai_al.records.RunFolder.curve` gives them.
        metric: a key of :data:`METRICS`.
        kind: ``"mean"`` of all rounds, ``"final"``: the last round, ``"best"`` of the rounds where it is defined,
            ``"aubc"``: see :func:`aubc`.
        axis: what the area is over, a key of :data:`AXES`.

    Returns:
        None where it is undefined: where any round is, that counts.

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
    return aubc([row[axis] for row in curve], values) if kind == "aubc" else sum(values) / len(values)


def aubc(labeled: Sequence[float], values: Sequence[float]) -> float:
    """Area under the budget curve: the mean of a curve over labeled items or cost, by trapezoids between its rounds.

    A constant curve gives its constant, and so does a single round; where nothing was added, it is the plain mean.

    Args:
        labeled: items labeled in each round, or what they cost; never falling.
        values: the score of each round.

    Raises:
        ValueError: there is no round, or the labeled items fall.

    Example:
        >>> aubc([10, 20, 40], [0.5, 0.6, 0.7])
        0.6166666666666667
    """
    from scipy.integrate import trapezoid

    if not len(values) or len(labeled) != len(values):
        raise ValueError(f"a curve needs one score for each of one or more rounds, got {len(values)} of {len(labeled)}")
    if any(after < before for before, after in zip(labeled[:-1], labeled[1:], strict=True)):
        raise ValueError(f"labeled items and cost must not fall from round to round, got {list(labeled)}")
    if labeled[-1] == labeled[0]:
        return float(sum(values) / len(values))
    return float(trapezoid(values, labeled) / (labeled[-1] - labeled[0]))
