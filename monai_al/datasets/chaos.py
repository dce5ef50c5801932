# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""CHAOS, the CT part: liver in abdominal CT, as DICOM slices with one PNG mask each.

Kavur et al., Medical Image Analysis 69, 2021.
"""

from __future__ import annotations

import os
from pathlib import Path

from monai_al.data.folder_volumes import numbered_files
from monai_al.data.natural_order import natural_key
from monai_al.datasets.cases import complete
from monai_al.datasets.files import Pair, existing_folder, is_our_output, listed_error, pool_of
from monai_al.records import DataError, Pool

__all__ = ["chaos"]

SLICES, MASKS = "DICOM_anon", "Ground"
TEST_PART, OTHER_MODALITY = "Test_Sets", "MR"


def chaos(
    root: str | os.PathLike, *, item: str = "slice", require_labels: bool = True, skip_incomplete: bool = False
) -> Pool:
    """The sets ``CT/<set>/DICOM_anon/*.dcm`` with their masks ``CT/<set>/Ground/*.png``.

    A set is a patient with one volume, ``CT_SET_3`` as its DICOM files name it. The k-th DICOM file and the k-th mask
    by the numbers in their names belong together, and then lie along the volume by the slices' positions. Grey values
    are rescaled as the headers say; the slice step is that of the positions, not the slice thickness. Image and mask
    are rows by columns. The MR part has other folders and is not read, nor is the test part, which has no masks.

    Args:
        root: the folder that holds ``Train_Sets``, or ``Train_Sets``, ``CT`` or one set of it.
        item: ``"slice"`` or ``"volume"``; the latter reads no header before a volume is used.
        require_labels: False also takes sets without masks, for a pool that is still to be annotated.
        skip_incomplete: leave out sets without DICOM files or masks, or with different numbers of them, and name them
            in the notes, instead of raising.

    Raises:
        DataError: the folder is missing or holds no such sets, files are missing, numbers of slices and masks differ, a
            set holds several series, slices of different size or orientation, or uneven steps; all such sets are
            listed.

    Example:
        >>> chaos("monai_al")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: .../monai_al: holds no CT set (a folder with DICOM_anon and Ground) ...
    """
    folder = existing_folder(root)
    sets, tests = _sets(folder)
    pairs = []
    problems: dict[str, str] = {}
    for place in sets:
        name = f"CT_SET_{place.name}"
        slices, masks = _count(place / SLICES), _count(place / MASKS, ".png")
        problem = _problem(place, slices, masks, require_labels)
        if problem:
            problems[name] = problem
        else:
            pairs.append(Pair(place / SLICES, place / MASKS if masks else None, name, name))
    notes = [f"{len(tests)} sets of the test part have no masks and are left out."] if tests else []
    notes += complete(folder, problems, skip_incomplete)
    return pool_of(pairs, item=item, classes=("background", "liver"), root=folder, notes=notes)


def _sets(folder: Path) -> tuple[list[Path], list[Path]]:
    """The sets of the training part, and those of the test part where there are both."""
    found = sorted(_places(folder), key=natural_key)
    if not found:
        raise DataError(
            f"{folder}: holds no CT set (a folder with {SLICES} and {MASKS}) of CHAOS; give the folder that holds "
            "Train_Sets"
        )
    tests = [place for place in found if TEST_PART in place.relative_to(folder).parts]
    sets = [place for place in found if place not in tests]
    sets, tests = (sets, tests) if sets else (tests, [])
    names = [place.name for place in sets]
    twice = [str(place) for place in sets if names.count(place.name) > 1]
    if twice:
        raise listed_error(f"{folder}: sets of one number; give the folder of one copy", twice)
    return sets, tests


def _places(folder: Path) -> list[Path]:
    """The folders that hold slices or masks of a CT; folders of slices themselves are not searched."""
    found = []
    for where, folders, _ in os.walk(folder, followlinks=True):
        if SLICES in folders or MASKS in folders:
            found.append(Path(where))
            folders[:] = []
        searched = (name for name in folders if name[0] not in "._" and name != OTHER_MODALITY)
        folders[:] = [name for name in searched if not is_our_output(Path(where, name))]
    return found


def _count(folder: Path, *suffixes: str) -> int:
    return len(numbered_files(folder, suffixes or ("",))) if folder.is_dir() else 0


def _problem(place: Path, slices: int, masks: int, require_labels: bool) -> str | None:
    if not slices:
        return f"{place / SLICES}: there are no DICOM files" + (f", but {masks} masks" if masks else "")
    if not masks and require_labels:
        return f"{place / MASKS}: there are no masks; --datalist#require_labels False takes sets without them"
    if masks and slices != masks:
        return f"{place / SLICES} has {slices} slices but {place / MASKS} has {masks} masks"
    return None
