# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which returned files belong to which volume: by the folder they lie in, or by their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from monai_al.annotators.handed_out import HandedVolume
from monai_al.data.stored_formats import READABLE_SUFFIXES, name_without_suffix
from monai_al.records import TEST
from monai_al.records.work_list import WORK_LIST

__all__ = ["files_in_place", "files_of_folder", "work_lists_of_folder"]

PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
_ADDED = re.compile(r"(\.seg| ?\(\d+\)|[-_. ](label|labels|labelmap|seg|segmentation|annotation|mask))$", re.IGNORECASE)
_ROUND = re.compile(r"round_(\d+)|test")
_IMAGE = re.compile(r"image(_\d{4,}|_colour)?", re.IGNORECASE)  # what was handed out beside the annotation file
_PICTURE = re.compile(r"(\d{4,}|volume)\.png", re.IGNORECASE)  # in pictures/VOLUME


def files_in_place(place: Path, volume: HandedVolume) -> list[Path]:
    """The label files in a volume's own folder: the one that was handed out, and those saved beside it.

    Args:
        place: the folder of the round.
        volume: one that was handed out there.

    Example:
        >>> files_in_place(Path("no/such/folder"), HandedVolume("a", "a"))
        []
    """
    return [path for path in _label_files(place / volume.folder) if not path.name.lower().endswith(PICTURES)]


def files_of_folder(
    folder: Path, number: int, volumes: Sequence[HandedVolume]
) -> tuple[dict[str, list[Path]], list[Path]]:
    """The label files at or below a folder that somebody sent, by volume.

    A file belongs to the volume after which its folder is called, or whose name its own begins with, apart from what
    programs add: ``case_1-label.nrrd``, ``case_1.seg.nrrd``, ``case_1 (1).nii.gz``. In a folder ``round_NN``, or
    ``test``, it is of that round alone. Images and pictures that were handed out are no label files.

    Args:
        folder: the folder, or one file.
        number: the round.
        volumes: those that were handed out for it.

    Returns:
        Volume -> files; and the label files that belong to none of them.

    Example:
        >>> files_of_folder(Path("no/such/folder"), 0, [])
        ({}, [])
    """
    names = _names(volumes)
    found: dict[str, list[Path]] = {}
    strange = []
    for path in [folder] if folder.is_file() else _label_files(folder, names, deep=True):
        above = _folders(path, folder)
        volume = next((names[name] for name in (*_own_names(path), *above) if name in names), None)
        if volume is None or _round_of(above, names) not in (None, number):
            strange.append(path)
        else:
            found.setdefault(volume, []).append(path)
    return found, strange


def work_lists_of_folder(folder: Path, number: int, volumes: Sequence[HandedVolume]) -> list[Path]:
    """The work lists at or below a folder that somebody sent, but for those of another round by their folders.

    Args:
        folder: the folder, or one file, beside which none is looked for.
        number: the round.
        volumes: those that were handed out for it.

    Example:
        >>> work_lists_of_folder(Path("no/such/folder"), 0, [])
        []
    """
    names = _names(volumes)
    found = [path for path in sorted(folder.rglob(WORK_LIST)) if path.is_file() and not _is_hidden(path, folder)]
    return [path for path in found if _round_of(_folders(path, folder), names) in (None, number)]


def _folders(path: Path, folder: Path) -> list[str]:
    """The names of the folders in which a file lies, the nearest first, up to the one that was sent."""
    return [part.name for part in path.parents if part.is_relative_to(folder)]


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _round_of(folders: Sequence[str], names: Collection[str]) -> int | None:
    """The round after which the nearest of some folders is called; None where none is."""
    found = (match for name in folders if name not in names and (match := _ROUND.fullmatch(name)))
    return next((TEST if match[1] is None else int(match[1]) for match in found), None)


def _names(volumes: Sequence[HandedVolume]) -> dict[str, str]:
    """Name -> the one volume that is called so; the last part of a name counts where no other volume has it."""
    whole = {name: one.volume for one in volumes for name in (one.volume, one.folder)}
    parts = [Path(one.volume).name for one in volumes]
    short = {part: one.volume for part, one in zip(parts, volumes, strict=True) if parts.count(part) == 1}
    return short | whole


def _own_names(path: Path) -> Iterable[str]:
    """The name of a file, and what is left of it without what programs add."""
    name = name_without_suffix(path)
    yield name
    while (shorter := _ADDED.sub("", name)) != name:
        yield (name := shorter)


def _label_files(folder: Path, names: Collection[str] = (), *, deep: bool = False) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (path for path in (folder.rglob("*") if deep else folder.iterdir()) if path.is_file())
    return sorted(
        path
        for path in found
        if path.name.lower().endswith(READABLE_SUFFIXES)
        and not _is_hidden(path, folder)
        and not _is_handed_out(path, names)
    )


def _is_handed_out(path: Path, names: Collection[str]) -> bool:
    """Whether a file is called like an image or a picture that was handed out, and not like a volume."""
    if _PICTURE.fullmatch(path.name) and path.parent.parent.name == "pictures":
        return True
    *_, shortest = own = list(_own_names(path))
    return bool(_IMAGE.fullmatch(shortest)) and (path.parent.name in names or not any(name in names for name in own))
