# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A validation that needs no labels of its own: some of the labeled patients are left out of the training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monai_al.records import DataError, Item, rng

__all__ = ["LABELED", "VALIDATION_PART", "split_labeled", "without_patients_of"]

VALIDATION_PART, LABELED = "validation_part", "labeled"
SHARE = 0.2  # of the labeled patients


def split_labeled(items: Sequence[Item], seed: int) -> tuple[list[Item], list[Item]]:
    """The labeled items to train on, and those of a fifth of the labeled patients, at least one, to validate on.

    Which patients come first follows from their names and the seed alone, so that a patient who is validated on in one
    round is not soon trained on.

    Args:
        items: the labeled items.
        seed: the experiment's seed.

    Raises:
        DataError: they are of one patient.

    Example:
        >>> items = [Item(f"{name}{z}", name, name, name) for name in "abcdef" for z in range(2)]
        >>> train, validation = split_labeled(items, seed=0)
        >>> len(train), len(validation), {item.patient for item in train} & {item.patient for item in validation}
        (8, 4, set())
    """
    patients = sorted({item.patient for item in items}, key=lambda name: rng(seed, 0, f"validated {name}").random())
    if len(patients) < 2:
        raise DataError(
            f"--validate_on {LABELED}: all {len(items)} labeled items are of one patient, and no patient is both "
            "trained and validated on; raise --budget, or take --initial_set central_stratified"
        )
    validated = set(patients[: math.ceil(SHARE * len(patients))])
    return (
        [item for item in items if item.patient not in validated],
        [item for item in items if item.patient in validated],
    )


def without_patients_of(validation: Sequence[Item], items: Sequence[Item]) -> list[Item]:
    """The items of patients who are not validated on, such as those with pseudo labels.

    Args:
        validation: the items that are validated on.
        items: any items.

    Example:
        >>> items = [Item(f"{name}{z}", name, name, name) for name in "ab" for z in range(2)]
        >>> [item.id for item in without_patients_of(items[:1], items)]
        ['b0', 'b1']
    """
    validated = {item.patient for item in validation}
    return [item for item in items if item.patient not in validated]
