# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A plain folder of volumes or images with their labels."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monai_al.data.reading import label_colours, name_without_suffix, stored_label_values
from monai_al.datasets.files import Pair, existing_folder, listed_error, pool_of, readable_files, shortened
from monai_al.records import NOT_ANNOTATED, DataError, Pool
from monai_al.records.label_values import classes_of, label_values_found, whole_label_values

__all__ = ["folder"]

LABEL_SUFFIX = re.compile(r"_(seg|segmentation|label|labels|mask|gt)$", re.IGNORECASE)
SCRIBBLE_SUFFIX = re.compile(r"_scribbles?$", re.IGNORECASE)


def folder(
    root: str | os.PathLike,
    *,
    images: str = "images",
    labels: str | None = "labels",
    classes: Sequence[str] | None = None,
    label_values: Mapping[int, int] | None = None,
    patient: str | None = None,
    item: str = "slice",
    require_labels: bool = True,
    skip_incomplete: bool = False,
    affine_tolerated: bool = False,
) -> Pool:
    """A pool from a folder of NIfTI, MetaImage, NRRD, PNG, JPEG or TIFF files.

    Either ``images/`` and ``labels/`` hold files of equal names (the label's may end in ``_seg``, ``_label``,
    ``_mask``, ``_segmentation`` or ``_gt``), or, where there is no ``images/``, each label lies beside its image under
    such a name. Sub-folders are searched; a volume is called by its file's name, with its sub-folder's name in front
    unless it starts with that already. 2D images are items without a slice number.

    Args:
        root: the folder.
        images: sub-folder of the images.
        labels: sub-folder of the labels; None for a pool without any.
        classes: names of the classes, background first. Default: the classes of ``label_values``, or one for each value
            found in the labels, all of which are read for it, see
            :func:`monai_al.records.label_values.label_values_found`.
        label_values: stored label value -> class number or 255. Default: the class numbers themselves, or the values
            found.
        patient: regular expression that is searched in an image's path below ``images`` without suffix; its first
            group, or the whole match, is the patient. Default: every file is a patient of its own.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images without a label, for a pool that is still to be annotated.
        skip_incomplete: leave out images without label and labels without image, and name them in the notes.
        affine_tolerated: where the affines of an image and its label differ, warn and use the image's for both.

    Raises:
        DataError: the folder is missing or empty, or images without label, labels without image, paths that
            ``patient`` does not match or label values that cannot be classes; all of a kind are listed. Or 255 may be
            a class or mean "not annotated".
        ValueError: ``label_values`` leaves out a class.

    Example:
        >>> import tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("case_1", "case_1_seg"):
        ...         volume = nibabel.Nifti1Image(np.zeros((4, 4, 3), np.uint8), np.eye(4))
        ...         nibabel.save(volume, f"{root}/{name}.nii.gz")
        ...     [i.id for i in folder(root, classes=("background", "organ"))]
        ['case_1/0000', 'case_1/0001', 'case_1/0002']
    """
    base = existing_folder(root)
    found = _collect(base, images, labels)
    pairs, strangers = _paired(found)
    problems = [f"label without image: {_shown(path, base)}" for path in strangers]
    if require_labels and labels is not None:
        problems += [f"image without label: {_shown(pair.image, base)}" for pair in pairs if pair.label is None]
        pairs = [pair for pair in pairs if pair.label is not None]
    if problems and not skip_incomplete:
        raise listed_error(
            f"{base}: {len(problems)} files have no partner (require_labels=False keeps images without label, "
            "skip_incomplete=True leaves them out)",
            problems,
        )
    pairs = _with_patients(pairs, found.image_folder, patient)
    notes = [f"{len(problems)} files without partner are left out: {shortened(problems)}."] if problems else []
    if found.scribbles:
        notes.append(f"{found.scribbles} scribble files beside the images are not read as images.")
    if patient is None:
        notes.append("Every file counts as a patient of its own; give a patient rule if some share a patient.")
    if classes is None and label_values is None:
        label_values, found_notes = _label_values_found(pairs)
        notes += found_notes
    if classes is None:
        classes = classes_of(whole_label_values(label_values or {0: 0, 1: 1}))
    return pool_of(
        pairs,
        item=item,
        classes=classes,
        label_values=label_values,
        root=base,
        notes=notes,
        affine_tolerated=affine_tolerated,
    )


@dataclass(frozen=True)
class _Found:
    """The files of images and labels, and the folders that their names are relative to."""

    images: list[Path]
    image_folder: Path
    labels: list[Path]
    label_folder: Path
    scribbles: int


def _collect(base: Path, images: str, labels: str | None) -> _Found:
    image_folder = _sub_folder(base, images, "images") or base
    label_folder = _sub_folder(base, labels, "labels") if labels is not None else None
    files = list(readable_files(image_folder))
    kept = [path for path in files if not SCRIBBLE_SUFFIX.search(name_without_suffix(path))]
    if label_folder is None or label_folder == image_folder:
        beside = [path for path in kept if LABEL_SUFFIX.search(name_without_suffix(path))]
        label_folder, label_files = image_folder, beside if labels is not None else []
    else:
        beside = label_files = list(readable_files(label_folder))
    image_files = [path for path in kept if path not in set(beside)]
    return _Found(image_files, image_folder, label_files, label_folder, len(files) - len(kept))


def _sub_folder(base: Path, name: str, default: str) -> Path | None:
    if (base / name).is_dir():
        return base / name
    if name != default:
        raise DataError(f"{base / name}: no such folder; {default!r} names the sub-folder of the {default}")
    return None


def _paired(found: _Found) -> tuple[list[Pair], list[Path]]:
    """One pair for each image, with its label where there is one, and the labels without image."""
    keys = {_key(path, found.image_folder) for path in found.images}
    label_of: dict[str, Path] = {}
    strangers = []
    for path in found.labels:
        key = _key(path, found.label_folder)
        key = key if key in keys else LABEL_SUFFIX.sub("", key)
        if key not in keys:
            strangers.append(path)
        elif key in label_of:
            raise DataError(f"{label_of[key]} and {path} are both labels of image {key}; keep one")
        else:
            label_of[key] = path
    pairs = []
    for image in found.images:
        name = _volume(image, found.image_folder)
        pairs.append(Pair(image, label_of.get(_key(image, found.image_folder)), name, name))
    return pairs, strangers


def _key(path: Path, base: Path) -> str:
    return (path.parent.relative_to(base) / name_without_suffix(path)).as_posix()


def _volume(path: Path, base: Path) -> str:
    name = name_without_suffix(path)
    for part in reversed(path.parent.relative_to(base).parts):
        name = name if name.startswith(part) else f"{part}_{name}"
    return name


def _shown(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _with_patients(pairs: list[Pair], image_folder: Path, rule: str | None) -> list[Pair]:
    if rule is None:
        return pairs
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise DataError(f"patient rule {rule!r} is no regular expression: {error}") from error
    matches = [pattern.search(_key(pair.image, image_folder)) for pair in pairs]
    strangers = [_key(pair.image, image_folder) for pair, match in zip(pairs, matches, strict=True) if match is None]
    if strangers:
        raise listed_error(f"patient rule {rule!r} does not match {len(strangers)} images", strangers)
    names = [match.group(1) if pattern.groups else match.group() for match in matches if match]
    return [replace(pair, patient=name) for pair, name in zip(pairs, names, strict=True)]


def _label_values_found(pairs: list[Pair]) -> tuple[dict[int, int], list[str]]:
    found = {str(pair.label): _plausible_values(pair.label) for pair in pairs if pair.label is not None}
    label_values = label_values_found(found)
    _check_palettes(found)
    values = sorted(set().union(*found.values()))
    if not set(values) - {0}:
        return label_values | {1: 1}, []
    note = f"Classes are the label values found: {shortened(values, limit=20)}"
    note += "; 255 is taken as not annotated." if NOT_ANNOTATED in label_values.values() else "."
    return label_values, [note]


def _check_palettes(labels: Iterable[str]) -> None:
    """An index that has another colour in another label is no class number."""
    known: dict[int, tuple[str, tuple[int, ...]]] = {}
    for label in labels:
        for index, colour in label_colours(label).items():
            other, before = known.setdefault(index, (label, colour))
            if before != colour:
                raise DataError(
                    f"{label}: its palette shows index {index} in {colour}, that of {other} in {before}, so that "
                    "the indices are no class numbers; store the class numbers as grey values, without a palette"
                )


def _plausible_values(label: Path) -> tuple[int, ...]:
    values = stored_label_values(label)
    if values[0] < 0 or values[-1] > NOT_ANNOTATED or len(values) > 128:
        raise DataError(
            f"{label}: {len(values)} values from {values[0]} to {values[-1]}; this is an image, not a label"
        )
    grey = [value for value in values if value not in (0, NOT_ANNOTATED)]
    if grey and NOT_ANNOTATED in values and label.suffix.lower() in (".jpg", ".jpeg"):
        raise DataError(f"{label}: grey values {shortened(grey)} in a mask; threshold it and store it without loss")
    return values
