# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The scores of one volume on its stored grid, and their summary over a test set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monai_al.metrics.dice import NOT_ANNOTATED, DiceCounts, check_empty_policy, dice_counts, dice_of_counts
from monai_al.metrics.hd95 import hd95

__all__ = ["VolumeScores", "mean_dice", "score_overlapping", "score_volume", "summarize"]

ROWS = ("defined", "prediction_empty", "truth_empty", "both_empty")


@dataclass(frozen=True)
class VolumeScores:
    """Scores of one volume; every tuple holds one entry per foreground class.

    The values are those of the policy ``"strict"``, NaN where they are undefined; :func:`summarize` turns them into
    any other policy by ``empty``.

    Args:
        dice_3d: Dice over the whole volume, never a mean of slices.
        hd95_3d: HD95 over the whole volume in mm; the physical diagonal where exactly one mask is empty.
        empty: which masks of the class are empty: ``"defined"`` (neither), ``"prediction_empty"`` (a miss),
            ``"truth_empty"`` (a false positive) or ``"both_empty"``.
        dice_2d: mean Dice of the slices that hold the class in the truth.
        slices_with_foreground: number of slices that hold the class in the truth.
        slices_without_foreground: number of annotated slices that do not.
        false_positive_slices: how many of those hold the class in the prediction.
        annotated_slices: number of slices that are annotated at least in part.
        empty_slices: how many of those hold no foreground class in the truth.
        false_positive_empty_slices: how many of the empty ones hold any foreground class in the prediction.

    Example:
        >>> volume = np.ones((4, 4, 2), dtype=np.uint8)
        >>> score_volume(volume, volume, spacing=(1, 1, 1), n_classes=2).dice_3d
        (1.0,)
    """

    dice_3d: tuple[float, ...]
    hd95_3d: tuple[float, ...]
    empty: tuple[str, ...]
    dice_2d: tuple[float, ...]
    slices_with_foreground: tuple[int, ...]
    slices_without_foreground: tuple[int, ...]
    false_positive_slices: tuple[int, ...]
    annotated_slices: int
    empty_slices: int
    false_positive_empty_slices: int


def score_volume(
    prediction: Any, truth: Any, spacing: Sequence[float], n_classes: int, *, slice_axis: int | None = -1
) -> VolumeScores:
    """Score one volume, or one 2D image, on the grid of its truth.

    Args:
        prediction: predicted classes, integers in [0, n_classes), ``(H, W, D)`` or ``(H, W)``.
        truth: true classes, the same shape, integers in [0, n_classes) or 255 = not annotated.
        spacing: distance of neighboring pixels along every axis in mm.
        n_classes: number of classes C with the background.
        slice_axis: axis that counts the slices; None treats everything as one slice, as a 2D array always is.

    Returns:
        The scores of the classes 1..C-1.

    Raises:
        ValueError: the shapes or the spacing do not fit, or a value is no class.
        TypeError: the maps do not hold integers.

    Example:
        >>> truth = np.zeros((8, 8, 3), dtype=np.uint8)
        >>> truth[2:4, 2:4, :2] = 1
        >>> scores = score_volume(truth * 0, truth, spacing=(3, 4, 8), n_classes=2)
        >>> scores.dice_3d, scores.empty, scores.slices_with_foreground
        ((0.0,), ('prediction_empty',), (2,))
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if truth.ndim == 2 or slice_axis is None:
        slices = dice_counts(prediction[None], truth[None], n_classes, axis=0)
        annotated = np.array([(truth != NOT_ANNOTATED).any()])
    else:
        slices = dice_counts(prediction, truth, n_classes, axis=slice_axis)
        annotated = (np.moveaxis(truth, slice_axis, 0) != NOT_ANNOTATED).reshape(len(slices.truth), -1).any(axis=1)
    volume = DiceCounts(*(part.sum(axis=0) for part in slices))
    present, predicted = slices.truth > 0, slices.prediction > 0
    absent, blank = annotated[:, None] & ~present, annotated & ~present.any(axis=1)
    return VolumeScores(
        dice_3d=tuple(dice_of_counts(volume).tolist()),
        hd95_3d=tuple(hd95(prediction, truth, spacing, n_classes).tolist()),
        empty=tuple(_row(p, t) for p, t in zip(volume.prediction, volume.truth, strict=True)),
        dice_2d=tuple(_mean(column) for column in dice_of_counts(slices, "ignore_empty").T),
        slices_with_foreground=tuple(present.sum(axis=0).tolist()),
        slices_without_foreground=tuple(absent.sum(axis=0).tolist()),
        false_positive_slices=tuple((absent & predicted).sum(axis=0).tolist()),
        annotated_slices=int(annotated.sum()),
        empty_slices=int(blank.sum()),
        false_positive_empty_slices=int((blank & predicted.any(axis=1)).sum()),
    )


def score_overlapping(
    prediction: Any, truth: Any, spacing: Sequence[float], *, slice_axis: int | None = -1
) -> VolumeScores:
    """Score one volume whose classes may overlap, each as a binary mask of its own.

    Args:
        prediction: masks ``(C, H, W, D)`` or ``(C, H, W)``, one for each foreground class.
        truth: masks of the same shape.
        spacing: see :func:`score_volume`.
        slice_axis: see :func:`score_volume`, counted without the channels.

    Returns:
        The scores of the C classes; the numbers of empty slices are those of their union.

    Raises:
        ValueError: see :func:`score_volume`.

    Example:
        >>> masks = np.zeros((2, 4, 4, 2), dtype=bool)
        >>> masks[0], masks[1, :2] = True, True
        >>> score_overlapping(masks, masks, spacing=(1, 1, 1)).dice_3d
        (1.0, 1.0)
    """
    pairs = [(np.asarray(p) > 0, np.asarray(t) > 0) for p, t in zip(prediction, truth, strict=True)]
    union = np.any([p for p, _ in pairs], axis=0), np.any([t for _, t in pairs], axis=0)
    whole, *each = (
        score_volume(p.astype(np.uint8), t.astype(np.uint8), spacing, 2, slice_axis=slice_axis)
        for p, t in [union, *pairs]
    )
    per_class: dict[str, Any] = {
        name: tuple(getattr(scores, name)[0] for scores in each)
        for name in VolumeScores.__dataclass_fields__
        if isinstance(getattr(whole, name), tuple)
    }
    return replace(whole, **per_class)


def summarize(
    volumes: Iterable[tuple[str, str, VolumeScores]], classes: Sequence[str], empty_policy: str = "strict"
) -> dict[str, Any]:
    """Summary of a test set: the score entries of ``metrics.json``.

    The order of averaging is classes within a volume, volumes within a patient, patients within the test set; a mean
    runs over what is defined. The entry of a class in ``per_class`` averages its volumes within a patient, then the
    patients.

    Args:
        volumes: volume name, patient, scores; the names must be unique.
        classes: names of all classes, **background first**, as a pool holds them.
        empty_policy: how empty masks count: ``"strict"`` (a false positive on an empty truth scores Dice 0 and the
            HD95 penalty), ``"ignore_empty"`` (it is left out) or ``"count_empty"`` (two empty masks score Dice 1).

    Returns:
        Content ready for JSON, None where a number is undefined:

        * ``dice_3d``, ``dice_2d``, ``hd95_3d``: each with ``mean``, ``per_class`` {class: value} and ``per_volume``
          {volume: {class: value}}. ``hd95_3d`` is in mm, ``mean`` counts every miss with the penalty, and adds
          ``mean_defined`` (over pairs where neither mask is empty), ``penalties`` (how many) and its ``variant``.
        * ``counts``: how many (volume, class) pairs are ``defined``, ``prediction_empty``, ``truth_empty`` and
          ``both_empty``; ``slices_with_foreground``, ``slices_without_foreground``, ``false_positive_slices`` and
          ``false_positive_rate`` (any foreground, on slices whose truth has none); all of it again ``per_class``;
          ``volumes`` and ``patients``.
        * ``empty_policy``.

    Raises:
        ValueError: a volume occurs twice, the number of classes does not fit, or an unknown policy.

    Example:
        >>> volume = np.ones((4, 4, 2), dtype=np.uint8)
        >>> scores = score_volume(volume, volume, spacing=(1, 1, 1), n_classes=2)
        >>> summary = summarize([("case_1", "case_1", scores)], ["background", "liver"])
        >>> summary["dice_3d"]
        {'mean': 1.0, 'per_class': {'liver': 1.0}, 'per_volume': {'case_1': {'liver': 1.0}}}
    """
    check_empty_policy(empty_policy)
    entries, names = list(volumes), list(classes)[1:]
    _check_entries(entries, names)
    scores = {volume: score for volume, _, score in entries}
    patients = {volume: patient for volume, patient, _ in entries}
    dice = {v: _under_policy(s.dice_3d, s.empty, empty_policy, both_empty=1.0) for v, s in scores.items()}
    distances = {v: _under_policy(s.hd95_3d, s.empty, empty_policy, both_empty=float("nan")) for v, s in scores.items()}
    missed = {v: [row != "defined" for row in s.empty] for v, s in scores.items()}
    defined = {v: np.where(missed[v], np.nan, own).tolist() for v, own in distances.items()}
    return {
        "dice_3d": _summary_of(dice, patients, names),
        "dice_2d": _summary_of({v: s.dice_2d for v, s in scores.items()}, patients, names),
        "hd95_3d": _summary_of(distances, patients, names)
        | {
            "mean_defined": _summary_of(defined, patients, names)["mean"],
            "penalties": sum(int(np.isfinite(own)[missed[v]].sum()) for v, own in distances.items()),
            "variant": "maximum of the two directed 95th percentiles, mm",
        },
        "counts": _counts(list(scores.values()), names)
        | {"volumes": len(scores), "patients": len(set(patients.values()))},
        "empty_policy": empty_policy,
    }


def mean_dice(counts: DiceCounts, patients: Sequence[Any], empty_policy: str = "strict") -> float:
    """Mean 3D Dice from the counts of some volumes: over their classes, then the volumes, then the patients.

    Args:
        counts: one row for each volume, ``(n, C-1)``.
        patients: whose volume it is, n values.
        empty_policy: how empty masks count; see :func:`summarize`, whose ``dice_3d`` has the same mean.

    Returns:
        A number in [0, 1], NaN where nothing is defined.

    Raises:
        ValueError: an unknown policy, or another number of patients.

    Example:
        >>> counts = DiceCounts(*np.array([[[1, 0], [2, 0]], [[2, 0], [2, 0]], [[2, 0], [2, 3]]]))
        >>> mean_dice(counts, ["a", "b"])  # the second class: absent in the first volume, missed in the second
        0.5
    """
    rows = dice_of_counts(counts, empty_policy)
    values = {str(number): _mean(row) for number, row in enumerate(rows)}
    return _over_patients(values, dict(zip(values, patients, strict=True)))


def _row(prediction: int, truth: int) -> str:
    if truth > 0:
        return "defined" if prediction > 0 else "prediction_empty"
    return "truth_empty" if prediction > 0 else "both_empty"


def _mean(values: Iterable[float]) -> float:
    """Mean of the defined values, NaN where there is none."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _under_policy(values: Sequence[float], rows: Sequence[str], policy: str, *, both_empty: float) -> list[float]:
    """The strict values as another policy gives them."""
    changed = {"count_empty": {"both_empty": both_empty}, "ignore_empty": {"truth_empty": float("nan")}}
    return [changed.get(policy, {}).get(row, value) for value, row in zip(values, rows, strict=True)]


def _check_entries(entries: Sequence[tuple[str, str, VolumeScores]], names: Sequence[str]) -> None:
    seen: set[str] = set()
    for volume, _, score in entries:
        if volume in seen:
            raise ValueError(f"volume {volume!r} is scored twice")
        seen.add(volume)
        if len(score.dice_3d) != len(names):
            raise ValueError(
                f"volume {volume!r} has scores of {len(score.dice_3d)} foreground classes, but {len(names)} are named "
                f"({', '.join(names)}); give the names of all classes, background first"
            )


def _over_patients(values: Mapping[str, float], patients: Mapping[str, Any]) -> float:
    """Mean over patients of the means over their volumes."""
    of_patient: dict[Any, list[float]] = {}
    for volume, value in values.items():
        of_patient.setdefault(patients[volume], []).append(value)
    return _mean(_mean(own) for own in of_patient.values())


def _summary_of(
    values: Mapping[str, Sequence[float]], patients: Mapping[str, str], names: Sequence[str]
) -> dict[str, Any]:
    return {
        "mean": _number(_over_patients({v: _mean(own) for v, own in values.items()}, patients)),
        "per_class": {
            name: _number(_over_patients({v: own[i] for v, own in values.items()}, patients))
            for i, name in enumerate(names)
        },
        "per_volume": {v: {name: _number(x) for name, x in zip(names, own, strict=True)} for v, own in values.items()},
    }


def _counts(scores: Sequence[VolumeScores], names: Sequence[str]) -> dict[str, Any]:
    per_class = {}
    for i, name in enumerate(names):
        without = sum(s.slices_without_foreground[i] for s in scores)
        wrong = sum(s.false_positive_slices[i] for s in scores)
        per_class[name] = {row: sum(s.empty[i] == row for s in scores) for row in ROWS} | {
            "slices_with_foreground": sum(s.slices_with_foreground[i] for s in scores),
            "slices_without_foreground": without,
            "false_positive_slices": wrong,
            "false_positive_rate": wrong / without if without else None,
        }
    empty, wrong = sum(s.empty_slices for s in scores), sum(s.false_positive_empty_slices for s in scores)
    annotated = sum(s.annotated_slices for s in scores)
    return {row: sum(s.empty.count(row) for s in scores) for row in ROWS} | {
        "slices_with_foreground": annotated - empty,
        "slices_without_foreground": empty,
        "false_positive_slices": wrong,
        "false_positive_rate": wrong / empty if empty else None,
        "per_class": per_class,
    }
