# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MS-CMR: late gadolinium enhancement MR of the heart, with scribbles to train on and full masks to score on.

Zhuang et al., Medical Image Analysis 81, 2022; scribbles: Zhang and Zhuang, CVPR 2022.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from monai_al.data.reading import name_without_suffix
from monai_al.datasets.cases import complete
from monai_al.datasets.files import Pair, existing_folder, listed_error, natural_key, pool_of, readable_files, shortened
from monai_al.datasets.parts import in_parts
from monai_al.datasets.scribbles import CARDIAC_CLASSES, SCRIBBLE_VALUES, check_label_values
from monai_al.records import DataError, Pool

__all__ = ["ms_cmr"]

FILE = re.compile(r"(subject\d+)_DE(_scribble|_manual)?", re.IGNORECASE)
PARTS = {"train": "train", "val": "validation", "testset": "test"}
LABELS = {"train": "_scribble", "validation": "_manual", "test": "_manual"}


@dataclass
class _Subject:
    """The files of one subject in one part."""

    name: str
    part: str
    images: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)


def ms_cmr(
    root: str | os.PathLike, *, item: str = "slice", require_labels: bool = True, skip_incomplete: bool = False
) -> Pool:
    """The images ``subject1_DE.nii.gz`` with scribbles (``train``) or full masks (``val`` and ``TestSet``).

    The folder above a file says which part a subject belongs to, and :func:`split_by_patient` keeps these parts. The
    training part has scribbles alone: a stored 0 is a background stroke, 4 becomes 255; there is no full supervision
    and no Dice on training patients. A subject is a patient with one volume, ``subject1_DE``; slices lie along the
    third stored axis, whatever its anatomical direction. Classes: background, right ventricle, myocardium, left
    ventricle.

    Where the affines of image and label disagree, as for subject 43, the image's is used for both, with a warning.

    Args:
        root: the folder that holds ``train``, ``val`` and ``TestSet``, or some of them.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images without a label, for a pool that is still to be annotated.
        skip_incomplete: leave out subjects with a missing file, and name them in the notes, instead of raising.

    Raises:
        DataError: the folder is missing or holds no such files, one lies in no part, a subject lies in two parts, files
            are missing, a scribble has no 4, or a label other values than 0 to 3 and a scribble's 4; all of a kind are
            listed.

    Example:
        >>> import tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for folder, name in (("images", "subject13_DE"), ("labels", "subject13_DE_scribble")):
        ...         os.makedirs(f"{root}/train/{folder}")
        ...         volume = nibabel.Nifti1Image(np.full((4, 4, 2), 4, np.int16), np.eye(4))
        ...         nibabel.save(volume, f"{root}/train/{folder}/{name}.nii.gz")
        ...     [item.id for item in ms_cmr(root)]
        ['subject13_DE/0000', 'subject13_DE/0001']
    """
    folder = existing_folder(root)
    subjects, strangers = _subjects(folder)
    _check_names(subjects, folder)
    pairs: dict[str, list[Pair]] = {part: [] for part in LABELS}
    problems: dict[str, str] = {}
    for subject in subjects:
        problem = _missing(subject, require_labels)
        if problem:
            problems[subject.name] = problem
        else:
            label = next(iter(subject.labels), None)
            pairs[subject.part].append(Pair(subject.images[0], label, f"{subject.name}_DE", subject.name))
    notes = [f"{len(strangers)} other image files are left out: {shortened(strangers)}."] if strangers else []
    if pairs["train"]:
        notes.append("The training part has scribbles and no full masks: do not score on its patients.")
    notes += complete(folder, problems, skip_incomplete)
    scored = [*pairs["validation"], *pairs["test"]]
    check_label_values(folder, scribbles=_labels(pairs["train"]), masks=_labels(scored))
    pool = pool_of(
        [*pairs["train"], *scored],
        item=item,
        classes=CARDIAC_CLASSES,
        label_values=SCRIBBLE_VALUES,
        root=folder,
        notes=notes,
        affine_tolerated=True,
    )
    return in_parts(pool, {pair.patient: part for part, own in pairs.items() for pair in own})


def _labels(pairs: Iterable[Pair]) -> list[Path]:
    return [pair.label for pair in pairs if pair.label is not None]


def _subjects(folder: Path) -> tuple[list[_Subject], list[str]]:
    """The subjects of each part, and the image files that belong to none."""
    subjects: dict[tuple[str, str], _Subject] = {}
    strangers, homeless = [], []
    for path in readable_files(folder):
        match = FILE.fullmatch(name_without_suffix(path))
        part = _part_of(path, folder)
        kind = (match[2] or "").lower() if match else None
        if match is None or (part is not None and kind not in ("", LABELS[part])):
            strangers.append(path.relative_to(folder).as_posix())
        elif part is None:
            homeless.append(path.relative_to(folder).as_posix())
        else:
            name = match[1].lower()
            subject = subjects.setdefault((part, name), _Subject(name, part))
            (subject.labels if kind else subject.images).append(path)
    if homeless:
        raise listed_error(
            f"{folder}: {len(homeless)} files lie in none of the folders train, val and TestSet, which say what part a "
            "subject belongs to",
            homeless,
        )
    if not subjects:
        raise DataError(f"{folder}: holds no subjectN_DE.nii.gz; give the folder that holds train, val and TestSet")
    return sorted(subjects.values(), key=lambda subject: natural_key(subject.name)), strangers


def _part_of(path: Path, folder: Path) -> str | None:
    """The part that the nearest folder names."""
    names = (name.lower() for name in (*reversed(path.relative_to(folder).parts[:-1]), folder.name))
    return next((PARTS[name] for name in names if name in PARTS), None)


def _check_names(subjects: list[_Subject], folder: Path) -> None:
    files = [own for subject in subjects for own in (subject.images, subject.labels) if len(own) > 1]
    first: dict[str, _Subject] = {}
    for subject in subjects:
        other = first.setdefault(subject.name, subject)
        if other is not subject:
            files.append([(one.images or one.labels)[0] for one in (other, subject)])
    if files:
        raise listed_error(
            f"{folder}: {len(files)} subjects occur more than once, or in two parts; each belongs to one",
            [" and ".join(path.relative_to(folder).as_posix() for path in own) for own in files],
        )


def _missing(subject: _Subject, require_labels: bool) -> str | None:
    there = (subject.images or subject.labels)[0]
    if not subject.images:
        return f"{there}: there is no image {subject.name}_DE.nii.gz"
    if not subject.labels and require_labels:
        return f"{there}: there is no {subject.name}_DE{LABELS[subject.part]}.nii.gz"
    return None
