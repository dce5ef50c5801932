# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which of the paths that a bundle's config lists are images and labels like those of its entries."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

from monai_al.sources.entry_items import paths_of
from monai_al.sources.entry_names import common_folder, name_shape

__all__ = ["ListedPaths", "listed_paths"]


class ListedPaths(NamedTuple):
    """What a config lists beside its entries.

    Args:
        images: further images, which no entry has.
        labels: further labels.
        knows_images: whether lists hold all images of the entries, so that there are no others.
        knows_labels: the same of the labels.
        order: all images, of entries and further ones, in the order of the lists.

    Example:
        >>> ListedPaths([], [], False, False, ["/d/a.nii"]).knows_labels
        False
    """

    images: list[str]
    labels: list[str]
    knows_images: bool
    knows_labels: bool
    order: list[str]


def listed_paths(images: Iterable[str], labels: Iterable[str], others: Sequence[str | Sequence[str]]) -> ListedPaths:
    """Find more images and labels among listed paths.

    A list that holds images of entries, and no label, is one of images; the other way round it is one of labels. Of a
    list that holds both, those count whose names are like those of the entries but for their numbers. Paths that stand
    alone are one list, of images where it holds nothing of the entries.

    Args:
        images: those of the entries, absolute.
        labels: the same.
        others: lists of paths, or paths.

    Example:
        >>> found = listed_paths(["/d/im_1.nii"], ["/d/seg_1.nii"], [["/d/im_1.nii", "/d/im_2.nii"], ["/d/model.pt"]])
        >>> found.images, found.labels, found.knows_images, found.knows_labels
        (['/d/im_2.nii'], [], True, False)
    """
    known = dict.fromkeys(images), dict.fromkeys(labels)
    alone = paths_of([one for one in others if isinstance(one, (str, os.PathLike))])
    groups = [paths_of(list(one)) for one in others if not isinstance(one, (str, os.PathLike))]
    kinds = _Kinds(known, itertools.chain(alone, *groups))
    found: tuple[dict[str, None], dict[str, None]] = {}, {}
    for group in [*groups, alone]:
        holds = [any(path in paths for path in group) for paths in known]
        for part in (0, 1):
            if holds[part] and not holds[1 - part]:
                found[part].update(dict.fromkeys(path for path in group if kinds.may_be(path, part)))
            elif all(holds):
                found[part].update(dict.fromkeys(path for path in group if kinds.is_like(path, part)))
        if group is alone and not any(holds):
            found[0].update(dict.fromkeys(path for path in group if kinds.may_be(path, 0)))
    both = {**known[0], **known[1]}
    more = [[path for path in found[part] if path not in both] for part in (0, 1)]
    knows = [bool(paths) and all(path in found[part] for path in paths) for part, paths in enumerate(known)]
    return ListedPaths(more[0], more[1], knows[0], knows[1], list({**found[0], **known[0]}))


class _Kinds:
    """Tells paths of images and of labels apart, by those of the entries."""

    def __init__(self, known: Sequence[Collection[str]], others: Iterable[str]) -> None:
        self.known = known
        everything = [*itertools.chain(*known), *others]
        self.root = common_folder(everything) if everything else ""
        self.shapes = [{self._shape(path) for path in paths} for paths in known]
        self.places = [{self._place(path) for path in paths} for paths in known]
        self.irregular = [2 * len(self.shapes[part]) > len(paths) for part, paths in enumerate(known)]

    def may_be(self, path: str, part: int) -> bool:
        """Whether a path in a list of images, or of labels, may be one: any whose names differ in more than numbers."""
        alike = self.irregular[part] and PurePath(path).suffix in {suffix for _, suffix in self.places[part]}
        return path in self.known[part] or alike or self.is_like(path, part)

    def is_like(self, path: str, part: int) -> bool:
        """Whether a path is named, but for numbers, or lies like those of this part, and not like the others."""
        if any(path in paths for paths in self.known):
            return path in self.known[part]
        shape, place = self._shape(path), self._place(path)
        if any(shape in shapes for shapes in self.shapes):
            return shape in self.shapes[part] and shape not in self.shapes[1 - part]
        return self.irregular[part] and place in self.places[part] and place not in self.places[1 - part]

    def _shape(self, path: str) -> tuple[tuple[str, ...], str]:
        return name_shape(os.path.relpath(path, self.root)), PurePath(path).suffix

    def _place(self, path: str) -> tuple[str, str]:
        return os.path.dirname(path), PurePath(path).suffix
