# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Medical Segmentation Decathlon: any task, as its ``dataset.json`` lists it.

Simpson et al., arXiv:1902.09063; Antonelli et al., Nature Communications 13, 2022. CC BY-SA 4.0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_al.datasets.datalist import datalist
from monai_al.datasets.files import Pair, existing_folder, listed_error, natural_key, pool_of, readable_files, shortened
from monai_al.datasets.listing import NNUNET, Entry, classes_of, entries_of, read_listing
from monai_al.records import DataError, Pool
from monai_al.records.stored_files import as_channels

__all__ = ["decathlon"]


def decathlon(
    root: str | os.PathLike,
    *,
    item: str = "slice",
    label_values: Mapping[int, int] | None = None,
    skip_incomplete: bool = False,
    affine_tolerated: bool = False,
    slice_axis: int | str = 2,
) -> Pool:
    """The labeled volumes of a Medical Segmentation Decathlon task.

    The list in ``dataset.json`` decides which volumes there are; class names come from its ``labels``. Without the
    file, ``imagesTr`` and ``labelsTr`` are paired by name. The unlabeled ``test`` images are left out. One case is one
    patient with one volume. A ``dataset.json`` of nnU-Net is read, too, see :func:`monai_al.datasets.datalist`.

    Args:
        root: the task's folder, such as ``Task09_Spleen``.
        item: ``"slice"`` or ``"volume"``.
        label_values: stored label value -> class number or 255. Default: each value that ``dataset.json`` lists is a
            class; without the file, each that is found.
        skip_incomplete: leave out cases with a missing file, and name them in the notes, instead of raising.
        affine_tolerated: where the affines of an image and its label differ, warn and use the image's for both.
        slice_axis: the stored axis along which the slices lie, counted from 0, or ``"coarsest"`` for that of the
            largest voxel size of each file; see :func:`monai_al.datasets.files.pool_of`.

    Raises:
        DataError: the folder or a listed file is missing, an entry leads out of the folder, or the list is malformed.

    Example:
        >>> import json, tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for folder in ("imagesTr", "labelsTr"):
        ...         Path(root, folder).mkdir()
        ...         volume = nibabel.Nifti1Image(np.zeros((4, 4, 3), np.uint8), np.eye(4))
        ...         nibabel.save(volume, Path(root, folder, "spleen_2.nii.gz"))
        ...     entry = {"image": "./imagesTr/spleen_2.nii.gz", "label": "./labelsTr/spleen_2.nii.gz"}
        ...     listing = {"labels": {"0": "background", "1": "spleen"}, "training": [entry]}
        ...     _ = Path(root, "dataset.json").write_text(json.dumps(listing))
        ...     pool = decathlon(root)
        >>> pool, pool.classes
        (Pool(3 items, 1 volumes, 1 patients), ('background', 'spleen'))
    """
    folder = existing_folder(root)
    if not (folder / "dataset.json").is_file():
        return _without_list(
            folder,
            item=item,
            label_values=label_values,
            skip_incomplete=skip_incomplete,
            affine_tolerated=affine_tolerated,
            slice_axis=slice_axis,
        )
    path = folder / "dataset.json"
    listing = read_listing(path)
    if not isinstance(listing.get("training"), list):
        if any(key in listing for key in NNUNET):
            return datalist(
                folder,
                item=item,
                label_values=label_values,
                skip_incomplete=skip_incomplete,
                affine_tolerated=affine_tolerated,
                slice_axis=slice_axis,
            )
        raise DataError(f"{path}: has no list 'training'; is this a Medical Segmentation Decathlon task?")
    classes, listed_values = classes_of(listing, path)
    entries = _labeled(listing, path)
    missing = [f"./{file.relative_to(folder).as_posix()}" for entry in entries for file in entry.missing()]
    entries.sort(key=lambda entry: natural_key(entry.case))
    pairs = [Pair(as_channels(entry.images), entry.label, entry.case, entry.case) for entry in entries]
    notes = _notes(listing, folder, entries)
    if missing:
        if not skip_incomplete:
            raise listed_error(f"{folder}: {len(missing)} files named in dataset.json are missing", missing)
        notes.append(
            f"{len(missing)} files of dataset.json are missing; their cases are left out: {shortened(missing)}."
        )
        pairs = [pair for pair, entry in zip(pairs, entries, strict=True) if not entry.missing()]
    return pool_of(
        pairs,
        item=item,
        classes=classes,
        label_values=listed_values if label_values is None else label_values,
        root=folder,
        notes=notes,
        affine_tolerated=affine_tolerated,
        slice_axis=slice_axis,
    )


def _labeled(listing: Mapping[str, Any], path: Path) -> list[Entry]:
    """The entries of the training list."""
    entries = entries_of(listing, path, path.parent, inside=True, parts=["training"])
    for entry in entries:
        if entry.label is None:
            raise DataError(f"{path}: {entry.place} needs an 'image' and a 'label' path")
    return entries


def _notes(listing: Mapping[str, Any], folder: Path, entries: list[Entry]) -> list[str]:
    notes = []
    name, modality = listing.get("name"), listing.get("modality")
    if isinstance(modality, dict) and modality:
        notes.append(f"{name or folder.name}: channels {', '.join(str(m) for m in modality.values())}.")
    number = listing.get("numTraining")
    if isinstance(number, int) and number != len(entries):
        notes.append(
            f"dataset.json says numTraining {number} but lists {len(entries)} training cases; the list is used."
        )
    listed = {file for entry in entries for file in (*entry.images, entry.label)}
    ignored = [p for part in ("imagesTr", "labelsTr") for p in readable_files(folder / part) if p not in listed]
    if ignored:
        names = [path.relative_to(folder).as_posix() for path in ignored]
        notes.append(f"{len(names)} files are not in dataset.json and are left out: {shortened(names)}.")
    return notes


def _without_list(folder: Path, **options: Any) -> Pool:
    from monai_al.datasets.folder import folder as plain_folder

    if not (folder / "imagesTr").is_dir() or not (folder / "labelsTr").is_dir():
        tasks = sorted(path.parent.name for path in folder.glob("*/dataset.json"))
        hint = f"; did you mean {shortened([folder / task for task in tasks])}?" if tasks else ""
        raise DataError(f"{folder}: holds neither dataset.json nor imagesTr and labelsTr{hint}")
    pool = plain_folder(folder, images="imagesTr", labels="labelsTr", patient=r"([^/]+)$", **options)
    note = "There is no dataset.json: imagesTr and labelsTr are paired by name, classes are the values found."
    pool.notes = (note, *pool.notes)
    return pool
