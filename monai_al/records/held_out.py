# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Patients of a pool on which a training without labels validates."""

from __future__ import annotations

from collections.abc import Sequence

from monai_al.records.item import Item
from monai_al.records.randomness import rng

__all__ = ["held_out"]


def held_out(items: Sequence[Item], share: float = 0.1, *, seed: int = 0) -> tuple[list[Item], list[Item]]:
    """Items to train on, and those of other patients to validate on, both in the order they had.

    Args:
        items: what may be annotated.
        share: of the patients, rounded to the nearest number, at least one where it is above 0; one patient alone is
            trained on.
        seed: of the draw, which depends on the patients' names and the seed alone.

    Raises:
        ValueError: the share is not in [0, 1), or leaves nobody to train on.

    Example:
        >>> items = [Item(name, name, name, name[0]) for name in ("a0", "a1", "b0", "c0", "c1")]
        >>> [[item.id for item in part] for part in held_out(items, 1 / 3)]
        [['a0', 'a1', 'b0'], ['c0', 'c1']]
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share of patients that are held out must be in [0, 1), got {share}")
    patients = sorted({item.patient for item in items})
    number = max(1, round(share * len(patients))) if share > 0 and len(patients) > 1 else 0
    if number and number == len(patients):
        raise ValueError(f"a share of {share} holds out all {len(patients)} patients: lower --pretrain_validation")
    order = rng(seed, 0, "held out").permutation(len(patients))
    drawn = {patients[i] for i in order[:number]}
    return [i for i in items if i.patient not in drawn], [i for i in items if i.patient in drawn]
