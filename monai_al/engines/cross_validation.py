# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How well a round's training does on labeled patients that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from monai_al.records import Item

__all__ = ["cross_validated"]


def cross_validated(
    items: Sequence[Item],
    folds: int,
    score: Callable[[int, list[Item], list[Item]], dict[str, Any]],
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Scores over parts of the labeled patients, each of a network that saw the others alone.

    Args:
        items: the labeled items.
        folds: the number of parts; at most as many as there are patients.
        score: number of a part, the items to train on, those to score -> ``mean`` and ``per_class``.
        rng: deals the patients out.

    Returns:
        ``mean`` and ``per_class``, the means over the parts in which they are defined, ``folds`` and ``patients``; None
        where there is but one patient.

    Example:
        >>> items = [Item(name, name, name, name) for name in "abcde"]
        >>> counted = lambda part, train, held_out: {"mean": len(held_out), "per_class": {"liver": len(train)}}
        >>> cross_validated(items, 5, counted, np.random.default_rng(0))
        {'mean': 1.0, 'per_class': {'liver': 4.0}, 'folds': 5, 'patients': 5}
    """
    patients = sorted({item.patient for item in items})
    folds = min(folds, len(patients))
    if folds < 2:
        return None
    order = [patients[int(i)] for i in rng.permutation(len(patients))]
    found = []
    for part in range(folds):
        held_out = set(order[part::folds])
        train = [item for item in items if item.patient not in held_out]
        found.append(score(part, train, [item for item in items if item.patient in held_out]))
    classes = found[0]["per_class"]
    return {
        "mean": _mean([one["mean"] for one in found]),
        "per_class": {name: _mean([one["per_class"][name] for one in found]) for name in classes},
        "folds": folds,
        "patients": len(patients),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
