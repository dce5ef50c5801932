# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Entries for images that a bundle's config lists and its datalists leave out, made like those that these hold."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from monai_al.sources.entry_items import first_image, paths_of
from monai_al.sources.entry_names import fitting_images
from monai_al.sources.entry_settings import USUAL, EntrySettings

__all__ = ["EntryTemplate"]


class EntryTemplate:
    """Makes an entry of an image, without a label, like the entries that there are.

    An image in several files is put together from the lists that hold them, by their names. What else all entries have
    in common, the new one has, too.

    Args:
        entries: those that there are, at least one.
        images: the paths of all first images that an entry may be asked for, absolute.
        others: the lists of paths that the bundle's config holds.
        settings: under which keys images and labels lie.

    Example:
        >>> entries = [{"image": ["/d/1_t1.nii", "/d/1_t2.nii"], "label": "/d/1_seg.nii", "modality": "MR"}]
        >>> lists = [[f"/d/{n}_{kind}.nii" for n in (1, 2)] for kind in ("t1", "t2")]
        >>> EntryTemplate(entries, lists[0], lists).entry("/d/2_t1.nii")
        {'image': ['/d/2_t1.nii', '/d/2_t2.nii'], 'modality': 'MR'}
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        images: Sequence[str],
        others: Sequence[str | Sequence[str]],
        settings: EntrySettings = USUAL,
    ) -> None:
        lists = [paths_of(list(one)) for one in others if not isinstance(one, (str, os.PathLike))]
        labels = set(settings.labels_of(entries[0]))
        firsts = [first_image(entry, "", settings) for entry in entries]
        apart = {repr({key: value for key, value in entry.items() if key not in labels}) for entry in entries}
        self.possible = len(apart) == len(set(firsts))  # else entries are parts of an image, of which no name tells
        self.like = {key: value for key, value in entries[0].items() if key not in labels}
        self.files: dict[str, list[dict[str, str]]] = {}
        for key, value in list(self.like.items()):
            files = [
                {image: image for image in images}
                if path == firsts[0]
                else _by_image(entries, key, place, images, lists)
                for place, path in enumerate(paths_of(value))
            ]
            if any(files):
                self.files[key] = files
            elif any(repr(entry.get(key)) != repr(value) for entry in entries):
                self.possible &= os.sep not in str(value)  # else these are files that no list holds
                del self.like[key]

    def entry(self, image: str) -> dict[str, Any] | None:
        """The entry of an image; None where a file of it, or what makes its entry a part of it, is not known."""
        if not self.possible:
            return None
        made = dict(self.like)
        for key, files_of in self.files.items():
            files = [found.get(image) for found in files_of]
            if None in files:
                return None
            made[key] = files if isinstance(self.like[key], (list, tuple)) else files[0]
        return made


def _by_image(
    entries: Sequence[Mapping[str, Any]], key: str, place: int, images: Sequence[str], lists: Sequence[Sequence[str]]
) -> dict[str, str]:
    """Image -> the file with its name, of the lists that hold the entries' files at a place of a key."""
    used = {path for entry in entries for path in paths_of(entry.get(key))[place : place + 1]}
    fits = fitting_images(images, [path for one in lists if used.intersection(one) for path in one])
    return {image: file for file, found in fits.items() if len(found) == 1 for image in found}
