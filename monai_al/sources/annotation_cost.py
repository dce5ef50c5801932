# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of a run cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from monai_al.records import FULL, Item, Pool
from monai_al.records.cost_model import (
    SENSITIVITY_SPEEDS,
    AreaScale,
    CostSettings,
    PricedLabel,
    modelled_costs,
)

__all__ = ["annotation_cost", "full_mask_areas", "pool_area_scale"]

SliceAreas = Callable[[Item], Sequence[int] | None]
_POOL, _LABELS = "the pool", "the first full labels"


def annotation_cost(
    labeled: Sequence[Item],
    kinds: Sequence[str],
    voxels: Callable[[Item], tuple[int, int]],
    slices: Callable[[Item], int] | None = None,
    *,
    areas: Callable[[Item, str], Sequence[int] | None] | None = None,
    settings: CostSettings | None = None,
    scale: AreaScale | None = None,
) -> dict[str, Any]:
    """The cost of everything that is labeled, on several scales.

    Args:
        labeled: the labeled items, with their labels.
        kinds: the kind of each label, ``"full"`` or ``"weak"``.
        voxels: the numbers of stored voxels and of stored foreground voxels of an item.
        slices: the number of stored slices of an item, which is what slices and whole volumes have in common; None
            where it is not known.
        areas: stored foreground voxels of each slice in the full mask of an item with a label of a kind, or None where
            there is no full mask; see :func:`full_mask_areas`.
        settings: what the models assume.
        scale: the mean area; None takes it from the full labels.

    Returns:
        ``total`` (a full label counts 1, a weak one 1 / ``scribble_speed``), ``per_kind`` (kind -> ``items`` and
        ``cost``), ``models`` (``slices``, ``area`` and ``volumes``, see
        :func:`monai_al.records.cost_model.modelled_costs`; None where one is undefined), ``parameters``: what they
        assume, ``sensitivity``: each of these costs with other values of ``scribble_speed``, and the numbers of items,
        slices (where known), volumes, patients, stored voxels and stored foreground voxels.

    Example:
        >>> items = [Item(name, name, name, name) for name in "abc"]
        >>> cost = annotation_cost(items, ["full", "full", "weak"], lambda item: (64, 8), slices=lambda item: 1)
        >>> cost["per_kind"]
        {'full': {'items': 2, 'cost': 2.0}, 'weak': {'items': 1, 'cost': 0.06666666666666667}}
        >>> cost["sensitivity"]["20"]
        {'total': 2.05, 'slices': 2.05, 'area': None, 'volumes': 5.05}
    """
    settings = settings or CostSettings()
    counts = [voxels(item) for item in labeled]
    labels = [
        PricedLabel(
            kind, item.volume, None if slices is None else slices(item), None if areas is None else areas(item, kind)
        )
        for item, kind in zip(labeled, kinds, strict=True)
    ]
    scale = scale or AreaScale.over(
        (area for label in labels if label.kind == FULL for area in label.areas or ()), _LABELS
    )
    per_kind = {kind: {"items": n, "cost": n * settings.weight(kind)} for kind, n in sorted(Counter(kinds).items())}
    costs = modelled_costs(labels, settings, scale)
    return {
        "total": sum(entry["cost"] for entry in per_kind.values()),
        "per_kind": per_kind,
        "models": {model: cost for model, cost in costs.items() if model != "total"},
        "parameters": {
            **{name: float(value) for name, value in asdict(settings).items()},
            "mean_area": None if scale is None else scale.mean_area,
            "mean_area_of": None if scale is None else scale.mean_area_of,
        },
        "sensitivity": {
            f"{speed:g}": modelled_costs(labels, replace(settings, scribble_speed=speed), scale)
            for speed in SENSITIVITY_SPEEDS
        },
        "items": len(labeled),
        **({} if slices is None else {"slices": sum(map(slices, labeled))}),
        "volumes": len({item.volume for item in labeled}),
        "patients": len({item.patient for item in labeled}),
        "voxels": sum(total for total, _ in counts),
        "foreground_voxels": sum(foreground for _, foreground in counts),
    }


def full_mask_areas(item: Item, kind: str, pool: Pool, areas: SliceAreas) -> Sequence[int] | None:
    """Foreground of each slice in the full mask of a labeled item: its label, or that of the pool where that is weak.

    Args:
        item: the item with its label.
        kind: of this label.
        pool: the data set's items, with the labels that it has itself.
        areas: stored foreground voxels of each slice by the label that an item names, None where it leaves pixels out.

    Returns:
        None where neither is a full mask.

    Example:
        >>> pool = Pool([Item("a", "a.png", "a", "a", label="mask.png")])
        >>> drawn = Item("a", "a.png", "a", "a", label="scribble.png")
        >>> found = {"mask.png": [812], "scribble.png": None}
        >>> full_mask_areas(drawn, "weak", pool, areas=lambda item: found[item.label])
        [812]
    """
    return areas(item if kind == FULL else pool[pool.index(item.id)])


def pool_area_scale(items: Iterable[Item], areas: SliceAreas) -> AreaScale | None:
    """The mean area over the full masks of a pool, which no label of the run changes.

    Args:
        items: all that may be annotated.
        areas: as of :func:`full_mask_areas`.

    Returns:
        None where an item has no full mask, or no slice has foreground.

    Example:
        >>> items = [Item(name, name, name, name) for name in "abc"]
        >>> found = {"a": [0, 10], "b": [30], "c": [0]}
        >>> pool_area_scale(items, areas=lambda item: found[item.id])
        AreaScale(mean_area=20.0, mean_area_of='the pool')
    """
    found: list[int] = []
    for item in items:
        own = areas(item)
        if own is None:
            return None
        found += own
    return AreaScale.over(found, _POOL)
