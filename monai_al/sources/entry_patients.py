# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whose images the entries of a foreign bundle are: by their own keys, by their paths, or by a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch

from monai_al.data.reading import name_without_suffix
from monai_al.datasets.files import Pair
from monai_al.datasets.patients import by_rule, with_patients
from monai_al.records import Item
from monai_al.sources.entry_arrays import is_array_name
from monai_al.sources.entry_settings import USUAL, EntrySettings

__all__ = ["with_entry_patients"]

_KEYS = ("patient", "patient_id", "subject")
_OPTION = "--patient"
_ARRAYS = f"Every array counts as a patient of its own, unless its entry has a key 'patient', or {_OPTION} tells."


def with_entry_patients(
    items: Sequence[Item], entries: Sequence[Mapping[str, Any]], settings: EntrySettings = USUAL
) -> tuple[list[Item], list[str]]:
    """The items with their patients, and notes on what told them apart.

    A rule comes first, then an entry's own key ``patient``, ``patient_id`` or ``subject``, then what paths tell
    (:func:`monai_al.datasets.patients.with_patients`); else each image is of a patient of its own.

    Args:
        items: the items of :func:`monai_al.sources.entry_items.entry_items`, each image a patient of its own.
        entries: those of the items, in the same order.
        settings: the rule, where there is one.

    Raises:
        DataError: the rule does not match an image; the message names all of those.

    Example:
        >>> items = [Item(f"sub-{n}.nii", f"/d/sub-{n}.nii", f"sub-{n}.nii", f"sub-{n}.nii") for n in (1, 2)]
        >>> found, notes = with_entry_patients(items, [{"patient": "ada"}, {}])
        >>> [item.patient for item in found], notes[0]
        (['ada', 'sub-2'], "Patients are told apart by the entries' own key 'patient', such as ada.")
    """
    own = [None if settings.patient is not None else _own_patient(entry) for entry in entries]
    left = [item for item, known in zip(items, own, strict=True) if known is None]
    named, notes = _by_names(left, settings.patient)
    told = [
        f"Patients are told apart by the entries' own key {key!r}, such as {patient}."
        for key, patient in dict(filter(None, own)).items()
    ]
    found = [
        replace(item, patient=named[item.patient] if known is None else known[1])
        for item, known in zip(items, own, strict=True)
    ]
    return found, [*told, *notes]


def _own_patient(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """The key of an entry that names its patient, and the name."""
    for key in _KEYS:
        value = entry.get(key)
        if isinstance(value, (np.generic, np.ndarray, torch.Tensor)) and np.asarray(value).size == 1:
            value = np.asarray(value).item()
        known = isinstance(value, (str, int, float)) and not isinstance(value, bool) and value == value
        if known and str(value).strip():
            return key, str(value)
    return None


def _by_names(items: Sequence[Item], rule: str | None) -> tuple[dict[str, str], list[str]]:
    """Name of an image -> its patient, and notes on what told them apart."""
    images = {item.patient: item.image for item in items}
    names = _names(list(images))
    if rule is not None:
        patients = by_rule([names[image] for image in images], rule)
        return dict(zip(images, patients, strict=True)), [f"Patients are told apart by {_OPTION} {rule!r}."]
    files = {image: path for image, path in images.items() if not is_array_name(path)}
    pairs = {names[image]: Pair(path, None, image, image) for image, path in files.items()}
    found, notes = with_patients(pairs, None, _OPTION) if pairs else ({}, [])
    patients = {image: image for image in images} | {pair.volume: pair.patient for pair in found.values()}
    return patients, notes + [_ARRAYS] * (len(files) < len(images))


def _names(images: Sequence[str]) -> dict[str, str]:
    """An image -> its name without suffix; with it where two would have the same."""
    names = {image: (PurePosixPath(image).parent / name_without_suffix(image)).as_posix() for image in images}
    return names if len(set(names.values())) == len(names) else {image: image for image in images}
