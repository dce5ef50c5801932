# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of a run cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from monai_al.records import FULL, WEAK, Item

__all__ = ["annotation_cost"]

LABEL_COST = {FULL: 1.0, WEAK: 1 / 15}  # a scribble against a mask; a figure of the literature


def annotation_cost(
    labeled: Sequence[Item],
    kinds: Sequence[str],
    voxels: Callable[[Item], tuple[int, int]],
    slices: Callable[[Item], int] | None = None,
) -> dict[str, Any]:
    """The cost of everything that is labeled, on several scales.

    Args:
        labeled: the labeled items, with their labels.
        kinds: the kind of each label, ``"full"`` or ``"weak"``.
        voxels: the numbers of stored voxels and of stored foreground voxels of an item.
        slices: the number of stored slices of an item, which is what slices and whole volumes have in common; None
            where it is not known.

    Returns:
        ``total`` (a full label counts 1, a weak one 1/15), ``per_kind`` (kind -> ``items`` and ``cost``), and the
        numbers of items, slices (where known), volumes, patients, stored voxels and stored foreground voxels.

    Example:
        >>> items = [Item(name, name, name, name) for name in "abc"]
        >>> annotation_cost(items, ["full", "full", "weak"], voxels=lambda item: (64, 8))["per_kind"]
        {'full': {'items': 2, 'cost': 2.0}, 'weak': {'items': 1, 'cost': 0.06666666666666667}}
    """
    counts = [voxels(item) for item in labeled]
    per_kind = {kind: {"items": n, "cost": n * LABEL_COST[kind]} for kind, n in sorted(Counter(kinds).items())}
    return {
        "total": sum(entry["cost"] for entry in per_kind.values()),
        "per_kind": per_kind,
        "items": len(labeled),
        **({} if slices is None else {"slices": sum(map(slices, labeled))}),
        "volumes": len({item.volume for item in labeled}),
        "patients": len({item.patient for item in labeled}),
        "voxels": sum(total for total, _ in counts),
        "foreground_voxels": sum(foreground for _, foreground in counts),
    }
