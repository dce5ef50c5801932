# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of a run cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monai_al.data import NOT_ANNOTATED, Item, VolumeCache

__all__ = ["annotation_cost"]

SCRIBBLE_COST = 1 / 15  # of a full mask; a figure of the literature


def annotation_cost(
    labeled: Sequence[Item], returns: Sequence[Mapping[str, Any]], cache: VolumeCache
) -> dict[str, float | int]:
    """The cost of everything that is labeled, on several scales.

    Args:
        labeled: the labeled items.
        returns: what came back: ``items`` and their ``kind``, ``"full"`` or ``"weak"``.
        cache: where the labels lie.

    Returns:
        ``total`` (a full item counts 1, a weak one 1/15), and the numbers of items, volumes, patients, stored voxels
        and stored foreground voxels.

    Example:
        >>> annotation_cost([], [], cache=None)["total"]
        0
    """
    planes = [_truth(item, cache) for item in labeled]
    return {
        "total": sum(len(entry["items"]) * (1.0 if entry["kind"] == "full" else SCRIBBLE_COST) for entry in returns),
        "items": len(labeled),
        "volumes": len({item.volume for item in labeled}),
        "patients": len({item.patient for item in labeled}),
        "voxels": sum(plane.size for plane in planes),
        "foreground_voxels": sum(int(np.count_nonzero((plane > 0) & (plane != NOT_ANNOTATED))) for plane in planes),
    }


def _truth(item: Item, cache: VolumeCache) -> np.ndarray:
    truth = cache.get(item).truth
    if truth is None:
        return np.empty(0, dtype=np.uint8)
    return truth if item.slice is None else truth[item.slice]
