# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How much the slices of a data set differ: over all pairs, within patients, within volumes, and of neighbors."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Deviation", "neighbor_deviation", "pairwise_deviation"]

_BLOCK = 1 << 22  # values that are sorted at once


class Deviation(NamedTuple):
    """A mean absolute deviation of pairs.

    Args:
        mean: over all pixels of all pairs; NaN where there is no pair.
        pairs: their number.

    Example:
        >>> Deviation(0.2, 10).pairs
        10
    """

    mean: float
    pairs: int


def pairwise_deviation(images: Any, groups: Sequence[Hashable] | None = None) -> Deviation:
    """Mean absolute difference of the pixels of two images, over all pairs of images in a group.

    S. Vepa et al., "Integrating Deep Metric Learning with Coreset for Active Learning in 3D Segmentation", NeurIPS
    2024, arXiv:2411.15763, show by it how much alike the slices of a patient, of a volume and neighbors are. It is
    exact for any number of images, and no pair is ever formed: of n sorted values the absolute differences of all pairs
    sum to the sum of ``(2 i - n + 1) x_i``, i = 0, ..., n - 1.

    Args:
        images: ``(N, *spatial)``.
        groups: N names; only pairs of the same one count, and each pair counts alike. None: all are one group.

    Raises:
        ValueError: there is no image or no pixel, or another number of groups.

    Example:
        >>> images = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
        >>> pairwise_deviation(images)  # 0.5, 0.5 and 0.5
        Deviation(mean=0.5, pairs=3)
        >>> pairwise_deviation(images, ["a", "b", "b"])
        Deviation(mean=0.5, pairs=1)
    """
    rows = _rows(images, groups)
    of_group: dict[Hashable, list[int]] = {}
    for place, group in enumerate([None] * len(rows) if groups is None else groups):
        of_group.setdefault(group, []).append(place)
    pairs = sum(len(places) * (len(places) - 1) // 2 for places in of_group.values())
    total = sum(_sum_over_pairs(rows[places] if groups is not None else rows) for places in of_group.values())
    return _mean(total, pairs, rows.shape[1])


def neighbor_deviation(images: Any, volumes: Sequence[Hashable], slices: Sequence[int]) -> Deviation:
    """The same over the pairs of neighboring slices: of one volume, with numbers that differ by 1.

    Args:
        images: ``(N, *spatial)``.
        volumes: whose slice it is, N names.
        slices: its number, N of them.

    Raises:
        ValueError: as :func:`pairwise_deviation`.

    Example:
        >>> neighbor_deviation(np.array([[0.0], [0.25], [1.0]]), ["a", "a", "a"], [3, 4, 6])
        Deviation(mean=0.25, pairs=1)
    """
    rows = _rows(images, volumes)
    places = {key: place for place, key in enumerate(zip(volumes, slices, strict=True))}
    pairs = [(place, places[v, s + 1]) for (v, s), place in places.items() if (v, s + 1) in places]
    total = sum(float(np.abs(rows[a].astype(np.float64) - rows[b]).sum()) for a, b in pairs)
    return _mean(total, len(pairs), rows.shape[1])


def _rows(images: Any, names: Sequence[Hashable] | None) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim < 2 or not images.size:
        raise ValueError(f"images must be (N, *spatial) with at least one image and pixel, got {images.shape}")
    if names is not None and len(names) != len(images):
        raise ValueError(f"{len(images)} images have {len(names)} names of groups: give one for each")
    return images.reshape(len(images), -1)


def _sum_over_pairs(rows: np.ndarray) -> float:
    """Sum of the absolute differences of all pairs of rows, some columns at a time."""
    n, width = len(rows), max(1, _BLOCK // len(rows))
    weights = 2.0 * np.arange(n) - n + 1
    blocks = (np.sort(rows[:, start : start + width], axis=0) for start in range(0, rows.shape[1], width))
    return float(sum((weights @ block).sum() for block in blocks)) if n > 1 else 0.0


def _mean(total: float, pairs: int, pixels: int) -> Deviation:
    return Deviation(total / (pairs * pixels) if pairs else float("nan"), pairs)
