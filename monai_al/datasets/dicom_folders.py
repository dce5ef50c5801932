# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The DICOM series below a folder, whatever its files are called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from monai_al.data.dicom_files import is_dicom_image, series_files, series_number
from monai_al.data.folder_volumes import picture_files
from monai_al.data.reading import READABLE_SUFFIXES
from monai_al.datasets.files import folders_below
from monai_al.datasets.pairing import Named
from monai_al.records.stored_files import StoredPart

__all__ = ["dicom_folders", "dicom_volumes"]

OTHER_SUFFIXES = (
    *READABLE_SUFFIXES, ".bval", ".bvec", ".csv", ".db", ".gz", ".h5", ".html", ".json", ".log", ".mat", ".md", ".npy",
    ".npz", ".pdf", ".pt", ".py", ".raw", ".sh", ".tsv", ".txt", ".xlsx", ".xml", ".yaml", ".yml", ".zip",
)  # fmt: skip


def dicom_volumes(folder: Path, *, deep: bool = True) -> list[Named]:
    """The DICOM series of a folder and below it.

    A series is called by its folder's path; of several in one folder each also by its SeriesNumber, ``case_1_series2``,
    or where that does not tell them apart by the end of its UID. A single slice among other series, such as a scout, is
    called by its file, too, ``case_1_scout``; so are single slices alone, ``case_1/scout``. What is no image, such as a
    DICOMDIR, is passed over.

    Args:
        folder: where to search.
        deep: search sub-folders, too.

    Example:
        >>> dicom_volumes(Path("monai_al"))
        []
    """
    found: list[Named] = []
    for place in dicom_folders(folder, deep=deep):
        key = place.name if place == folder else place.relative_to(folder).as_posix()
        found += _series_of(place, key, at_top=place == folder)
    return found


def dicom_folders(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    """The folders that hold DICOM images, by the first bytes of their files.

    Example:
        >>> list(dicom_folders(Path("monai_al")))
        []
    """
    for place, names in folders_below(folder, deep=deep):
        candidates = (place / name for name in names if not name.lower().endswith(OTHER_SUFFIXES))
        if any(is_dicom_image(path) for path in candidates):
            yield place


def _series_of(place: Path, key: str, *, at_top: bool) -> list[Named]:
    """The series of one folder that holds DICOM files."""
    series = series_files(place)
    if len(series) == 1 and picture_files(place):  # else the folder would be read as pictures
        return [Named(str(StoredPart(str(place), series=uid)), key) for uid in series]
    if len(series) < 2:  # without any the reader says what is wrong
        return [Named(str(place), key)]
    alone = all(len(files) == 1 for files in series.values())
    names = []
    for files in series.values():
        stem = os.path.splitext(os.path.basename(files[0]))[0]
        one = stem if at_top else f"{key}/{stem}" if alone else f"{key}_{stem}"
        names.append(one if len(files) == 1 else f"{key}_series{series_number(files[0])}")
    found = []
    for (uid, files), name in zip(series.items(), names, strict=True):
        name = name if names.count(name) == 1 else f"{key}_{uid.rsplit('.', 1)[-1]}"
        found.append(Named(str(StoredPart(str(place), series=uid)), name, "" if len(files) == 1 else key))
    return found
