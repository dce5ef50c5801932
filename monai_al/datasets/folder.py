# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A plain folder of volumes or images with their labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from monai_al.data.label_files import is_of_this_package
from monai_al.data.reading import label_colours, stored_label_values
from monai_al.datasets.collecting import IMAGES, LABELS, Collected, collected
from monai_al.datasets.files import (
    Pair,
    existing_folder,
    listed_error,
    natural_key,
    pool_of,
    shortened,
    volume_name,
    ways_out,
)
from monai_al.datasets.finding import unread_partner
from monai_al.datasets.pairing import Named, pair_by_name, with_channels
from monai_al.datasets.patients import with_patients
from monai_al.datasets.unusable import UnusableVolumes, without
from monai_al.records import NOT_ANNOTATED, DataError, Pool
from monai_al.records.label_values import classes_of, label_values_found, whole_label_values
from monai_al.records.stored_files import of_channel, stored_channels

__all__ = ["classes_found", "folder"]

_WHICH_FOLDERS = "--datalist#images and --datalist#labels (in the command datalist --images, --labels) name the folders"


def folder(
    root: str | os.PathLike,
    *,
    images: str = IMAGES,
    labels: str | None = LABELS,
    classes: Sequence[str] | None = None,
    label_values: Mapping[int, int] | None = None,
    patient: str | None = None,
    channel: int | None = None,
    item: str = "slice",
    require_labels: bool = True,
    skip_incomplete: bool = False,
    exclude: Sequence[str] | None = None,
    affine_tolerated: bool = False,
    slice_axis: int | str = 2,
) -> Pool:
    """A pool from a folder of NIfTI, MetaImage, NRRD, PNG, JPEG or TIFF files, or of folders of DICOM slices.

    Either ``images/`` and ``labels/`` hold files of equal names (the label's may end in ``_seg``, ``.seg``, ``-label``,
    ``_mask``, ``_segmentation``, ``_gt`` and the like), or, where there is no ``images/``, each label lies beside its
    image under such a name; :func:`monai_al.datasets.pairing.pair_by_name` tells what else is paired. Sub-folders are
    searched; a volume is called by its file's name, with its sub-folder's name in front unless it starts with that
    already. 2D images are items without a slice number.

    A folder of DICOM slices is an image, called by the folder; of several series in it each is one, see
    :func:`monai_al.datasets.dicom_folders.dicom_volumes`. Its label is a file called like the folder, or such a folder
    of DICOM slices or of pictures. Images ``a_0000``, ``a_0001`` of a label ``a`` are the channels of one image.

    Args:
        root: the folder.
        images: sub-folder of the images; or, with ``*`` for anything, also for folders, a pattern that the paths below
            ``root`` of the images fit, such as ``"sub-*_T1w.nii.gz"``.
        labels: the same of the labels, such as ``"derivatives/manual/*_dseg.nii.gz"``; None for a pool without any.
        classes: names of the classes, background first. Default: the classes of ``label_values``, or one for each value
            found in the labels, all of which are read for it, see
            :func:`monai_al.records.label_values.label_values_found`.
        label_values: stored label value -> class number or 255. Default: the class numbers themselves, or the values
            found.
        patient: regular expression that is searched in an image's path below ``images`` without suffix; its first
            group, or the whole match, is the patient. Default: the subject where names are those of BIDS, ``sub-01``;
            for DICOM the folder of the case; else every file is a patient of its own. The notes tell which, and what
            is named alike.
        channel: take this channel of every image alone, counted from 0.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images without a label, for a pool that is still to be annotated.
        skip_incomplete: leave out images without label and labels without image, and name them in the notes.
        exclude: names of volumes that are left out, with their labels.
        affine_tolerated: where the affines of an image and its label differ, warn and use the image's for both.
        slice_axis: the stored axis along which the slices lie, counted from 0, or ``"coarsest"`` for that of the
            largest voxel size of each file; see :func:`monai_al.datasets.files.pool_of`.

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
    found = collected(base, images, labels)
    pairs, strangers = _paired(found)
    pairs = without(pairs, exclude)
    predicted = [label for label in strangers if is_of_this_package(label.path)]
    strangers = [label for label in strangers if label not in predicted]
    problems = [
        f"label without image: {_shown(label.path, base)}{unread_partner(found.image_folder, label, base)}"
        for label in strangers
    ]
    if require_labels and labels is not None:
        problems += [
            f"image without label: {_shown(str(pair.image), base)}{_called(pair)}"
            f"{unread_partner(found.label_folder, Named(str(pair.image), key), base)}"
            for key, pair in pairs.items()
            if pair.label is None
        ]
        pairs = {key: pair for key, pair in pairs.items() if pair.label is not None}
    if problems and not skip_incomplete:
        hint = "" if found.labels else f"there is no label at all; {_WHICH_FOLDERS}; "
        raise listed_error(
            f"{base}: {len(problems)} files have no partner ({hint}{ways_out(unlabeled=True)})", problems
        )
    notes = [f"{len(problems)} files without partner are left out: {shortened(problems)}."] if problems else []
    pairs, patient_notes = with_patients(pairs, patient)
    notes += [*found.notes, *patient_notes]
    if predicted:
        notes.append(f"{len(predicted)} segmentations that this package wrote are not read as labels.")
    if channel is not None:
        pairs = {key: replace(pair, image=of_channel(pair.image, channel)) for key, pair in pairs.items()}
    if classes is None:
        classes, found_values, found_notes = classes_found(list(pairs.values()), label_values)
        label_values = found_values if label_values is None else label_values
        notes += found_notes
    return pool_of(
        pairs.values(),
        item=item,
        classes=classes,
        label_values=label_values,
        root=base,
        notes=notes,
        affine_tolerated=affine_tolerated,
        slice_axis=slice_axis,
    )


def _paired(found: Collected) -> tuple[dict[str, Pair], list[Named]]:
    """Key of an image -> its pair, and the labels without image."""
    images = sorted(with_channels(found.images, found.labels), key=lambda one: natural_key(one.key))
    twice = [key for key, count in Counter(image.key for image in images).items() if count > 1]
    if twice:
        raise listed_error("images that differ in nothing but the kind of file; rename or remove one of each", twice)
    label_of, strangers = pair_by_name(images, found.labels, far=lambda label: not is_of_this_package(label.path))
    real = {os.path.realpath(label.path) for label in label_of.values()}
    strangers = [label for label in strangers if os.path.realpath(label.path) not in real]
    pairs = {}
    for image in images:
        label = label_of.get(image.key)
        name = volume_name(image.key)
        pairs[image.key] = Pair(image.path, None if label is None else Path(label.path), name, name)
    return pairs, strangers


def _called(pair: Pair) -> str:
    """The name of a series, which a label may bear."""
    return f" (volume {pair.volume})" if stored_channels(pair.image)[0].series else ""


def _shown(path: str, base: Path) -> str:
    if path == str(base):
        return path
    return os.path.relpath(path, base) if Path(path).is_relative_to(base) else path


def classes_found(
    pairs: Sequence[Pair], label_values: Mapping[int, int] | None = None
) -> tuple[Sequence[str], Mapping[int, int], list[str]]:
    """The classes that labels hold: their names, label values, and a note.

    Args:
        pairs: the images with their labels, all of which are read where their values are not given.
        label_values: stored label value -> class number.

    Raises:
        DataError: values that cannot be classes, or of which 255 may be one.

    Example:
        >>> classes_found([])
        (('background', 'foreground'), {0: 0, 1: 1}, [])
    """
    if label_values is not None:
        return classes_of(whole_label_values(label_values)), label_values, []
    found = _all_values(pairs)
    label_values = label_values_found(found)
    _check_palettes(found)
    values = sorted(set().union(*found.values()))
    if not set(values) - {0}:
        label_values = label_values | {1: 1}
        return classes_of(label_values), label_values, []
    note = f"Classes are the label values found: {shortened(values, limit=20)}"
    note += "; 255 is taken as not annotated." if NOT_ANNOTATED in label_values.values() else "."
    return classes_of(label_values), label_values, [note]


def _all_values(pairs: Sequence[Pair]) -> dict[str, tuple[int, ...]]:
    """Label -> its values; of what cannot be a label, all are told at once."""
    from tqdm import tqdm

    labeled = [pair for pair in pairs if pair.label is not None]
    found: dict[str, tuple[int, ...]] = {}
    reasons: dict[str, str] = {}
    for pair in tqdm(labeled, desc="reading labels", unit="label", disable=None, leave=False, delay=1):
        try:
            found[str(pair.label)] = _plausible_values(str(pair.label))
        except DataError as error:
            reasons[pair.volume] = str(error)
    if reasons:
        one, *more = reasons.values()
        head = f"{len(reasons)} of {len(labeled)} labels cannot be used"
        raise UnusableVolumes(str(listed_error(head, [one, *more])) if more else one, reasons, len(labeled))
    return found


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


def _plausible_values(label: str) -> tuple[int, ...]:
    values = stored_label_values(label)
    outside = values[0] < 0 or values[-1] > NOT_ANNOTATED
    if len(values) > (32 if outside else 128):
        raise DataError(
            f"{label}: {len(values)} values from {values[0]} to {values[-1]}; this is an image, not a label"
        )
    if outside:
        others = [value for value in values if value]
        mapping = dict(zip((0, *others), range(len(others) + 1), strict=True))
        raise DataError(
            f"{label}: holds the values {shortened(values)}, of which not all lie from 0 to {NOT_ANNOTATED}; if it is "
            f'a label, say what they mean, as --datalist#label_values "{mapping}" (label_values in Python and in the '
            "command datalist), else put it among the images"
        )
    grey = [value for value in values if value not in (0, NOT_ANNOTATED)]
    if (NOT_ANNOTATED in values or len(grey) > 16) and grey and str(label).lower().endswith((".jpg", ".jpeg")):
        raise DataError(f"{label}: grey values {shortened(grey)} in a mask; threshold it and store it without loss")
    return values
