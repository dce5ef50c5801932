# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The thing an expert annotates in one go: a slice of a volume, a whole image or a whole volume."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLASS_NUMBERS", "SLICE_AXIS", "STORED_CODES", "Item", "slice_id", "slices_of"]

CLASS_NUMBERS, STORED_CODES = "class numbers", "stored codes"
SLICE_AXIS = 2  # slices lie along the third stored axis where nothing else is said


@dataclass(frozen=True, slots=True)
class Item:
    """One thing an expert annotates in one go.

    Args:
        id: unique in its pool: ``"<volume>/<slice>"`` for a slice, the volume's own name otherwise.
        image: path of the stored image: a file, or a folder that is a volume; several channels in files of their own
            as :func:`monai_al.records.stored_files.as_channels` joins them.
        volume: name of the volume, unique over the data set.
        patient: the patient; everything of one patient stays in one split.
        label: path of the stored ground truth, or None where there is none.
        slice: number of the slice, counted from 0 along the stored slice axis; None for a whole image or volume.
        split: ``"train"`` (may be annotated), ``"validation"`` or ``"test"``.
        coding: what the label's values mean: the data set's own ``"stored codes"``, or ``"class numbers"`` with 255 =
            not annotated, as in what people return.
        slice_axis: the stored axis of the volume along which its slices lie: 0, 1 or 2.

    Example:
        >>> Item("case_1/0007", "case_1.nii.gz", "case_1", "case_1", slice=7).slice
        7
    """

    id: str
    image: str
    volume: str
    patient: str
    label: str | None = None
    slice: int | None = None
    split: str = "train"
    coding: str = STORED_CODES
    slice_axis: int = SLICE_AXIS


def slice_id(volume: str, number: int) -> str:
    """The id of a slice: the volume's name and the slice number, padded with zeros to four digits.

    Example:
        >>> slice_id("patient001_frame01", 7)
        'patient001_frame01/0007'
    """
    return f"{volume}/{number:04d}"


def slices_of(
    n_slices: int,
    *,
    image: str,
    volume: str,
    patient: str,
    label: str | None = None,
    slice_axis: int = SLICE_AXIS,
) -> list[Item]:
    """All slices of one volume as items, in stored order.

    Args:
        n_slices: length of the stored slice axis.
        image: path of the stored image.
        volume: name of the volume.
        patient: the patient.
        label: path of the stored ground truth, or None.
        slice_axis: the stored axis along which the slices lie.

    Example:
        >>> [item.id for item in slices_of(2, image="a.nii.gz", volume="a", patient="a")]
        ['a/0000', 'a/0001']
    """
    return [Item(slice_id(volume, z), image, volume, patient, label, z, slice_axis=slice_axis) for z in range(n_slices)]
