# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether images are CT, MR or pictures, which decides how their grey values are scaled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_al.data.dicom_files import header_text, read_header, series_files
from monai_al.data.folder_volumes import PICTURE_SUFFIXES
from monai_al.data.reading import read_volume
from monai_al.records.stored_files import stored_channels

__all__ = ["CT", "MR", "PICTURES", "UNKNOWN", "GreyValues", "Modality", "grey_values", "modality_of"]

CT, MR, PICTURES, UNKNOWN = "CT", "MR", "pictures", "unknown"
AIR, BONE = -800, 200  # HU; CT reaches below the one and above the other
LOWEST = -4096
_MODALITY = "0008|0060"
_NAMED_MR = re.compile(r"(?:^|[^a-z])(?:mri?|t1|t2|flair|adc|dwi|swi|pd)", re.IGNORECASE)


@dataclass(frozen=True)
class Modality:
    """What images are, and how that was told.

    Args:
        kind: ``"CT"``, ``"MR"``, ``"pictures"`` or ``"unknown"``.
        told: what tells it.

    Example:
        >>> print(Modality(CT, "the channel_names of dataset.json"))
        CT, told by the channel_names of dataset.json
    """

    kind: str
    told: str

    def __str__(self) -> str:
        return f"{self.kind}, told by {self.told}"


@dataclass(frozen=True)
class GreyValues:
    """What the voxels of one image are like.

    Args:
        channels: their number.
        low: the smallest value.
        high: the largest one.
        whole: all are whole numbers.

    Example:
        >>> GreyValues(1, -1024, 1800, True).of_ct
        True
    """

    channels: int
    low: float
    high: float
    whole: bool

    @property
    def of_ct(self) -> bool:
        """Whether they look like Hounsfield units: whole numbers from air to bone."""
        return self.whole and LOWEST <= self.low <= AIR and self.high >= BONE


def grey_values(image: str) -> GreyValues:
    """Reads an image.

    Raises:
        DataError: it cannot be read.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.linear_gradient("L").save(f"{folder}/a.png")
        ...     grey_values(f"{folder}/a.png")
        GreyValues(channels=1, low=0.0, high=255.0, whole=True)
    """
    values = read_volume(image).image
    whole = all(bool((plane == np.rint(plane)).all()) for plane in np.moveaxis(values, -1, 0))
    return GreyValues(values.shape[0], float(values.min()), float(values.max()), whole)


def modality_of(images: Sequence[str], values: Sequence[GreyValues], channel_names: Sequence[str] = ()) -> Modality:
    """What images are, by the first that tells it: the data set's words, DICOM headers, kinds of files, grey values.

    Args:
        images: some images of the data set.
        values: their grey values.
        channel_names: what the data set calls their channels.

    Raises:
        DataError: a DICOM header cannot be read.

    Example:
        >>> print(modality_of(["a.nii"], [GreyValues(1, -1000, 1200, True)]))
        CT, told by the grey values of 1 image: whole numbers from -1000 to 1200
        >>> modality_of(["a.nii", "b.nii"], [GreyValues(1, 0, 900, True)] * 2).kind
        'unknown'
        >>> modality_of(["a.nii"], [GreyValues(1, 0, 900, True)], ["T2"]).kind
        'MR'
    """
    for kind, told in (_of_names(channel_names), _of_headers(images)):
        if kind:
            return Modality(kind, told)
    if all(stored_channels(image)[0].path.lower().endswith(PICTURE_SUFFIXES) for image in images):
        return Modality(PICTURES, "the kind of the files")
    low, high = min(one.low for one in values), max(one.high for one in values)
    number = f"{len(values)} image{'s' * (len(values) > 1)}"
    told = f"the grey values of {number}: {'whole ' * all(v.whole for v in values)}numbers from {low:g} to {high:g}"
    return Modality(CT if all(one.of_ct for one in values) else UNKNOWN, told)


def _of_names(names: Sequence[str]) -> tuple[str, str]:
    told = f"what the data set calls them, {', '.join(names)}"
    if names and all(name.strip().upper() == CT for name in names):
        return CT, told
    return (MR if names and all(_NAMED_MR.search(name) for name in names) else ""), told


def _of_headers(images: Sequence[str]) -> tuple[str, str]:
    found = {_stated(image) for image in images}
    told = f"the Modality {', '.join(sorted(found - {''}))} of the DICOM headers"
    if found in ({"CT"}, {"MR"}):
        return found.pop(), told
    return (UNKNOWN if found - {""} else ""), told


def _stated(image: str) -> str:
    """The Modality of a DICOM series; empty for other files."""
    part = stored_channels(image)[0]
    series = series_files(part.path) if part.is_folder and not part.is_pattern else {}
    files = series.get(part.series) or next(iter(series.values()), ())
    return header_text(read_header(files[0]), _MODALITY) if files else ""
