# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the models of annotation cost are called, and what has to be said of their assumptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_al.records.cost_model import CostSettings

__all__ = ["COST_TITLES", "assumptions_text"]

COST_TITLES: Mapping[str, str] = {
    "cost": "cost in full items",
    "cost_slices": "cost in full slices",
    "cost_area": "cost in full slices by foreground area",
    "cost_volumes": "cost in full slices with opened volumes",
}
"""Column of ``curve.csv`` -> what it is, in words."""


def assumptions_text(assumed: Mapping[str, Any]) -> str:
    """Sentences about what costs were counted with.

    Args:
        assumed: some of the ``parameters`` of the ``cost`` in ``metrics.json``.

    Example:
        >>> print(assumptions_text({"scribble_speed": 15.0}))
        A weak label costs 1 / r of a full one, r = 15 (scribble_speed): a figure of the literature, no measurement.
        >>> assumptions_text({"scribble_speed": 10.0, "opening_cost": 2.0})[-49:]
        'Opening a volume costs 2 (opening_cost, assumed).'
    """
    speed = assumed["scribble_speed"]
    source = (
        "a figure of the literature, no measurement"
        if speed == CostSettings.scribble_speed
        else f"an assumption; {CostSettings.scribble_speed:g} is a figure of the literature"
    )
    told = [f"A weak label costs 1 / r of a full one, r = {speed:g} (scribble_speed): {source}."]
    if assumed.get("slice_overhead") is not None:
        told.append(f"An empty slice costs {assumed['slice_overhead']:g} (slice_overhead, assumed).")
    if assumed.get("mean_area") is not None:
        over = f", the mean over {assumed['mean_area_of']}" if assumed.get("mean_area_of") else ""
        told.append(f"By area a slice with {assumed['mean_area']:.4g} pixels of foreground costs 1{over}.")
    if assumed.get("opening_cost") is not None:
        told.append(f"Opening a volume costs {assumed['opening_cost']:g} (opening_cost, assumed).")
    return " ".join(told)
