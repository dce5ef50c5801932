# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Entries for images that a bundle's config lists and its datalists leave out, made like those that these hold."""

from __future__ import annotations

import functools
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
        self.entries, self.images = entries, images
        self.lists = [paths_of(list(one)) for one in others if not isinstance(one, (str, os.PathLike))]
        labels = set(settings.labels_of(entries[0]))
        self.like = {key: value for key, value in entries[0].items() if key not in labels}
        firsts = [first_image(entry, "", settings) for entry in entries]
        self.first = firsts[0]
        apart = {repr({key: value for key, value in entry.items() if key not in labels}) for entry in entries}
        self.once = len(apart) == len(set(firsts))  # else entries are parts of an image, of which no name tells

    def entry(self, image: str) -> dict[str, Any] | None:
        """The entry of an image; None where a file of it, or what makes its entry a part of it, is not known."""
        if not self.once:
            return None
        made: dict[str, Any] = {}
        for key, value in self.like.items():
            paths = paths_of(value)
            if self.first in paths or any(not set(paths).isdisjoint(one) for one in self.lists):
                files = [self._file(image, key, place) for place in range(len(paths))]
                if None in files:
                    return None
                made[key] = files if isinstance(value, (list, tuple)) else files[0]
            elif all(repr(entry.get(key)) == repr(value) for entry in self.entries):
                made[key] = value
            elif os.sep in str(value):  # files that no list holds
                return None
        return made

    def _file(self, image: str, key: str, place: int) -> str | None:
        return image if paths_of(self.like[key])[place] == self.first else self._files(key, place).get(image)

    @functools.cache  # noqa: B019
    def _files(self, key: str, place: int) -> dict[str, str]:
        """Image -> its file at a place of a key."""
        used = {path for entry in self.entries for path in paths_of(entry.get(key))[place : place + 1]}
        files = [path for one in self.lists if used.intersection(one) for path in one]
        fits = fitting_images(self.images, files)
        return {image: file for file, found in fits.items() if len(found) == 1 for image in found}
