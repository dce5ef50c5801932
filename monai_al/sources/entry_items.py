# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""From the entries of a bundle's own datalists to items, and the files behind an entry."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from monai_al.records import DataError, Item, content_hash, slice_id
from monai_al.sources.entry_arrays import array_name, is_array
from monai_al.sources.entry_names import common_folder
from monai_al.sources.entry_settings import IMAGE, LABEL, USUAL, EntrySettings

__all__ = [
    "TEST",
    "TRAIN",
    "EntryLists",
    "check_files",
    "distinct",
    "entry_items",
    "files_hash",
    "first_image",
    "image_files",
    "label_files",
    "paths_of",
]

_SHOWN = 10
TRAIN, TEST = "the training list", "the validation list"


class EntryLists(NamedTuple):
    """The entries of a bundle.

    Args:
        train: those that may be annotated.
        test: those to test on.
        notes: how they differ from the bundle's own lists, in sentences for people.

    Example:
        >>> EntryLists([{"image": "a.nii"}], []).notes
        ()
    """

    train: Sequence[Mapping[str, Any]]
    test: Sequence[Mapping[str, Any]]
    notes: tuple[str, ...] = ()

    def images(self, settings: EntrySettings = USUAL) -> list[str | None]:
        """The path of each entry's first image, those of the training list first; None where it is an array.

        Raises:
            DataError: an entry has no image.
        """
        lists = ((TRAIN, self.train), (TEST, self.test))
        return [first_image(one, f"entry {n} of {id}", settings) for id, part in lists for n, one in enumerate(part)]


def entry_items(
    train: Sequence[Mapping[str, Any]],
    test: Sequence[Mapping[str, Any]],
    settings: EntrySettings = USUAL,
) -> list[Item]:
    """One item for each entry, first those of the training list.

    An item's id is the path of its first image relative to the folder that all images share; entries that name one
    image differ in a whole number ``slice``, and belong to one patient. An entry whose image is an array is called by
    its position in its list, ``train/0007``.

    Args:
        train: the entries that may be annotated.
        test: those to test on.
        settings: under which keys images and labels lie.

    Raises:
        DataError: an entry is no dictionary with an image, or is listed twice; the message names it.

    Example:
        >>> entries = [{"image": "/data/ct.nii.gz", "label": "/data/l.nii.gz", "slice": z} for z in (3, 4)]
        >>> [(item.id, item.patient) for item in entry_items(entries, [])]
        [('ct.nii.gz/0003', 'ct.nii.gz'), ('ct.nii.gz/0004', 'ct.nii.gz')]
    """
    given = [(entry, split, n) for split, part in (("train", train), ("test", test)) for n, entry in enumerate(part)]
    images = EntryLists(train, test).images(settings)
    files = [path for path in images if path is not None]
    root = common_folder(files) if files else ""
    twice = len(set(files)) < len(files)
    items: list[Item] = []
    split_of: dict[str, str] = {}
    for path, (entry, split, n) in zip(images, given, strict=True):
        if path is None:
            id = patient = f"{split}/{n:04d}"
            items.append(Item(id, array_name(id, IMAGE), id, patient, _label_of(entry, id, settings), split=split))
            continue
        id = patient = Path(os.path.relpath(path, root)).as_posix()
        if split_of.setdefault(patient, split) != split:
            raise DataError(f"{path} is in {TRAIN} and in {TEST}: scores would be false")
        number = entry.get("slice") if twice else None
        if isinstance(number, (int, np.integer)):
            id = slice_id(id, int(number))
        items.append(Item(id, path, id, patient, label=_label_of(entry, id, settings), split=split))
    _refuse_same_ids(items)
    return items


def distinct(entries: Iterable[Any]) -> list[Any]:
    """The entries without those that equal an earlier one: lists are repeated to be drawn from more often.

    Entries with arrays are equal where they are the same object.

    Example:
        >>> distinct([{"image": "a.nii"}, {"image": "b.nii"}] * 2)
        [{'image': 'a.nii'}, {'image': 'b.nii'}]
    """
    found: dict[Any, Any] = {}
    for entry in entries:
        arrays = isinstance(entry, Mapping) and any(map(is_array, entry.values()))
        found.setdefault(id(entry) if arrays else repr(entry), entry)
    return list(found.values())


def check_files(entries: Iterable[Mapping[str, Any]], settings: EntrySettings = USUAL) -> None:
    """Check that the images and labels of some entries are there.

    Args:
        entries: the entries.
        settings: under which keys images and labels lie.

    Raises:
        DataError: lists those that are not.

    Example:
        >>> check_files([])
    """
    missing = [
        path
        for entry in entries
        for key in (settings.image_key, settings.label_key)
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


def image_files(entry: Mapping[str, Any], settings: EntrySettings = USUAL) -> list[str]:
    """The files of an entry's image: those of ``image``, then all that exist of its other keys but the labels.

    Example:
        >>> image_files({"image": "/data/ct.nii.gz", "label": "/data/liver.nii.gz", "name": "case 1"})
        ['/data/ct.nii.gz']
    """
    apart = {settings.image_key, *settings.labels_of(entry)}
    others = [paths_of(value) for key, value in entry.items() if key not in apart]
    return paths_of(entry.get(settings.image_key)) + [
        path for paths in others for path in paths if os.path.exists(path)
    ]


def label_files(entry: Mapping[str, Any], settings: EntrySettings = USUAL) -> list[str]:
    """The files of an entry's label, that of ``label`` first.

    Example:
        >>> label_files({"image": "/data/ct.nii.gz", "label": "/data/liver.nii.gz"})
        ['/data/liver.nii.gz']
    """
    return [path for key in settings.labels_of(entry) for path in paths_of(entry[key])]


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


def first_image(entry: Any, place: str, settings: EntrySettings = USUAL) -> str | None:
    """The path of an entry's first image; None where its image is an array.

    Args:
        entry: the entry.
        place: what errors call it.
        settings: under which keys images and labels lie.

    Raises:
        DataError: it is no dictionary with an image; the message names its keys.

    Example:
        >>> first_image({"image": ["/data/t1.nii", "/data/t2.nii"]}, "entry 0"), first_image({"image": np.eye(2)}, "")
        ('/data/t1.nii', None)
    """
    key = settings.image_key
    if not isinstance(entry, Mapping):
        raise DataError(f"{place} is a {type(entry).__name__}, not a dictionary with an {key!r}")
    if is_array(entry.get(key)):
        return None
    keys = ", ".join(map(repr, entry)) or "nothing"
    if key in entry:
        if not (own := paths_of(entry[key])):
            raise DataError(
                f"{place}: its {key!r} is a {type(entry[key]).__name__}, not the path of a file or an array; it has "
                f"{keys}, and --image_key says which of them is the image"
            )
        return own[0]
    found = image_files(entry, settings) if key == IMAGE else []
    if not found:
        others = ", or other keys with the paths of existing files" if key == IMAGE else ""
        raise DataError(
            f"{place} has {keys}; it needs an {key!r}{others}: --image_key says which of them is the image, "
            "--label_key which is the label"
        )
    return found[0]


def _label_of(entry: Mapping[str, Any], id: str, settings: EntrySettings) -> str | None:
    """What an item names as its label: the path of the first file, or what stands for an array."""
    value = entry.get(settings.label_key)
    if is_array(value):
        return array_name(id, LABEL)
    return next(iter(paths_of(value)), None)


def _refuse_same_ids(items: Sequence[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise DataError(
                f"{item.image} is listed twice in one datalist; entries of one image must differ in a whole number "
                "'slice'"
            )
        seen.add(item.id)
