# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Dice of integer label maps, with the three ways to treat an empty mask.

| truth / prediction    | ``strict``     | ``ignore_empty`` | ``count_empty`` |
|-----------------------|----------------|------------------|-----------------|
| empty / empty         | NaN (excluded) | NaN              | 1               |
| empty / not empty     | 0              | NaN              | 0               |
| not empty / empty     | 0              | 0                | 0               |

``ignore_empty`` is what MONAI's ``DiceMetric`` does by default: a false positive on an empty truth costs nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["EMPTY_POLICIES", "NOT_ANNOTATED", "DiceCounts", "dice", "dice_counts"]

EMPTY_POLICIES = ("strict", "ignore_empty", "count_empty")
NOT_ANNOTATED = 255


class DiceCounts(NamedTuple):
    """Numbers of pixels per foreground class, int64, each ``(C-1,)`` or ``(n, C-1)``.

    Args:
        intersection: pixels of the class in both maps.
        prediction: pixels of the class in the prediction.
        truth: pixels of the class in the truth.

    Example:
        >>> DiceCounts(np.array([1]), np.array([2]), np.array([1])).truth.tolist()
        [1]
    """

    intersection: np.ndarray
    prediction: np.ndarray
    truth: np.ndarray


def dice_counts(prediction: Any, truth: Any, n_classes: int, *, axis: int | None = None) -> DiceCounts:
    """Sizes and intersections of the foreground classes of two label maps.

    Pixels whose truth is 255 are not annotated and count nowhere.

    Args:
        prediction: predicted classes, integers in [0, n_classes), any spatial shape.
        truth: true classes, the same shape, integers in [0, n_classes) or 255.
        n_classes: number of classes C with the background.
        axis: count separately along this axis; None counts over everything.

    Returns:
        Counts of the classes 1..C-1: ``(C-1,)``, or ``(length of axis, C-1)``.

    Raises:
        ValueError: the shapes differ, a value is no class, or ``n_classes`` is not in [2, 255].
        TypeError: the maps do not hold integers.

    Example:
        >>> counts = dice_counts(np.array([[0, 1], [2, 1]]), np.array([[1, 1], [2, 255]]), n_classes=3)
        >>> counts.intersection.tolist(), counts.prediction.tolist(), counts.truth.tolist()
        ([1, 1], [1, 1], [2, 1])
    """
    prediction, truth = checked_label_maps(prediction, truth, n_classes)
    if axis is None:
        prediction, truth = prediction.reshape(1, -1), truth.reshape(1, -1)
    else:
        prediction, truth = (np.moveaxis(labels, axis, 0) for labels in (prediction, truth))
        prediction, truth = (labels.reshape(len(labels), -1) for labels in (prediction, truth))
    joint = np.zeros((len(truth), n_classes, n_classes), dtype=np.int64)
    for row, predicted, true in zip(joint, prediction, truth, strict=True):
        for start in range(0, true.size, _CHUNK):
            row += _joint_counts(predicted[start : start + _CHUNK], true[start : start + _CHUNK], n_classes)
    counts = DiceCounts(np.diagonal(joint, axis1=1, axis2=2)[:, 1:], joint.sum(axis=1)[:, 1:], joint.sum(axis=2)[:, 1:])
    return counts if axis is not None else DiceCounts(*(part[0] for part in counts))


def dice(prediction: Any, truth: Any, n_classes: int, empty_policy: str = "strict") -> np.ndarray:
    """Dice coefficient ``2|P n G| / (|P| + |G|)`` of every foreground class, over everything that is annotated.

    Args:
        prediction: predicted classes, integers in [0, n_classes), any spatial shape.
        truth: true classes, the same shape, integers in [0, n_classes) or 255 = not annotated.
        n_classes: number of classes C with the background.
        empty_policy: ``"strict"``, ``"ignore_empty"`` or ``"count_empty"``, see the table of this module.

    Returns:
        ``(C-1,)`` float64 in [0, 1], NaN where it is undefined.

    Raises:
        ValueError: as :func:`dice_counts`, or an unknown policy.
        TypeError: the maps do not hold integers.

    Example:
        >>> dice(np.array([0, 1, 1]), np.array([0, 0, 1]), n_classes=3).round(3).tolist()
        [0.667, nan]
    """
    return dice_of_counts(dice_counts(prediction, truth, n_classes), empty_policy)


def dice_of_counts(counts: DiceCounts, empty_policy: str = "strict") -> np.ndarray:
    """Dice from counts, of their shape; NaN where it is undefined.

    Example:
        >>> dice_of_counts(DiceCounts(np.array([1]), np.array([2]), np.array([2]))).tolist()
        [0.5]
    """
    check_empty_policy(empty_policy)
    total = counts.prediction + counts.truth
    score = np.divide(2.0 * counts.intersection, total, out=np.full(total.shape, np.nan), where=total > 0)
    if empty_policy == "count_empty":
        score[total == 0] = 1.0
    if empty_policy == "ignore_empty":
        score[counts.truth == 0] = np.nan
    return score


def check_empty_policy(empty_policy: str) -> None:
    """Refuse an unknown policy.

    Raises:
        ValueError: the policy is none of :data:`EMPTY_POLICIES`.

    Example:
        >>> check_empty_policy("strict")
    """
    if empty_policy not in EMPTY_POLICIES:
        raise ValueError(f"empty_policy {empty_policy!r} is none of {', '.join(EMPTY_POLICIES)}")


def checked_label_maps(prediction: Any, truth: Any, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Both label maps as uint8 arrays, after all checks.

    Raises:
        ValueError: the shapes differ, a value is no class, or ``n_classes`` is not in [2, 255].
        TypeError: the maps do not hold integers.

    Example:
        >>> checked_label_maps([[0, 1]], [[255, 1]], n_classes=2)[1].tolist()
        [[255, 1]]
    """
    if not 2 <= n_classes <= NOT_ANNOTATED:
        raise ValueError(f"n_classes counts the background too and must lie in [2, {NOT_ANNOTATED}], got {n_classes}")
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, truth {truth.shape}: score both on one grid")
    return _as_labels(prediction, "prediction", n_classes), _as_labels(truth, "truth", n_classes, NOT_ANNOTATED)


_CHUNK = 1 << 18


def _joint_counts(prediction: np.ndarray, truth: np.ndarray, n_classes: int) -> np.ndarray:
    """Joint histogram ``(C, C)`` of the annotated pixels: rows are true classes, columns predicted ones."""
    pairs = truth.astype(np.int64) * n_classes + prediction
    return np.bincount(pairs, minlength=n_classes**2)[: n_classes**2].reshape(n_classes, n_classes)


def _as_labels(labels: np.ndarray, name: str, n_classes: int, also: int | None = None) -> np.ndarray:
    if labels.dtype.kind not in "biu":
        raise TypeError(f"{name} must hold integer classes, got {labels.dtype}; take the argmax and round first")
    wrong = (labels < 0) | (labels >= n_classes)
    if also is not None:
        wrong &= labels != also
    if wrong.any():
        allowed = f"0 to {n_classes - 1}" + ("" if also is None else f" or {also} (not annotated)")
        raise ValueError(f"{name} holds the value {labels[wrong].min()}, which is no class: expected {allowed}")
    return labels.astype(np.uint8, copy=False)
