# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of a run cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai_al.records import Item

__all__ = ["annotation_cost"]

SCRIBBLE_COST = 1 / 15  # of a full mask; a figure of the literature


def annotation_cost(
    labeled: Sequence[Item],
    returns: Sequence[Mapping[str, Any]],
    voxels: Callable[[Item], tuple[int, int]],
    slices: Callable[[Item], int] | None = None,
) -> dict[str, float | int]:
    """The cost of everything that is labeled, on several scales.

    Args:
        labeled: the labeled items.
        returns: what came back: ``items`` and their ``kind``, ``"full"`` or ``"weak"``.
        voxels: the numbers of stored voxels and of stored foreground voxels of an item.
        slices: the number of stored slices of an item, which is what slices and whole volumes have in common; None
            where it is not known.

    Returns:
        ``total`` (a full item counts 1, a weak one 1/15), and the numbers of items, slices (where known), volumes,
        patients, stored voxels and stored foreground voxels.

    Example:
        >>> annotation_cost([], [], voxels=lambda item: (0, 0))["total"]
        0
    """
    counts = [voxels(item) for item in labeled]
    return {
        "total": sum(len(entry["items"]) * (1.0 if entry["kind"] == "full" else SCRIBBLE_COST) for entry in returns),
        "items": len(labeled),
        **({} if slices is None else {"slices": sum(map(slices, labeled))}),
        "volumes": len({item.volume for item in labeled}),
        "patients": len({item.patient for item in labeled}),
        "voxels": sum(total for total, _ in counts),
        "foreground_voxels": sum(foreground for _, foreground in counts),
    }
