# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Training, validation and test part, where a data set itself says which patient belongs to which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from monai_al.datasets.files import listed_error
from monai_al.records import Pool

__all__ = ["check_patients", "in_parts"]


def in_parts(pool: Pool, split_of: Mapping[str, str]) -> Pool:
    """The pool with its patients in the parts that the data set gives them; :func:`split_by_patient` keeps these parts.

    Args:
        pool: the pool.
        split_of: patient -> ``"validation"`` or ``"test"``; all others may be annotated.

    Example:
        >>> from monai_al.records import Item
        >>> pool = in_parts(Pool([Item(name, name, name, name) for name in "ab"]), {"b": "test"})
        >>> [item.split for item in pool]
        ['train', 'test']
    """
    items = pool.items.with_wholes(lambda one: replace(one, split=split_of.get(one.patient, "train")))
    return pool.with_items(items)


def check_patients(asked: Iterable[str], known: Iterable[str], option: str) -> None:
    """Refuse names of patients, or of other groups, that a data set does not have.

    Raises:
        DataError: there are such names; all of them are listed.

    Example:
        >>> check_patients(["a"], ["a", "b"], "test_patients")
    """
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise listed_error(f"{option}: {len(unknown)} names that the data set does not have", unknown)
