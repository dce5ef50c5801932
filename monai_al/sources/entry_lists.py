# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The datalists of a foreign bundle, made right: labels with their own images, nothing in both lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_al.sources.entry_items import EntryLists
from monai_al.sources.entry_pairs import paired_by_name
from monai_al.sources.entry_settings import USUAL, EntrySettings
from monai_al.sources.entry_split import without_overlap

__all__ = ["entry_lists"]


def entry_lists(
    train: Sequence[Mapping[str, Any]],
    test: Sequence[Mapping[str, Any]],
    others: Sequence[str | Sequence[str]] = (),
    settings: EntrySettings = USUAL,
) -> EntryLists:
    """The entries of a bundle, with its images and labels paired by their names, and no entry in both lists.

    What is right stays as it is; see :func:`monai_al.sources.entry_pairs.paired_by_name` and
    :func:`monai_al.sources.entry_split.without_overlap`.

    Args:
        train: the entries that may be annotated.
        test: those to test on.
        others: the lists of paths that the bundle's config holds, from which its entries may be made.
        settings: under which keys images and labels lie, and whose they are.

    Raises:
        DataError: an entry has no image, no labeled entry is left to test on, or the lists have some of their entries
            in common.

    Example:
        >>> pairs = [{"image": f"/d/im_{i}.nii", "label": f"/d/seg_{l}.nii"} for i, l in zip("1234", "124")]
        >>> found = entry_lists(pairs[:2], pairs[2:], [[f"/d/im_{i}.nii" for i in "1234"]])
        >>> found.test, found.train[2:]
        ([{'image': '/d/im_4.nii', 'label': '/d/seg_4.nii'}], [{'image': '/d/im_3.nii'}])
        >>> print(found.notes[0])
        The bundle's lists pair images and labels by position, and 1 pair was wrong (im_3 was paired with seg_4)...
    """
    return without_overlap(paired_by_name(EntryLists(train, test), others, settings), settings)
