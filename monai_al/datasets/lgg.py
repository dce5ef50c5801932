# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""LGG FLAIR, as NIfTI or in the TIFF files of kaggle_3m: lower-grade gliomas of TCGA, whole FLAIR abnormality.

Buda, Saha, Mazurowski, Computers in Biology and Medicine 109, 2019.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from monai_al.datasets.cases import case_folders, complete, nifti
from monai_al.datasets.files import Pair, existing_folder, pool_of, readable_files, shortened
from monai_al.records import Pool
from monai_al.records.stored_files import of_channel

__all__ = ["lgg"]

FLAIR = 1  # of the TIFF files; 0 is pre-contrast, 2 post-contrast
_SLICE = re.compile(r"_(\d+)(_mask)?\.tiff?$", re.IGNORECASE)


def lgg(
    root: str | os.PathLike, *, item: str = "slice", require_labels: bool = True, skip_incomplete: bool = False
) -> Pool:
    """The volumes ``<patient>/<patient>_flair.nii.gz`` with their labels ``<patient>_seg.nii.gz``, or the TIFF files.

    These are ``<patient>/<patient>_<n>.tif``, of which the second of three channels is FLAIR, with
    ``<patient>_<n>_mask.tif``: one file for each slice, counted from 1. A patient has one volume in either form.

    Args:
        root: the folder of the patients' folders.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images without a label, for a pool that is still to be annotated.
        skip_incomplete: leave out patients with a missing file, and name them in the notes, instead of raising.

    Raises:
        DataError: the folder is missing or empty, or images, labels or slices are missing (all of them are listed).

    Example:
        >>> import tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     os.mkdir(f"{root}/TCGA_1")
        ...     for name in ("TCGA_1_flair", "TCGA_1_seg"):
        ...         volume = nibabel.Nifti1Image(np.zeros((4, 4, 3), np.uint8), np.eye(4))
        ...         nibabel.save(volume, f"{root}/TCGA_1/{name}.nii.gz")
        ...     lgg(root)
        Pool(3 items, 1 volumes, 1 patients)
    """
    folder = existing_folder(root)
    pairs: list[Pair] = []
    problems: dict[str, str] = {}
    for found in (*_in_nifti(folder, require_labels), *_in_tiff(folder, require_labels)):
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            problems[found.partition(":")[0]] = found
    slices = [pair for pair in pairs if "*" in str(pair.image)]
    notes = ["The spacing (1, 1, 5) mm in the headers is a placeholder: distances in mm mean nothing."]
    if slices:
        notes = ["The files state no voxel size: distances in mm mean nothing. FLAIR is their channel 1."]
    notes += complete(folder, problems, skip_incomplete)
    classes = ("background", "tumour")
    return pool_of(pairs, item=item, classes=classes, root=folder, notes=notes, placeholder_spacing=True)


def _in_nifti(folder: Path, require_labels: bool) -> Iterator[Pair | str]:
    """A pair for each patient, or what is missing of it."""
    for case in case_folders(folder):
        name = case.name
        image, label = nifti(case, f"{name}_flair"), nifti(case, f"{name}_seg")
        if image is None:
            yield f"{name}: no {name}_flair.nii.gz" + (f", but {label.name}" if label else "")
        elif label is None and require_labels:
            yield f"{name}: no {name}_seg.nii.gz"
        else:
            yield Pair(image, label, name, name)


def _in_tiff(folder: Path, require_labels: bool) -> Iterator[Pair | str]:
    """The same of the patients whose slices are files of their own."""
    for case in case_folders(folder, (".tif", ".tiff")):
        found = [(match, path) for path in readable_files(case, deep=False) if (match := _SLICE.search(path.name))]
        images = {int(match[1]): path for match, path in found if not match[2]}
        masks = {int(match[1]): path for match, path in found if match[2]}
        missing = _missing(images, masks, masked=bool(masks) or require_labels)
        if missing:
            yield f"{case.name}: no {shortened([f'{case.name}_{end}.tif' for end in missing])}"
        elif images:
            ending = next(iter(images.values())).suffix
            image = of_channel(str(case / f"*[0-9]{ending}"), FLAIR)
            yield Pair(image, case / f"*_mask{ending}" if masks else None, case.name, case.name)


def _missing(images: dict[int, Path], masks: dict[int, Path], *, masked: bool) -> list[str]:
    last = max((*images, *masks), default=0)
    lacking = [str(n) for n in range(1, last + 1) if n not in images]
    return lacking + [f"{n}_mask" for n in range(1, last + 1) if masked and n not in masks]
