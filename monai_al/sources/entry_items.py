# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""From the entries of a bundle's own datalists to items, and the files behind an entry."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.records import DataError, Item, content_hash, slice_id

__all__ = [
    "IMAGE",
    "LABEL",
    "check_files",
    "distinct",
    "entry_items",
    "files_hash",
    "image_files",
    "label_files",
    "paths_of",
]

IMAGE, LABEL = "image", "label"
_SHOWN = 10


def entry_items(train: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]]) -> list[Item]:
    """One item for each entry, first those of the training list.

    An item's id is the path of its first image relative to the folder that all images share; entries that name one
    image differ in a whole number ``slice``, and belong to one patient.

    Args:
        train: the entries that may be annotated.
        test: those to test on.

    Raises:
        DataError: an entry is no dictionary with an image, or is listed twice; the message names it.

    Example:
        >>> entries = [{"image": "/data/ct.nii.gz", "label": "/data/l.nii.gz", "slice": z} for z in (3, 4)]
        >>> [(item.id, item.patient) for item in entry_items(entries, [])]
        [('ct.nii.gz/0003', 'ct.nii.gz'), ('ct.nii.gz/0004', 'ct.nii.gz')]
    """
    given = [(entry, split, n) for split, part in (("train", train), ("test", test)) for n, entry in enumerate(part)]
    images = [_image_path(*one) for one in given]
    if not images:
        return []
    root = os.path.commonpath([os.path.dirname(path) for path in images])
    twice = len(set(images)) < len(images)
    items: list[Item] = []
    split_of: dict[str, str] = {}
    for path, (entry, split, _) in zip(images, given, strict=True):
        id = patient = Path(os.path.relpath(path, root)).as_posix()
        if split_of.setdefault(patient, split) != split:
            raise DataError(f"{path} is in train#dataset#data and in validate#dataset#data: scores would be false")
        number = entry.get("slice") if twice else None
        if isinstance(number, (int, np.integer)):
            id = slice_id(id, int(number))
        labels = label_files(entry)
        items.append(Item(id, path, id, patient, label=labels[0] if labels else None, split=split))
    _refuse_same_ids(items)
    return items


def distinct(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The entries without those that equal an earlier one: lists are repeated to be drawn from more often.

    Example:
        >>> distinct([{"image": "a.nii"}, {"image": "b.nii"}] * 2)
        [{'image': 'a.nii'}, {'image': 'b.nii'}]
    """
    return list({repr(entry): entry for entry in entries}.values())


def check_files(entries: Iterable[Mapping[str, Any]]) -> None:
    """Check that the images and labels of some entries are there.

    Raises:
        DataError: lists those that are not.

    Example:
        >>> check_files([])
    """
    missing = [
        path
        for entry in entries
        for key in (IMAGE, LABEL)
        for path in paths_of(entry.get(key))
        if not os.path.exists(path)
    ]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise DataError(
            f"{len(missing)} files of the bundle's datalists do not exist: {', '.join(missing[:_SHOWN])}{more}. Give "
            "its dataset_dir, or correct the list"
        )


def paths_of(value: Any) -> list[str]:
    """The absolute paths of a value that is a path or a list of them; nothing of any other.

    Example:
        >>> paths_of(["/data/t1.nii.gz", "/data/t2.nii.gz"]), paths_of(3)
        (['/data/t1.nii.gz', '/data/t2.nii.gz'], [])
    """
    values = value if isinstance(value, (list, tuple)) else [value]
    return [os.path.abspath(path) for path in values if isinstance(path, (str, os.PathLike))]


def image_files(entry: Mapping[str, Any]) -> list[str]:
    """The files of an entry's image: those of ``image``, then all that exist of its other keys but the label.

    Example:
        >>> image_files({"image": "/data/ct.nii.gz", "label": "/data/liver.nii.gz", "name": "case 1"})
        ['/data/ct.nii.gz']
    """
    others = [paths_of(value) for key, value in entry.items() if key not in (IMAGE, LABEL)]
    return paths_of(entry.get(IMAGE)) + [path for paths in others for path in paths if os.path.exists(path)]


def label_files(entry: Mapping[str, Any]) -> list[str]:
    """The files of an entry's label.

    Example:
        >>> label_files({"image": "/data/ct.nii.gz", "label": "/data/liver.nii.gz"})
        ['/data/liver.nii.gz']
    """
    return paths_of(entry.get(LABEL))


def files_hash(paths: Sequence[str]) -> str:
    """SHA-256 of the content of each file, and of each file in a folder such as a DICOM series.

    Example:
        >>> files_hash([])
        ''
    """
    found = []
    for path in paths:
        inside = (
            sorted(str(file) for file in Path(path).rglob("*") if file.is_file()) if os.path.isdir(path) else [path]
        )
        found += [content_hash(file) for file in inside]
    return " ".join(found)


def _image_path(entry: Any, split: str, number: int) -> str:
    """The path of an entry's first image."""
    place = f"entry {number} of {'train' if split == 'train' else 'validate'}#dataset#data"
    if not isinstance(entry, Mapping):
        raise DataError(f"{place} is a {type(entry).__name__}, not a dictionary with an {IMAGE!r}")
    paths = image_files(entry)
    if IMAGE in entry and not paths_of(entry[IMAGE]):
        raise DataError(f"{place}: its {IMAGE!r} is a {type(entry[IMAGE]).__name__}, not the path of a file")
    if not paths:
        keys = ", ".join(map(repr, entry)) or "nothing"
        raise DataError(f"{place} has {keys}; it needs an {IMAGE!r}, or other keys with the paths of existing files")
    return paths[0]


def _refuse_same_ids(items: Sequence[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise DataError(
                f"{item.image} is listed twice in one datalist; entries of one image must differ in a whole number "
                "'slice'"
            )
        seen.add(item.id)
