# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Entries that a bundle lists both for training and for validation, divided by patient."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai_al.records import DataError, rng
from monai_al.sources.entry_arrays import array_hash, is_array, is_blank
from monai_al.sources.entry_items import TEST, TRAIN, EntryLists, entry_items, image_files, label_files, paths_of
from monai_al.sources.entry_patients import with_entry_patients
from monai_al.sources.entry_settings import USUAL, EntrySettings

__all__ = ["without_overlap"]

_TEST_SHARE = 0.2
_SEED = 0  # the lists are the bundle's, so that the experiment's seed plays no part


def without_overlap(lists: EntryLists, settings: EntrySettings = USUAL) -> EntryLists:
    """The entries, none of them in both lists.

    Where one list holds all of the other, a fifth of the patients are drawn for testing, from their names alone: of
    those whose images all have a label, and at least one.

    Args:
        lists: the entries as the bundle lists them.
        settings: under which keys images and labels lie, and whose they are.

    Raises:
        DataError: the lists have only some of their entries in common, or those of one patient alone.

    Example:
        >>> entries = [{"image": f"/d/{n}.nii", "label": f"/d/{n}_seg.nii"} for n in range(5)]
        >>> found = without_overlap(EntryLists(entries, entries[3:]))
        >>> len(found.train), len(found.test)
        (4, 1)
    """
    keys = [[_identity(entry, settings) for entry in part] for part in (lists.train, lists.test)]
    train, test = (set(part) - {None} for part in keys)
    shared = train & test
    if not shared:
        return lists
    if not (train <= test or test <= train):
        first = next(place for place, key in enumerate(keys[0]) if key in shared)
        name = lists.images(settings)[first] or f"the array of entry {first}"
        raise DataError(
            f"{name} is in {TRAIN} and in {TEST}: scores would be false. {len(shared)} entries are in both, but all of "
            "neither list; correct them"
        )
    return _divided(lists, lists.train if test <= train else lists.test, settings)


def _identity(entry: Mapping[str, Any], settings: EntrySettings) -> Hashable:
    """What tells an entry from others; None where it is an array that tells nothing."""
    image, label = (entry.get(key) for key in (settings.image_key, settings.label_key))
    if is_array(image):
        return None if is_blank(image) else (array_hash(image), array_hash(label) if is_array(label) else "")
    images = paths_of(image) or image_files(entry, settings)
    return (*images, *label_files(entry, settings), repr(entry.get("slice")))


def _divided(lists: EntryLists, entries: Sequence[Mapping[str, Any]], settings: EntrySettings) -> EntryLists:
    items, _ = with_entry_patients(entry_items(entries, [], settings), entries, settings)
    patients = {item.patient for item in items}
    drawable = patients - {item.patient for item in items if item.label is None} or patients
    if len(patients) < 2:
        raise DataError(
            f"{TRAIN} and {TEST} hold the same entries, all of one patient ({next(iter(patients))}), so that none is "
            "left to test on: list others in one of them, or tell patients apart by --patient"
        )
    n_test = min(max(1, round(_TEST_SHARE * len(drawable))), len(patients) - 1)
    order = rng(_SEED, 0, "split").permutation(len(drawable))
    drawn = {sorted(drawable)[place] for place in order[:n_test]}
    parts: dict[bool, list[Mapping[str, Any]]] = {False: [], True: []}
    for entry, item in zip(entries, items, strict=True):
        parts[item.patient in drawn].append(entry)
    note = (
        f"{TRAIN} and {TEST} hold the same entries: {len(drawn)} of {len(patients)} patients are drawn from them to "
        f"test on, such as {min(drawn)}, and are not annotated."
    )
    return EntryLists(parts[False], parts[True], (*lists.notes, note))
