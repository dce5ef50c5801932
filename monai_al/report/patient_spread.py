# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How scores spread over the patients that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monai_al.report._page_numbers import digits, several

__all__ = ["patient_dice", "quartiles", "spread_text"]

_FEW = 4  # patients; of fewer there are no quartiles


def patient_dice(per_volume: Mapping[str, Mapping[str, float | None]], patients: Mapping[str, str]) -> dict[str, float]:
    """Patient -> the mean 3D Dice of its volumes, each the mean of its defined classes; those without any are left out.

    Args:
        per_volume: volume -> class -> Dice, as in ``metrics.json``.
        patients: volume -> patient.

    Example:
        >>> scores = {"a_1": {"cyst": 0.5, "spleen": 1.0}, "a_2": {"cyst": 0.25, "spleen": None}, "b": {"cyst": None}}
        >>> patient_dice(scores, {"a_1": "a", "a_2": "a", "b": "b"})
        {'a': 0.5}
    """
    found: dict[str, list[float]] = {}
    for volume, classes in per_volume.items():
        defined = [score for score in classes.values() if score is not None]
        if defined:
            found.setdefault(patients.get(volume, volume), []).append(float(np.mean(defined)))
    return {patient: float(np.mean(scores)) for patient, scores in found.items()}


def quartiles(scores: Sequence[float]) -> tuple[float, float] | None:
    """The first and the third quartile; None of fewer than four scores.

    Example:
        >>> quartiles([0.1, 0.2, 0.3, 0.4, 0.5])
        (0.2, 0.4)
    """
    if len(scores) < _FEW:
        return None
    low, high = np.quantile(scores, [0.25, 0.75])
    return float(low), float(high)


def spread_text(dice: Mapping[str, float]) -> str:
    """A sentence about the patients of the last round; nothing of fewer than four.

    Args:
        dice: of :func:`patient_dice`.

    Example:
        >>> print(spread_text({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5}))
        Of the 5 test patients the middle half lies between 0.200 and 0.400; the lowest is a with 0.100.
    """
    between = quartiles(list(dice.values()))
    if between is None:
        return ""
    low, high = (digits(score, 3) for score in between)
    worst = min(dice, key=lambda patient: (dice[patient], patient))
    return (
        f"Of the {several(len(dice), 'test patient')} the middle half lies between {low} and {high}; the lowest is "
        f"{worst} with {digits(dice[worst], 3)}."
    )
