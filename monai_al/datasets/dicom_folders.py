# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The DICOM series below a folder, whatever its files are called."""

from __future__ import annotations

import os
from pathlib import Path

from monai_al.data.dicom_series import is_dicom_image, series_files, series_number
from monai_al.data.reading import READABLE_SUFFIXES
from monai_al.datasets.files import folders_below
from monai_al.records.stored_files import StoredPart

__all__ = ["dicom_volumes"]

OTHER_SUFFIXES = (*READABLE_SUFFIXES, ".raw", ".csv", ".json", ".txt", ".xml", ".pdf", ".md", ".zip", ".gz", ".db")


def dicom_volumes(folder: Path, *, deep: bool = True) -> dict[str, str]:
    """The DICOM series of a folder and below it: their names, and the text that names the image of each.

    A series is called by its folder's path; several of one folder also by their SeriesNumber, ``case_1_series2``, or
    where that does not tell them apart by the end of their UID. A series of a single file among several is called by
    that file, ``case_1/scout``. A DICOMDIR and other objects that are no images are passed over.

    Args:
        folder: where to search.
        deep: search sub-folders, too.

    Returns:
        Path below the folder -> image, as an item holds it.

    Example:
        >>> dicom_volumes(Path("monai_al"))
        {}
    """
    found: dict[str, str] = {}
    for place, names in folders_below(folder, deep=deep):
        candidates = (place / name for name in names if not name.lower().endswith(OTHER_SUFFIXES))
        if any(is_dicom_image(path) for path in candidates):
            key = place.relative_to(folder).as_posix()
            found |= _series_of(place, key)
    return found


def _series_of(place: Path, key: str) -> dict[str, str]:
    """Name -> image, of one folder that holds DICOM files."""
    series = series_files(place)
    if len(series) < 2:  # without any the reader says what is wrong
        return {key: str(place)}
    names = [_series_name(place, key, files) for files in series.values()]
    ends = [f"{key}_{uid.rsplit('.', 1)[-1]}" for uid in series]
    return {
        name if names.count(name) == 1 else end: str(StoredPart(str(place), series=uid))
        for name, end, uid in zip(names, ends, series, strict=True)
    }


def _series_name(place: Path, key: str, files: tuple[str, ...]) -> str:
    if len(files) == 1:
        stem = os.path.splitext(os.path.basename(files[0]))[0]
        return stem if key == "." else f"{key}/{stem}"
    return f"{place.name if key == '.' else key}_series{series_number(files[0])}"
