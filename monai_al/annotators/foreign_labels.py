# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a bundle that was written without this package can read what a person returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from monai_al.assets import docs_page
from monai_al.data.itk_images import ITK_SUFFIXES
from monai_al.data.nifti_header import NIFTI_SUFFIXES
from monai_al.data.reading import stored_label_values
from monai_al.records import DataError, Item
from monai_al.sources import Source

__all__ = ["check_foreign"]

_ELSE = (
    f"let an annotator of your own return labels as the bundle stores them ({docs_page('labels.md')}), or add labels "
    "to the data set and let the oracle answer"
)


def check_foreign(source: Source, items: Iterable[Item]) -> None:
    """Refuse to hand out what a bundle could not train on when it comes back.

    What comes back is a NIfTI file of class numbers on the grid of its image, which the bundle's own transforms read in
    the place of its own labels. So these have to be class numbers, too, and images volumes of files with an affine.

    Args:
        source: the data; nothing is refused where it reads class numbers itself.
        items: those that are to be handed out.

    Raises:
        DataError: says which item cannot be handed out, and what to do.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> check_foreign(SliceSource(Pool([]), cache=None), [])
    """
    if source.reads_class_numbers:
        return
    if source.overlapping:
        raise DataError(f"the classes of this bundle overlap, which one class number a voxel cannot say: {_ELSE}")
    entries = Counter(item.image for item in source.data)
    for item in items:
        if not item.image.lower().endswith((*NIFTI_SUFFIXES, *ITK_SUFFIXES)):
            raise DataError(f"{item.id}: only volumes in NIfTI, NRRD and MetaImage files can be handed out: {_ELSE}")
        if entries[item.image] > 1:
            raise DataError(f"{item.id}: the bundle has several entries of this image, each a part of it: {_ELSE}")
    first = next((item for item in source.data if item.label is not None), None)
    if first is not None and first.label is not None:
        known = range(len(source.data.classes))
        other = [value for value in stored_label_values(first.label) if value not in known]
        if other:
            raise DataError(
                f"{first.label}: holds {other[0]}, so the bundle's labels are no class numbers (0 to {known[-1]}), "
                f"which are what is handed out: {_ELSE}"
            )
