# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""JSON lists of images and labels: those of the Medical Segmentation Decathlon and of MONAI, and nnU-Net's."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_al.data.reading import READABLE_SUFFIXES, name_without_suffix
from monai_al.datasets.files import contained, natural_key, readable_files
from monai_al.datasets.names import CHANNEL
from monai_al.records import NOT_ANNOTATED, DataError

__all__ = ["Entry", "classes_of", "entries_of", "read_listing"]

PARTS = {
    "training": "train", "train": "train",
    "validation": "validation", "val": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
NNUNET = ("channel_names", "file_ending")
NNUNET_FOLDERS = (("imagesTr", "labelsTr", "train"), ("imagesTs", "labelsTs", "test"))
IGNORED = "ignore"  # nnU-Net's name for what is not annotated


@dataclass(frozen=True)
class Entry:
    """What a list says of one image.

    Args:
        images: its files, each of which gives one channel or more.
        label: its label, or None.
        part: ``"train"``, ``"validation"`` or ``"test"``.
        fold: the fold that the list puts it in, or None.
        place: where in the list it stands.
        name: what the list calls it; empty where it does not.

    Example:
        >>> Entry((Path("a_t1.nii.gz"), Path("a_t2.nii.gz")), None, "train").case
        'a'
    """

    images: tuple[Path, ...]
    label: Path | None
    part: str
    fold: int | None = None
    place: str = ""
    name: str = ""

    @property
    def case(self) -> str:
        """What the list calls it, or its file's name; of several files what their names share, or their folder's."""
        if self.name:
            return self.name
        stems = [name_without_suffix(path) for path in self.images]
        if len(stems) == 1:
            return stems[0]
        shared = re.sub(r"[-_. ]*[^-_. ]*$", "", os.path.commonprefix(stems))
        return shared or self.images[0].parent.name

    def missing(self) -> list[Path]:
        """The files that are not there."""
        return [path for path in (*self.images, *([self.label] if self.label else [])) if not path.exists()]


def read_listing(path: Path) -> dict[str, Any]:
    """The content of a list; a bare list of entries is its ``training``.

    Raises:
        DataError: it is no JSON, or no list of images.

    Example:
        >>> read_listing(Path("gone.json"))
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: gone.json: is no valid JSON (...); correct it or copy it again, as UTF-8
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no valid JSON ({error}); correct it or copy it again, as UTF-8") from error
    content = {"training": content} if isinstance(content, list) else content
    lists = [key for key in PARTS if isinstance(content, dict) and isinstance(content.get(key), list)]
    if not lists and not (isinstance(content, dict) and any(key in content for key in NNUNET)):
        raise DataError(
            f"{path}: has no list 'training' of images and labels, nor 'channel_names' and 'file_ending' as nnU-Net's "
            "dataset.json; is this a list of a data set?"
        )
    return content


def classes_of(listing: Mapping[str, Any], path: Path) -> tuple[list[str], dict[int, int]]:
    """Names of the classes and what the stored values mean, from ``labels``.

    It maps values to names, as in the Decathlon, or names to values, as in nnU-Net, where ``ignore`` means not
    annotated.

    Raises:
        DataError: ``labels`` is no such thing, names regions of several values, or values that cannot be classes.

    Example:
        >>> classes_of({"labels": {"background": 0, "liver": 2, "ignore": 3}}, Path("dataset.json"))
        (['background', 'liver'], {0: 0, 2: 1, 3: 255})
    """
    labels = listing.get("labels")
    names: dict[int, str] = {}
    to_value = False
    if isinstance(labels, dict):
        _refuse_regions(labels, path)
        to_value = all(isinstance(value, int) and not isinstance(value, bool) for value in labels.values())
        with contextlib.suppress(TypeError, ValueError):
            names = {int(value): str(name) for name, value in (labels.items() if to_value else _turned(labels))}
    if not names:
        raise DataError(
            f'{path}: \'labels\' must map label values to names, as {{"0": "background"}}, or names to values'
        )
    called = [*(labels or {}).values()] if to_value else [*names.values()]
    twice = next((name for name, count in Counter(called).items() if count > 1), None)
    if twice is not None:
        raise DataError(
            f"{path}: 'labels' says {twice!r} more than once; give each class a name and a value of its own"
        )
    ignored = {value: NOT_ANNOTATED for value, name in names.items() if name.lower() == IGNORED and value > 0}
    stored = sorted(set(names) - set(ignored))
    if len(stored) < 2 or stored[0] != 0 or stored[-1] > 254:
        raise DataError(
            f"{path}: 'labels' names the values {stored}; name 0, the background, and one or more classes below 255"
        )
    return [names[value] for value in stored], {value: number for number, value in enumerate(stored)} | ignored


def _turned(labels: Mapping[Any, Any]) -> Iterable[tuple[Any, Any]]:
    return ((name, value) for value, name in labels.items())


def _refuse_regions(labels: Mapping[Any, Any], path: Path) -> None:
    region = next((name for name, value in labels.items() if isinstance(value, (list, tuple))), None)
    if region is not None:
        raise DataError(
            f"{path}: 'labels' gives the region {region!r} the values {labels[region]}; regions that overlap are no "
            "classes: give each value a class by the options classes and label_values of the data set datalist"
        )


def entries_of(
    listing: Mapping[str, Any],
    path: Path,
    base: Path,
    *,
    image_key: str | Sequence[str] = "image",
    label_key: str = "label",
    inside: bool = False,
    parts: Iterable[str] = tuple(PARTS),
) -> list[Entry]:
    """What a list says, in its order; of nnU-Net's the files of its folders.

    Args:
        listing: the list's content.
        path: the list.
        base: the folder that relative paths start from.
        image_key: where in an entry the image stands, or several keys whose images are channels.
        label_key: where its label stands.
        inside: refuse paths that lead out of ``base``.
        parts: the lists to take.

    Raises:
        DataError: an entry is malformed or leads out of the folder.

    Example:
        >>> listing = {"training": [{"image": ["t1.nii", "t2.nii"], "label": "seg.nii"}]}
        >>> [entry] = entries_of(listing, Path("list.json"), Path("/data/a"))
        >>> [image.name for image in entry.images], entry.case
        (['t1.nii', 't2.nii'], 'a')
    """
    if not any(isinstance(listing.get(key), list) for key in parts):
        return list(_of_nnunet(listing, path, base))
    keys = [image_key] if isinstance(image_key, str) else list(image_key)
    last_channels = functools.cache(_last_channels)
    found = []
    for key in parts:
        entries = listing.get(key) or []
        if not isinstance(entries, list):
            raise DataError(f"{path}: {key!r} is no list of images")
        for number, entry in enumerate(entries):
            content = {keys[0]: entry} if isinstance(entry, str) else entry
            entry = _entry(content, path, base, f"{key} entry {number}", keys, label_key, PARTS[key], inside)
            found.append(_with_channels(entry, last_channels))
    return found


def _entry(
    content: Any, path: Path, base: Path, place: str, keys: list[str], label_key: str, part: str, inside: bool
) -> Entry:
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: {place} is no path and has no {' and no '.join(map(repr, keys))}")
    images = [text for key in keys for text in _paths(content.get(key), path, place, key)]
    if not images:
        has = ", ".join(map(repr, content)) or "nothing"
        raise DataError(f"{path}: {place} has no {' and no '.join(map(repr, keys))}; it has {has}")
    labels = _paths(content.get(label_key), path, place, label_key)
    if len(labels) > 1:
        raise DataError(f"{path}: {place} has {len(labels)} labels; store the class numbers in one file")
    fold = content.get("fold")
    if fold is not None and not isinstance(fold, int):
        raise DataError(f"{path}: {place}: its 'fold' is {fold!r}, not a whole number")
    files = tuple(_place(base, text, inside) for text in images)
    return Entry(files, _place(base, labels[0], inside) if labels else None, part, fold, place)


def _paths(value: Any, path: Path, place: str, key: str) -> list[str]:
    if value is None or value == "":
        return []
    paths = list(value) if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(text, str) and text for text in paths):
        raise DataError(f"{path}: the {key!r} of {place} is {value!r}, not the path of a file or several")
    return paths


def _place(base: Path, text: str, inside: bool) -> Path:
    return contained(base, text) if inside else Path(os.path.normpath(base / Path(text).expanduser()))


def _with_channels(entry: Entry, last_channels: Callable[[Path], Mapping[str, int]]) -> Entry:
    """The entry, where files that are not there are channels ``<name>_0000``, ``<name>_0001`` as nnU-Net names them."""
    files: list[Path] = []
    for image in entry.images:
        last = None if image.exists() else last_channels(image.parent).get(image.name)
        stem = name_without_suffix(image)
        channels = [f"{stem}_{k:04d}{image.name[len(stem) :]}" for k in range(0 if last is None else last + 1)]
        files += [image.with_name(channel) for channel in channels] or [image]
    if tuple(files) == entry.images:
        return entry
    name = name_without_suffix(entry.images[0]) if len(entry.images) == 1 else ""
    return replace(entry, images=tuple(files), name=name)


def _last_channels(folder: Path) -> dict[str, int]:
    """Name of an image -> the last number of its channels, of all files in a folder that end in such a number."""
    found: dict[str, int] = {}
    for name in os.listdir(folder) if folder.is_dir() else ():
        stem = name_without_suffix(name)
        number = CHANNEL.search(stem)
        if number:
            image = stem[: number.start()] + name[len(stem) :]
            found[image] = max(int(number[1]), found.get(image, 0))
    return found


# --- nnU-Net ----------------------------------------------------------------------------------------------------------


def _of_nnunet(listing: Mapping[str, Any], path: Path, base: Path) -> Iterator[Entry]:
    """The cases of ``imagesTr``, with the labels of ``labelsTr``, and of ``imagesTs`` where there is a ``labelsTs``."""
    named = listing.get("dataset")
    if isinstance(named, Mapping):
        for case, content in named.items():
            yield replace(_entry(content, path, base, f"case {case}", ["images"], "label", "train", False), name=case)
        return
    ending = listing.get("file_ending", ".nii.gz")
    if not isinstance(ending, str) or ending.lower() not in READABLE_SUFFIXES:
        raise DataError(f"{path}: file_ending {ending!r} cannot be read; readable are {', '.join(READABLE_SUFFIXES)}")
    n_channels = len(listing.get("channel_names") or listing.get("modality") or [0])
    for images, labels, part in NNUNET_FOLDERS:
        if (base / images).is_dir() and (part == "train" or (base / labels).is_dir()):
            _check_ending(path, base / images, ending)
            yield from _cases(base / images, base / labels, ending, n_channels, part)


def _check_ending(path: Path, images: Path, ending: str) -> None:
    files = list(readable_files(images, deep=False))
    if files and not any(file.name.endswith(ending) for file in files):
        raise DataError(f"{path}: says file_ending {ending!r}, but {images} holds {files[0].name}; correct file_ending")


def _cases(images: Path, labels: Path, ending: str, n_channels: int, part: str) -> Iterator[Entry]:
    files = [path for path in readable_files(images, deep=False) if path.name.endswith(ending)]
    numbers = [CHANNEL.search(path.name[: -len(ending)]) for path in files]
    several = any(number and int(number[1]) > 0 for number in numbers)  # else one file may hold all channels
    cases = {CHANNEL.sub("", path.name[: -len(ending)]) for path in (*files, *readable_files(labels, deep=False))}
    for case in sorted(cases, key=natural_key):
        wanted = [images / f"{case}_{k:04d}{ending}" for k in range(n_channels if several else 1)]
        label = labels / f"{case}{ending}"
        yield Entry(tuple(wanted), label if label.is_file() else None, part, place=f"{images.name} {case}", name=case)
