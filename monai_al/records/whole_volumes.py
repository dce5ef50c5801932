# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole volumes as items, in place of their slices."""

from __future__ import annotations

from dataclasses import replace

from monai_al.records.errors import DataError
from monai_al.records.item import Item
from monai_al.records.pool import Pool

__all__ = ["whole_volumes"]


def whole_volumes(pool: Pool) -> Pool:
    """A pool with one item for each volume, called by the volume's name, in the order of the first slices.

    Args:
        pool: items that are slices or already whole; a volume counts as a whole even if slices of it are left out.

    Raises:
        DataError: the slices of a volume lie in several files.

    Example:
        >>> from monai_al.records import slices_of
        >>> pool = Pool(slices_of(3, image="a.nii.gz", volume="a", patient="a"))
        >>> [item.id for item in whole_volumes(pool)]
        ['a']
    """
    first: dict[str, Item] = {}
    for item in pool:
        other = first.setdefault(item.volume, item)
        if (item.image, item.label) != (other.image, other.label):
            raise DataError(
                f"volume {item.volume!r} lies in several files, such as {other.image} and {item.image}: only a volume "
                "in one file can be annotated as a whole"
            )
    return pool.with_items(replace(item, id=item.volume, slice=None) for item in first.values())
