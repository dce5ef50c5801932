# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How the order of runs over their cost depends on how much faster weak labels are given than full ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monai_al.comparison.config import Comparison
from monai_al.comparison.markdown import markdown_table
from monai_al.comparison.metric import METRICS, Interval, common_interval, summarized
from monai_al.records import FULL, UNDEFINED, WEAK, RunFolder
from monai_al.records.cost_model import SENSITIVITY_SPEEDS, AreaScale, cost_assumptions, cost_at_speed

__all__ = ["AtSpeed", "assumed_costs", "sensitivity_text", "speed_sensitivity"]

Folders = Mapping[str, Mapping[int, RunFolder]]  # name -> seed -> its folder


@dataclass(frozen=True)
class AtSpeed:
    """What a value of ``scribble_speed`` makes of a comparison.

    Args:
        speed: how many times faster weak labels are given.
        interval: the part of the axis that all curves share then; None where no curve has a cost.
        areas: name -> area under the curve, mean over the seeds; None where it is undefined.

    Example:
        >>> AtSpeed(10.0, (2.0, 9.0), {"scribbles": 0.7, "masks": 0.8}).ranks(higher_is_better=True)
        {'scribbles': 2, 'masks': 1}
    """

    speed: float
    interval: Interval | None
    areas: Mapping[str, float | None]

    def ranks(self, *, higher_is_better: bool) -> dict[str, int]:
        """The place of each run whose area is defined, 1 for the best; equal ones share it."""
        defined = {name: area if higher_is_better else -area for name, area in self.areas.items() if area is not None}
        return {name: 1 + sum(other > area for other in defined.values()) for name, area in defined.items()}


def assumed_costs(folders: Folders, axis: str) -> dict[str, Any]:
    """What costs by a model assume, as the first run that tells it says.

    Args:
        folders: of the runs that are done, one or more.
        axis: the model's column.

    Example:
        >>> assumed_costs({"random": {0: RunFolder("no/such/folder")}}, "cost")
        {'scribble_speed': 15.0}
    """
    found = [_costs(folder) for of_seed in folders.values() for folder in of_seed.values()]
    told = next((own for own in found if own and "parameters" in own[-1]), None)
    assumed = cost_assumptions(told[-1] if told else {}, axis)
    if "mean_area" in assumed:
        scales = {scale for own in found if own and (scale := AreaScale.of_cost(own[-1])) is not None}
        assumed |= scales.pop()._asdict() if len(scales) == 1 else {"mean_area": None}
    return assumed


def speed_sensitivity(comparison: Comparison, folders: Folders) -> list[AtSpeed] | None:
    """The area under each curve of the first metric for several speeds, over what all curves then share.

    Args:
        comparison: what is compared, over a cost.
        folders: of the runs that are done.

    Returns:
        By rising speed; None where not both weak and full labels are compared.

    Example:
        >>> speed_sensitivity(Comparison("a", "al.yaml", axis="cost"), {}) is None
        True
    """
    costs = {name: {seed: _costs(folder) for seed, folder in of.items()} for name, of in folders.items()}
    kinds = {kind for of in costs.values() for own in of.values() for kind in (own[-1].get("per_kind") or {})}
    if not {WEAK, FULL} <= kinds:
        return None
    own_speed = assumed_costs(folders, comparison.axis)["scribble_speed"]
    curves = {name: {seed: folder.curve() for seed, folder in of.items()} for name, of in folders.items()}
    return [_at_speed(comparison, curves, costs, speed) for speed in sorted({*SENSITIVITY_SPEEDS, own_speed})]


def _at_speed(comparison: Comparison, curves: Mapping[str, Any], costs: Mapping[str, Any], speed: float) -> AtSpeed:
    axis, metric = comparison.axis, comparison.metrics[0]
    moved = {
        name: [
            [row | {axis: cost_at_speed(cost, axis, speed)} for row, cost in zip(curve, costs[name][seed], strict=True)]
            for seed, curve in of_seed.items()
        ]
        for name, of_seed in curves.items()
    }
    interval = common_interval((curve for own in moved.values() for curve in own), axis)
    areas: dict[str, float | None] = {}
    for name, own in moved.items():
        found = [summarized(curve, metric, "aubc", axis, interval) for curve in own]
        defined = [area for area in found if area is not None]
        areas[name] = sum(defined) / len(defined) if len(defined) == len(found) else None
    return AtSpeed(speed, interval, areas)


def _costs(folder: RunFolder) -> list[Mapping[str, Any]]:
    """The ``cost`` of each evaluated round."""
    rounds = (folder.metrics(number) for number in range(len(list(folder.path.glob("round_*")))))
    return [metrics["cost"] for metrics in rounds if metrics is not None]


def sensitivity_text(comparison: Comparison, found: list[AtSpeed], marked: Callable[[str], str]) -> str:
    """A row for each run, a column for each speed: the area and its rank.

    Args:
        comparison: what is compared.
        found: of :func:`speed_sensitivity`.
        marked: from a run's name to how it stands in the table.

    Example:
        >>> areas = {5.0: {"scribbles": 0.7, "masks": 0.8}, 20.0: {"scribbles": 0.85, "masks": 0.8}}
        >>> found = [AtSpeed(r, (2.0, 9.0), own) for r, own in areas.items()]
        >>> text = sensitivity_text(Comparison("a", "al.yaml", axis="cost"), found, str)
        >>> print(text[text.index("The order") :])
        The order changes with r.
        <BLANKLINE>
        | sensitivity | r = 5 (2 to 9) | r = 20 (2 to 9) |
        | --- | --- | --- |
        | scribbles | 0.700 (2) | 0.850 (1) |
        | masks | 0.800 (1) | 0.800 (2) |
    """
    metric = METRICS[comparison.metrics[0]]
    ranks = [at.ranks(higher_is_better=metric.higher_is_better) for at in found]
    known = [own for own in ranks if own]
    changes = any(own != known[0] for own in known)
    order = "The order changes with r." if changes else "The order is the same for all values of r that share one."
    about = (
        f"If a weak label is given r times as fast as a full one: area under the curve of {metric.name} (rank), over "
        f"the part of the axis that all curves then share. {order if known else 'There is none.'}"
    )
    rows = [
        [marked(name), *(_cell(metric.shown, at, own, name) for at, own in zip(found, ranks, strict=True))]
        for name in found[0].areas
    ]
    return f"{about}\n\n{markdown_table(['sensitivity', *map(_title, found)], rows)}"


def _title(at: AtSpeed) -> str:
    shared = at.interval is not None and at.interval[0] <= at.interval[1]
    ends = f"{at.interval[0]:.4g} to {at.interval[1]:.4g}" if shared and at.interval else UNDEFINED
    return f"r = {at.speed:g} ({ends})"


def _cell(shown: Callable[[float], str], at: AtSpeed, ranks: Mapping[str, int], name: str) -> str:
    area = at.areas[name]
    return UNDEFINED if area is None else f"{shown(area)} ({ranks[name]})"
