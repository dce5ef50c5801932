# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How much the slices of a data set differ from each other, as one reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from monai.transforms import Compose, Resize, ScaleIntensityRangePercentiles

from monai_al.data.reading import read_volume
from monai_al.metrics import Deviation, neighbor_deviation, pairwise_deviation
from monai_al.records import UNDEFINED, DataError, Item, Pool

__all__ = ["deviation_text", "slice_deviations"]


def slice_deviations(pool: Pool, size: int = 256) -> dict[str, Deviation]:
    """Mean absolute deviation of the pixels of two slices that may be annotated, over all pairs of a kind.

    Grey values of each volume are scaled to 0 at its smallest and 1 at its 99th percentile, and clipped; slices are
    resized to one size. Every pair counts, see :func:`monai_al.metrics.pairwise_deviation`.

    Args:
        pool: the pool; slices of its training part are read, ``size * size * 4`` bytes for each channel of each.
        size: rows and columns of the resized slices.

    Returns:
        ``all``, ``patient``, ``volume`` (pairs of one) and ``neighbors``, of values in [0, 1].

    Raises:
        DataError: items are no slices, or a file cannot be used.

    Example:
        >>> import tempfile
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as root:
        ...     found = slice_deviations(phantom(root, patients=2, shape=(16, 16, 8)), size=16)
        >>> {name: deviation.pairs for name, deviation in found.items()}
        {'all': 496, 'patient': 240, 'volume': 112, 'neighbors': 28}
        >>> found["neighbors"].mean < found["all"].mean
        True
    """
    items = pool.part("train").items
    if not items or any(item.slice is None for item in items):
        raise DataError(
            f"{pool.root}: pairs are those of slices, and the training part holds none; take items of slices"
        )
    images = _images(items, size)
    patients, volumes = [item.patient for item in items], [item.volume for item in items]
    return {
        "all": pairwise_deviation(images),
        "patient": pairwise_deviation(images, patients),
        "volume": pairwise_deviation(images, volumes),
        "neighbors": neighbor_deviation(images, volumes, [item.slice or 0 for item in items]),
    }


def deviation_text(deviations: Mapping[str, Deviation]) -> str:
    """What :func:`slice_deviations` finds, one kind a line.

    Example:
        >>> print(deviation_text({"all": Deviation(0.2171, 300), "volume": Deviation(float("nan"), 0)}))
        mean absolute deviation of the pixels of two slices, grey values 0 to 1
        all        0.217  300 pairs
        volume     –  0 pairs
    """
    head = "mean absolute deviation of the pixels of two slices, grey values 0 to 1"
    shown = {name: UNDEFINED if math.isnan(found.mean) else f"{found.mean:.3f}" for name, found in deviations.items()}
    return "\n".join([head, *(f"{name:<11}{shown[name]}  {deviations[name].pairs} pairs" for name in deviations)])


def _images(items: Sequence[Item], size: int) -> np.ndarray:
    """The slices ``(N, C, size, size)`` in the order of the items."""
    from tqdm import tqdm

    places: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(item.volume, []).append(place)
    images: list[np.ndarray | None] = [None] * len(items)
    for own in tqdm(places.values(), desc="resizing", unit="volume", disable=None, leave=False):
        first = items[own[0]]
        volume = read_volume(first.image, slice_axis=first.slice_axis).image
        scale = Compose([ScaleIntensityRangePercentiles(0, 99, 0, 1, clip=True), Resize((size, size, volume.shape[3]))])
        scaled = torch.as_tensor(scale(torch.from_numpy(np.ascontiguousarray(volume, dtype=np.float32)))).numpy()
        for place in own:
            images[place] = scaled[..., items[place].slice]
    return np.stack([image for image in images if image is not None])
