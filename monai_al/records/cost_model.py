# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What labels cost, by several models: by items, slices, foreground area, and volumes that were opened."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from monai_al.records.labels import FULL, WEAK

__all__ = [
    "COST_COLUMNS",
    "SENSITIVITY_SPEEDS",
    "AreaScale",
    "CostSettings",
    "PricedLabel",
    "cost_assumptions",
    "cost_at_speed",
    "cost_in_column",
    "modelled_costs",
]

COST_COLUMNS: Mapping[str, str] = {
    "cost": "total",
    "cost_slices": "slices",
    "cost_area": "area",
    "cost_volumes": "volumes",
}
"""Column of ``curve.csv`` -> the model."""
SENSITIVITY_SPEEDS = (5.0, 10.0, 20.0)
"""For which values of ``scribble_speed`` each round tells its cost, too."""

_RANGES = {"scribble_speed": (1, math.inf), "slice_overhead": (0, 1), "opening_cost": (0, math.inf)}
_USES = {
    "total": ("scribble_speed",),
    "slices": ("scribble_speed",),
    "area": ("scribble_speed", "slice_overhead", "mean_area"),
    "volumes": ("scribble_speed", "opening_cost"),
}


@dataclass(frozen=True)
class CostSettings:
    """What the models of annotation cost assume. None of it is measured.

    Args:
        scribble_speed: how many times faster a weak label is given than a full one; 15 is a figure of the literature.
        slice_overhead: the share of an average slice's cost that does not grow with its foreground, in [0, 1]; it is
            what an empty slice costs.
        opening_cost: what opening a volume costs, once, in full slices.

    Raises:
        ValueError: one is out of range.

    Example:
        >>> CostSettings(scribble_speed=10).weight("weak"), CostSettings().weight("full")
        (0.1, 1.0)
    """

    scribble_speed: float = 15.0
    slice_overhead: float = 0.2
    opening_cost: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not number or not low <= value <= high:
                bound = f" and at most {high}" if math.isfinite(high) else ""
                raise ValueError(f"{name} must be a number of at least {low}{bound}, got {value!r}")

    def weight(self, kind: str) -> float:
        """What a label of a kind costs where a full one costs 1.

        Raises:
            ValueError: it is neither full nor weak.
        """
        if kind not in (FULL, WEAK):
            raise ValueError(f"a label of kind {kind!r} has no cost; there are {FULL} and {WEAK}")
        return 1.0 if kind == FULL else 1 / self.scribble_speed


class AreaScale(NamedTuple):
    """What makes an average slice with foreground cost 1 where the cost grows with the area.

    Args:
        mean_area: stored foreground voxels of an average slice that has any.
        mean_area_of: which slices the mean is over.

    Example:
        >>> AreaScale.over([0, 30, 50], "the pool")
        AreaScale(mean_area=40.0, mean_area_of='the pool')
        >>> AreaScale.over([0, 0], "the pool") is None
        True
    """

    mean_area: float
    mean_area_of: str

    @classmethod
    def over(cls, areas: Iterable[int], of: str) -> AreaScale | None:
        """That of slices with these areas; None where none has foreground."""
        positive = [area for area in areas if area > 0]
        return cls(sum(positive) / len(positive), of) if positive else None

    @classmethod
    def of_cost(cls, cost: Mapping[str, Any]) -> AreaScale | None:
        """The one that the ``cost`` of a ``metrics.json`` was found with; None where it is not known."""
        found = cost.get("parameters") or {}
        return None if found.get("mean_area") is None else cls(found["mean_area"], found["mean_area_of"])


class PricedLabel(NamedTuple):
    """What the cost of a label depends on.

    Args:
        kind: ``"full"`` or ``"weak"``.
        volume: the volume that was opened for it.
        slices: how many slices its item holds; None where that is not known.
        areas: stored foreground voxels of each of these slices in the full mask; None where there is no full mask.

    Example:
        >>> PricedLabel("weak", "case_1", 1, (812,)).areas
        (812,)
    """

    kind: str
    volume: str
    slices: int | None = 1
    areas: Sequence[int] | None = None


def modelled_costs(
    labels: Sequence[PricedLabel], settings: CostSettings, scale: AreaScale | None = None
) -> dict[str, float | None]:
    r"""The cost of labels by each model. A weak label costs what a full one would, divided by ``scribble_speed``.

    ``total``: an item costs 1. ``slices``: each slice of an item costs 1. ``area``: slice *s* with the foreground area
    *F(s)* costs ``slice_overhead + (1 - slice_overhead) * F(s) / mean area``, so that an average slice with foreground
    costs 1 and an empty one ``slice_overhead``. ``volumes``: as ``slices``, and ``opening_cost`` for each volume,
    however many of its slices are labeled, and of whichever kind.

    Args:
        labels: everything that is labeled.
        settings: what the models assume.
        scale: the mean area.

    Returns:
        Model -> cost in full slices; None where something that it needs is not known.

    Example:
        >>> labels = [PricedLabel("full", "a", 1, (60,)), PricedLabel("weak", "a", 1, (0,))]
        >>> modelled_costs(labels, CostSettings(scribble_speed=10), AreaScale(40.0, "the pool"))
        {'total': 1.1, 'slices': 1.1, 'area': 1.42, 'volumes': 2.1}
    """
    weights = [settings.weight(label.kind) for label in labels]
    counts = [label.slices for label in labels]
    slices = None if None in counts else math.fsum(w * (n or 0) for w, n in zip(weights, counts, strict=True))
    areas = [_by_area(label.areas, settings.slice_overhead, scale) for label in labels]
    opened = settings.opening_cost * len({label.volume for label in labels})
    return {
        "total": math.fsum(weights),
        "slices": slices,
        "area": None if None in areas else math.fsum(w * (x or 0) for w, x in zip(weights, areas, strict=True)),
        "volumes": None if slices is None else opened + slices,
    }


def _by_area(areas: Sequence[int] | None, overhead: float, scale: AreaScale | None) -> float | None:
    """What a full label costs by its area; slices without foreground need no scale."""
    if areas is None or (scale is None and any(areas)):
        return None
    grown = 0.0 if scale is None else (1 - overhead) * sum(areas) / scale.mean_area
    return overhead * len(areas) + grown


def cost_in_column(cost: Mapping[str, Any], column: str) -> float | None:
    """What the ``cost`` of a ``metrics.json`` says by one model; None where it is undefined, or was not told yet.

    Args:
        cost: of any version.
        column: a key of :data:`COST_COLUMNS`.

    Example:
        >>> cost_in_column({"total": 3.0}, "cost"), cost_in_column({"total": 3.0}, "cost_area")
        (3.0, None)
    """
    model = COST_COLUMNS[column]
    return cost.get("total") if model == "total" else (cost.get("models") or {}).get(model)


def cost_at_speed(cost: Mapping[str, Any], column: str, speed: float) -> float | None:
    """The same if weak labels were given so many times faster than full ones; None where that was not told.

    Args:
        cost: the ``cost`` of a ``metrics.json``, of any version.
        column: a key of :data:`COST_COLUMNS`.
        speed: of :data:`SENSITIVITY_SPEEDS`, or the run's own ``scribble_speed``.

    Example:
        >>> kinds = {"full": {"items": 2, "cost": 2.0}, "weak": {"items": 15, "cost": 1.0}}
        >>> cost_at_speed({"total": 3.0, "per_kind": kinds}, "cost", 5.0)
        5.0
    """
    if speed == cost_assumptions(cost, "cost")["scribble_speed"]:
        return cost_in_column(cost, column)
    model, told = COST_COLUMNS[column], (cost.get("sensitivity") or {}).get(f"{speed:g}")
    if told is not None:
        return told.get(model)
    if model != "total" or "per_kind" not in cost:
        return None
    settings = CostSettings(scribble_speed=speed)
    return math.fsum(settings.weight(kind) * entry["items"] for kind, entry in cost["per_kind"].items())


def cost_assumptions(cost: Mapping[str, Any], column: str) -> dict[str, Any]:
    """What a model assumed: of its parameters those that it uses.

    Args:
        cost: the ``cost`` of a ``metrics.json``; before the parameters stood there, a weak label cost 1/15.
        column: a key of :data:`COST_COLUMNS`.

    Example:
        >>> cost_assumptions({"total": 3.0}, "cost")
        {'scribble_speed': 15.0}
    """
    known = {**asdict(CostSettings()), **(cost.get("parameters") or {})}
    return {name: known.get(name) for name in _USES[COST_COLUMNS[column]]}
