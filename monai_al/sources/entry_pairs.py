# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that a bundle pairs with images by position, paired by their names where positions are wrong."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_al.data.reading import name_without_suffix
from monai_al.records import DataError
from monai_al.sources.entry_arrays import is_array
from monai_al.sources.entry_items import TEST, EntryLists, distinct, paths_of
from monai_al.sources.entry_names import common_folder, fitting_images, name_shape
from monai_al.sources.entry_others import listed_paths
from monai_al.sources.entry_settings import USUAL, EntrySettings
from monai_al.sources.entry_templates import EntryTemplate

__all__ = ["paired_by_name"]

Entry = Mapping[str, Any]


def paired_by_name(
    lists: EntryLists, others: Sequence[str | Sequence[str]] = (), settings: EntrySettings = USUAL
) -> EntryLists:
    """The entries of a bundle, with labels at their own images.

    Bundles pair two sorted lists of files by position, so that a label that is missing shifts all that follow. A pair
    is wrong where the label's name is that of another image, and not of its own
    (:func:`monai_al.sources.entry_names.fitting_images`); names that tell nothing change nothing. Where a pair is
    wrong, all labels go to the images of their names, in the list that they are in. Images without a label may be
    annotated, and so may those that the bundle's ``zip`` left out because there were no more labels.

    Args:
        lists: the entries as the bundle lists them.
        others: the lists of paths that the bundle's config holds.
        settings: under which keys images and labels lie.

    Raises:
        DataError: an entry has no image, or no labeled entry is left to test on.

    Example:
        >>> pairs = [{"image": f"/d/im_{i}.nii", "label": f"/d/seg_{l}.nii"} for i, l in zip("123", "23")]
        >>> paired_by_name(EntryLists(pairs, []), [[f"/d/im_{i}.nii" for i in "123"]]).train[:2]
        [{'image': '/d/im_1.nii'}, {'image': '/d/im_2.nii', 'label': '/d/seg_2.nii'}]
    """
    images = [image for image in lists.images(settings) if image is not None]
    entries = [*lists.train, *lists.test]
    if not entries or len(images) < len(entries) or any(is_array(entry.get(settings.label_key)) for entry in entries):
        return lists
    pairs = _Pairs(lists, images, others, settings)
    if pairs.wrong:
        return pairs.with_doubt() if pairs.are_numbered_otherwise() else pairs.by_name()
    return pairs.with_left_out() if pairs.right else lists


@dataclass(frozen=True)
class _Pair:
    """An entry, the list that it is in, its image, and its label if it has one."""

    entry: Entry
    split: str
    image: str
    label: str | None


class _Pairs:
    """What the names of images and labels say of a bundle's pairs."""

    def __init__(
        self, lists: EntryLists, images: Sequence[str], others: Sequence[str | Sequence[str]], settings: EntrySettings
    ) -> None:
        self.lists, self.others, self.settings = lists, others, settings
        entries, splits = [*lists.train, *lists.test], ["train"] * len(lists.train) + ["test"] * len(lists.test)
        labels = [next(iter(paths_of(entry.get(settings.label_key))), None) for entry in entries]
        self.pairs = [_Pair(*one) for one in zip(entries, splits, images, labels, strict=True)]
        self.of_image: dict[str, list[_Pair]] = {}
        self.of_label: dict[str, list[_Pair]] = {}
        for pair in self.pairs:
            self.of_image.setdefault(pair.image, []).append(pair)
            if pair.label is not None:
                self.of_label.setdefault(pair.label, []).append(pair)
        self.listed = listed_paths(self.of_image, self.of_label, others)
        self.fits = fitting_images(self.listed.order, [*self.of_label, *self.listed.labels])
        labeled = [(pair, self.fits[label]) for label, pairs in self.of_label.items() for pair in pairs]
        self.right = [pair for pair, fits in labeled if pair.image in fits]
        self.wrong = [pair for pair, fits in labeled if len(fits) == 1 and pair.image not in fits]
        self.strange = [pair for pair, fits in labeled if not fits]

    # -- nothing is wrong, as far as names tell ------------------------------------------------------------------------

    def are_numbered_otherwise(self) -> bool:
        """Whether no pair has one name although no image was left out, as of images 0 to 9 and labels 1 to 10."""
        if self.right or not self.strange:
            return False
        return not self.listed.images if self.listed.knows_images else self._has_all_images()

    def _has_all_images(self) -> bool:
        """Whether no file beside the images, or in folders beside theirs, is the image of a label that has none."""
        images = [Path(image) for image in self.of_image]
        if not all(image.is_file() for image in images):
            return False
        beside = {str(path) for image in images for path in image.parent.iterdir()}
        beside |= {str(path) for image in images for path in image.parent.parent.glob(f"*/{glob.escape(image.name)}")}
        more = beside - self.of_image.keys() - self.of_label.keys()
        fits = fitting_images([*self.of_image, *more], [str(pair.label) for pair in self.strange])
        return all(found.isdisjoint(more) for found in fits.values())

    def with_doubt(self) -> EntryLists:
        """The lists as they are, with a note on their numbers."""
        note = (
            f"Images and labels are numbered differently ({self._shown(self.wrong[0], 'is paired with')}). No image "
            "was left out, so that the bundle's pairs are taken as they are."
        )
        return self.lists._replace(notes=(*self.lists.notes, note))

    def with_left_out(self) -> EntryLists:
        """The lists with the images that are in no entry although the bundle lists them, because they have no label."""
        held_out = all(self.fits[label] and self.fits[label].isdisjoint(self.of_image) for label in self.listed.labels)
        more = self._made(self._left_out()) if self.listed.knows_labels and held_out else {}
        notes = self._strange_notes()
        if not more:
            return self.lists._replace(notes=(*self.lists.notes, *notes)) if notes else self.lists
        position = {image: place for place, image in enumerate(self.listed.order)}
        train = [(pair.image, pair.entry) for pair in self.pairs if pair.split == "train"]
        ordered = sorted([*train, *more.items()], key=lambda one: position[one[0]])
        first = self._name_image(next(iter(more)))
        notes.append(
            f"{_counted(len(more), 'image')} without a label, such as {first}, which the bundle's lists leave out, may "
            "be annotated, too."
        )
        return EntryLists([entry for _, entry in ordered], self.lists.test, (*self.lists.notes, *notes))

    def _strange_notes(self) -> list[str]:
        """A note on labels that are named like those with an image, but with numbers that no image has."""
        if not self.strange:
            return []
        shapes = {name_shape(str(pair.label)) for pair in self.right}
        found = [pair for pair in self.strange if name_shape(str(pair.label)) in shapes]
        if not found:
            return []
        what = f"{_counted(len(found), 'label')} ({self._shown(found[0], 'is paired with')})"
        return [
            f"No listed image has the name of {what}: check whether the bundle pairs images and labels by position."
        ]

    def _left_out(self) -> list[str]:
        """The images that are in no entry, and that no label fits."""
        labeled = set(itertools.chain.from_iterable(self.fits.values()))
        return [image for image in self.listed.images if image not in labeled]

    def _made(self, images: Iterable[str]) -> dict[str, Entry]:
        """Image -> an entry that is made for it, where all of its files are known."""
        if not (images := list(images)):
            return {}
        template = EntryTemplate([pair.entry for pair in self.pairs], self.listed.order, self.others, self.settings)
        made = {image: template.entry(image) for image in images}
        return {image: entry for image, entry in made.items() if entry is not None}

    # -- paired anew ---------------------------------------------------------------------------------------------------

    def by_name(self) -> EntryLists:
        """The entries with all labels at the images of their names."""
        label_of = self._label_of_images()
        unlabeled = {image for image in (*self.of_image, *self._left_out()) if image not in label_of}
        made = self._made(image for image in self.listed.images if image in label_of or image in unlabeled)
        found: dict[str, list[Entry]] = {"train": [], "test": []}
        for image in self.listed.order:
            if image in unlabeled:
                found["train"] += self._entries(image, None, "train", made)
            elif image in label_of:
                for split in self._splits(label_of[image], image):
                    found[split] += self._entries(image, label_of[image], split, made)
        if self.lists.test and not found["test"]:
            raise DataError(
                f"{TEST} pairs images and labels by position ({self._shown(self.wrong[0], 'is paired with')}), and "
                "none of its labels has the name of a listed image: no entry is left to test on. Correct the lists, or "
                "let the config hold the list of all images"
            )
        images = {*self.of_image, *made}
        now = {(image, label) for image, label in label_of.items() if image in images}
        notes = self._notes(now, len(unlabeled & images), len(images))
        return EntryLists(found["train"], found["test"], (*self.lists.notes, *notes))

    def _label_of_images(self) -> dict[str, str]:
        """Image -> the label of its name; where names leave a choice, the one that the bundle gives it."""
        claims: dict[str, list[str]] = {}
        for label in [*self.of_label, *(self.listed.labels if self._one_file_each() else ())]:
            fits = self.fits[label]
            for image in fits if len(fits) == 1 else fits & self._own_images(label):
                claims.setdefault(image, []).append(label)
        found: dict[str, str] = {}
        for image, labels in claims.items():
            known = [label for label in labels if label in self.of_label]
            own = [label for label in known if image in self._own_images(label)]
            left = own or known or (labels if image in self.of_image else [])
            if len(left) == 1:
                found[image] = left[0]
        wrong, shapes = {pair.split for pair in self.wrong}, {name_shape(label) for label in found.values()}
        for pair in self.strange:  # named otherwise than all others, in a list in which nothing is known to be wrong
            label = str(pair.label)
            if wrong.isdisjoint(self._splits(label, pair.image)) and name_shape(label) not in shapes:
                found.setdefault(pair.image, label)
        return found

    def _own_images(self, label: str) -> set[str]:
        """The images that the bundle pairs with a label."""
        return {pair.image for pair in self.of_label.get(label, ())}

    def _one_file_each(self) -> bool:
        """Whether a label is one file, so that one which ``zip`` left out can stand in an entry."""
        key = self.settings.label_key
        entries = [pairs[0].entry for pairs in self.of_label.values()]
        one_file = all(isinstance(entry[key], (str, os.PathLike)) for entry in entries)
        return one_file and all(self.settings.labels_of(entry) == [key] for entry in entries)

    def _splits(self, label: str, image: str) -> Iterable[str]:
        """The lists that a label is in; of one that is in none, those that its image is in."""
        return dict.fromkeys(pair.split for pair in self.of_label.get(label) or self.of_image[image])

    def _entries(self, image: str, label: str | None, split: str, made: Mapping[str, Entry]) -> list[Entry]:
        """The entries of an image for a list, with a label or without."""
        pairs = self.of_image.get(image, [])
        entries = [pair.entry for pair in pairs if pair.split == split] or [pair.entry for pair in pairs]
        if not pairs and image in made:
            entries = [made[image]]
        labels: Entry = {}
        if label is not None:
            source = self.of_label[label][0].entry if label in self.of_label else {self.settings.label_key: label}
            labels = {key: source[key] for key in self.settings.labels_of(source)}
        return distinct({**self._unlabeled(entry), **labels} for entry in entries)

    def _unlabeled(self, entry: Entry) -> dict[str, Any]:
        labels = self.settings.labels_of(entry)
        return {key: value for key, value in entry.items() if key not in labels}

    # -- notes ---------------------------------------------------------------------------------------------------------

    def _notes(self, now: set[tuple[str, str]], n_unlabeled: int, n_images: int) -> list[str]:
        n_wrong = len({(pair.image, label) for label, pairs in self.of_label.items() for pair in pairs} - now)
        wrong = f"{_counted(n_wrong, 'pair')} {'was' if n_wrong == 1 else 'were'} wrong"
        missing = f"; labels are missing for {n_unlabeled} of {n_images} images, which may be annotated"
        notes = [
            f"The bundle's lists pair images and labels by position, and {wrong} "
            f"({self._shown(self.wrong[0], 'was paired with')}). They are paired by their names now"
            f"{missing if n_unlabeled else ''}."
        ]
        used = {label for _, label in now}
        left = [label for label in self.of_label if label not in used]
        if left:
            notes.append(
                f"{_counted(len(left), 'label')} {'is' if len(left) == 1 else 'are'} left out, such as "
                f"{self._name_label(left[0])}: no image of an entry has the name, or several have."
            )
        return notes

    def _shown(self, pair: _Pair, verb: str) -> str:
        return f"{self._name_image(pair.image)} {verb} {self._name_label(str(pair.label))}"

    def _name_image(self, path: str) -> str:
        return _short(path, self.listed.order)

    def _name_label(self, path: str) -> str:
        return _short(path, list(self.of_label))


def _short(path: str, paths: Sequence[str]) -> str:
    """A file's name without suffix, as long as it tells it from others; else its path below their folder."""
    if len({name_without_suffix(one) for one in paths}) == len(paths):
        return name_without_suffix(path)
    below = Path(os.path.relpath(path, common_folder(paths)))
    return (below.parent / name_without_suffix(below)).as_posix()


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
