# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The 95th percentile of the Hausdorff distance of label maps, in millimeters.

The variant is MONAI's: the **maximum of the two directed 95th percentiles**. Packages that take one percentile of the
distances of both directions together give other numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from monai_al.metrics.dice import NOT_ANNOTATED, check_empty_policy, checked_label_maps

__all__ = ["hd95", "physical_diagonal"]


def hd95(
    prediction: Any, truth: Any, spacing: Sequence[float] | np.ndarray, n_classes: int, empty_policy: str = "strict"
) -> np.ndarray:
    """HD95 of every foreground class: ``max(P95(d(P -> G)), P95(d(G -> P)))`` between the surfaces, in mm.

    The surface of a class are its pixels with a face neighbor outside the class; the outside of the volume counts as
    outside the class. Axes of length 1 are left out, so that a ``(H, W, 1)`` image scores as the ``(H, W)`` one,
    whatever its thickness. Pixels whose truth is 255 belong to no class in either map. Percentiles interpolate
    linearly.

    If exactly one of the two masks is empty the distance is the **penalty**, the physical diagonal of the volume:
    leaving it out of a mean would reward the miss. If both are empty it is undefined under every policy;
    ``"ignore_empty"`` leaves out an empty truth, too, ``"count_empty"`` equals ``"strict"``.

    Args:
        prediction: predicted classes, integers in [0, n_classes), any spatial shape.
        truth: true classes, the same shape, integers in [0, n_classes) or 255 = not annotated.
        spacing: distance of neighboring pixels along every axis in mm.
        n_classes: number of classes C with the background.
        empty_policy: ``"strict"``, ``"ignore_empty"`` or ``"count_empty"``.

    Returns:
        ``(C-1,)`` float64 in mm, NaN where it is undefined.

    Raises:
        ValueError: the shapes or the spacing do not fit, a value is no class, or an unknown policy.
        TypeError: the maps do not hold integers.

    Example:
        >>> truth, prediction = np.zeros((2, 8, 8), dtype=np.uint8)
        >>> truth[2, 2], prediction[2, 5] = 1, 1
        >>> hd95(prediction, truth, spacing=(1.0, 0.5), n_classes=2).tolist()
        [1.5]
    """
    check_empty_policy(empty_policy)
    prediction, truth = checked_label_maps(prediction, truth, n_classes)
    scale = _checked_spacing(spacing, truth.ndim)
    kept = [axis for axis, length in enumerate(truth.shape) if length != 1] or [0]
    shape, scale = tuple(truth.shape[axis] for axis in kept), scale[kept]
    penalty = physical_diagonal(shape, scale)
    ignored = truth == NOT_ANNOTATED
    if ignored.any():
        prediction, truth = (np.where(ignored, np.uint8(0), labels) for labels in (prediction, truth))
    prediction, truth = prediction.reshape(shape), truth.reshape(shape)
    boxes = zip(*(ndimage.find_objects(labels, max_label=n_classes - 1) for labels in (prediction, truth)), strict=True)
    scores = np.full(n_classes - 1, np.nan)
    for i, (predicted_box, true_box) in enumerate(boxes):
        if predicted_box is not None and true_box is not None:
            box = tuple(
                slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(predicted_box, true_box, strict=True)
            )
            scores[i] = _hd95_of_masks(prediction[box] == i + 1, truth[box] == i + 1, scale)
        elif true_box is not None or (predicted_box is not None and empty_policy != "ignore_empty"):
            scores[i] = penalty
    return scores


def physical_diagonal(shape: Sequence[int], spacing: Sequence[float] | np.ndarray) -> float:
    """Diagonal ``sqrt(sum_j (n_j s_j)^2)`` of a volume over all its axes, in mm.

    Args:
        shape: number of pixels along every axis.
        spacing: distance of neighboring pixels along every axis in mm.

    Raises:
        ValueError: the lengths differ, or a spacing is not a positive finite number.

    Example:
        >>> physical_diagonal((3, 8), (1.0, 0.5))
        5.0
    """
    return float(np.linalg.norm(np.asarray(shape) * _checked_spacing(spacing, len(shape))))


def _checked_spacing(spacing: Sequence[float] | np.ndarray, n_axes: int) -> np.ndarray:
    lengths = np.asarray(spacing, dtype=np.float64)
    if lengths.shape != (n_axes,):
        raise ValueError(f"spacing {lengths.tolist()} must hold one number for each of the {n_axes} axes")
    if not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise ValueError(f"spacing {lengths.tolist()} must hold positive finite numbers")
    return lengths


def _hd95_of_masks(prediction: np.ndarray, truth: np.ndarray, spacing: np.ndarray) -> float:
    predicted, true = _surface(prediction), _surface(truth)
    return max(_directed_p95(predicted, true, spacing), _directed_p95(true, predicted, spacing))


def _surface(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask with a face neighbor outside of it; beyond the array is outside."""
    inner = np.pad(mask, 1)
    core = tuple(slice(1, -1) for _ in range(mask.ndim))
    surrounded = mask.copy()
    for axis in range(mask.ndim):
        for side in (slice(None, -2), slice(2, None)):
            surrounded &= inner[tuple(side if a == axis else core[a] for a in range(mask.ndim))]
    return mask & ~surrounded


def _directed_p95(source: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> float:
    """95th percentile of the distances of all source pixels to the nearest goal pixel; shared pixels are at 0."""
    apart = source & ~goal
    distances = np.zeros(np.count_nonzero(source))
    n_apart, n_goal = np.count_nonzero(apart), np.count_nonzero(goal)
    if n_apart:
        nearest = _by_tree if (n_apart + n_goal) * _PIXELS_PER_POINT < goal.size else _by_transform
        distances[:n_apart] = nearest(apart, goal, spacing)
    return float(np.percentile(distances, 95))


_PIXELS_PER_POINT = 8
"""Above this share of surface pixels (a noisy prediction) a distance transform is faster than a tree."""


def _by_tree(source: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    return KDTree(np.argwhere(goal) * spacing, leafsize=32).query(np.argwhere(source) * spacing)[0]


def _by_transform(source: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    nearest: Any = ndimage.distance_transform_edt(~goal, sampling=spacing, return_distances=False, return_indices=True)
    steps = np.stack([axis[source] for axis in nearest], axis=1) - np.argwhere(source)
    return np.linalg.norm(steps * spacing, axis=1)
