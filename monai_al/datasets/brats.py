# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""BraTS, in the form of 2015 and in the form of 2017 to 2020.

Menze et al., IEEE TMI 34(10), 2015; Bakas et al., Scientific Data 4, 2017.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from monai_al.datasets.cases import case_folders, complete, nifti
from monai_al.datasets.files import Pair, existing_folder, pool_of, readable_files
from monai_al.records import DataError, Pool

__all__ = ["brats"]

GRADES = ("HGG", "LGG")
TARGETS = {"whole": "whole tumour", "core": "tumour core", "enhancing": "enhancing tumour"}


@dataclass(frozen=True)
class _Form:
    """How a release names its files and what its label values mean."""

    images: dict[str, str]
    label: str
    raw: dict[int, str]
    inside: dict[str, tuple[int, ...]]


_FORM_2015 = _Form(
    images={m: f"{m.capitalize()}_subtrMeanDivStd" for m in ("flair", "t1", "t1c", "t2")},
    label="OTMultiClass",
    raw={1: "necrosis", 2: "oedema", 3: "non-enhancing tumour", 4: "enhancing tumour"},
    inside={"whole": (1, 2, 3, 4), "core": (1, 3, 4), "enhancing": (4,)},
)
_FORM_2017 = _Form(
    images={m: f"{{case}}_{m}" for m in ("flair", "t1", "t1ce", "t2")},
    label="{case}_seg",
    raw={1: "necrotic and non-enhancing core", 2: "oedema", 4: "enhancing tumour"},
    inside={"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)},
)


def brats(
    root: str | os.PathLike,
    *,
    modality: str = "flair",
    target: str = "whole",
    grade: str | None = None,
    item: str = "slice",
    require_labels: bool = True,
    skip_incomplete: bool = False,
) -> Pool:
    """The cases of a BraTS release, in either form; the form is recognised by the files' names.

    2015: ``<case>/Flair_subtrMeanDivStd.nii.gz`` and ``OTMultiClass.nii.gz``; a case that ends in ``_<number>`` is one
    scan of the patient before it, and a grade folder's name stands in front of the volume's, because HGG and LGG share
    case names. 2017 to 2020: ``<case>/<case>_flair.nii.gz`` or ``.nii``, and ``<case>_seg``.

    Args:
        root: the folder that holds the cases, directly or in ``HGG`` and ``LGG``.
        modality: ``"flair"``, ``"t1"``, ``"t2"``, or ``"t1c"`` (2015), ``"t1ce"`` (2017 to 2020).
        target: ``"whole"``, ``"core"`` or ``"enhancing"`` tumour against everything else; ``"raw"`` keeps all classes.
        grade: only ``"HGG"`` or only ``"LGG"``: by folder, else by the column ``Grade`` of ``name_mapping.csv``.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images without a label, for a pool that is still to be annotated.
        skip_incomplete: leave out cases with a missing file, and name them in the notes, instead of raising.

    Raises:
        DataError: the folder is missing or empty, files are missing (all of them are listed, with other files found in
            their place), or the grade of a case is not known.
        ValueError: an unknown modality, target or grade.

    Example:
        >>> import tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     os.mkdir(f"{root}/BraTS19_A_1")
        ...     for name in ("BraTS19_A_1_flair", "BraTS19_A_1_seg"):
        ...         volume = nibabel.Nifti1Image(np.zeros((4, 4, 3), np.uint8), np.eye(4))
        ...         nibabel.save(volume, f"{root}/BraTS19_A_1/{name}.nii.gz")
        ...     brats(root, target="core").label_values
        {0: 0, 1: 1, 2: 0, 4: 1}
    """
    folder = existing_folder(root)
    cases = case_folders(folder)
    form = _form_of(cases, folder)
    classes, label_values = _classes(form, target)
    image_name = _image_name(form, modality)
    if grade is not None:
        cases = _of_grade(cases, grade, folder)
    pairs = []
    problems: dict[str, str] = {}
    for case in cases:
        image = nifti(case, image_name.format(case=case.name))
        label = nifti(case, form.label.format(case=case.name))
        wanted = [image_name] * (image is None) + [form.label] * (label is None and require_labels)
        if image is None or wanted:
            problems[str(case)] = _what_is_missing(case, form, wanted)
        else:
            pairs.append(Pair(image, label, *_names(case, form, folder)))
    notes = [
        f"{modality}, {target if target == 'raw' else TARGETS[target]}.",
        *complete(folder, problems, skip_incomplete),
    ]
    return pool_of(pairs, item=item, classes=classes, label_values=label_values, root=folder, notes=notes)


def _form_of(cases: Iterable[Path], root: Path) -> _Form:
    cases = list(cases)
    if not cases:
        raise DataError(f"{root}: no folder with NIfTI files; give the folder that holds the cases or HGG and LGG")
    of_2015 = [
        case for case in cases if any(_known(path, case, _FORM_2015) for path in readable_files(case, deep=False))
    ]
    if not of_2015:
        return _FORM_2017
    if len(of_2015) == len(cases):
        return _FORM_2015
    other = next(case for case in cases if case not in of_2015)
    raise DataError(f"{root}: {of_2015[0]} has the form of 2015 and {other} has not; keep the releases apart")


def _stem(path: Path) -> str:
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def _known(path: Path, case: Path, form: _Form) -> bool:
    names = [*form.images.values(), form.label]
    return _stem(path) in {name.format(case=case.name) for name in names}


def _classes(form: _Form, target: str) -> tuple[list[str], dict[int, int]]:
    if target == "raw":
        return ["background", *form.raw.values()], {0: 0} | {value: n for n, value in enumerate(form.raw, start=1)}
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, raw; got {target!r}")
    return ["background", TARGETS[target]], {0: 0} | {value: int(value in form.inside[target]) for value in form.raw}


def _image_name(form: _Form, modality: str) -> str:
    if modality not in form.images:
        raise ValueError(f"modality must be one of {', '.join(form.images)} in this form of BraTS; got {modality!r}")
    return form.images[modality]


def _what_is_missing(case: Path, form: _Form, wanted: list[str]) -> str:
    missing = " and no ".join(f"{name.format(case=case.name)}.nii.gz" for name in wanted)
    odd = [path.name for path in readable_files(case, deep=False) if not _known(path, case, form)]
    return f"{case}: no {missing}" + (f"; found in its place: {', '.join(odd)}" if odd else "")


def _names(case: Path, form: _Form, root: Path) -> tuple[str, str]:
    """Volume and patient of a case."""
    if form is _FORM_2017:
        return case.name, case.name
    grade = _folder_grade(case, root)
    volume = f"{grade}_{case.name}" if grade else case.name
    return volume, re.sub(r"_\d+$", "", volume)


def _folder_grade(case: Path, root: Path) -> str | None:
    parts = (root.name, *case.relative_to(root).parts[:-1])
    return next((part.upper() for part in reversed(parts) if part.upper() in GRADES), None)


def _of_grade(cases: list[Path], grade: str, root: Path) -> list[Path]:
    if grade not in GRADES:
        raise ValueError(f"grade must be HGG, LGG or None; got {grade!r}")
    table = _grade_table(root)
    grades = {case: _folder_grade(case, root) or table.get(case.name) for case in cases}
    unknown = [case for case, found in grades.items() if found is None]
    if unknown:
        raise DataError(
            f"{root}: the grade of {len(unknown)} cases is not known, the first is {unknown[0].name}; it is the "
            "name of a folder above the case, HGG or LGG, or stands in name_mapping.csv"
        )
    return [case for case in cases if grades[case] == grade]


def _grade_table(root: Path) -> dict[str, str]:
    """Case -> grade from ``name_mapping.csv`` (2020)."""
    table = {}
    for path in sorted(root.glob("**/name_mapping.csv")):
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for row in csv.DictReader(stream):
                if row.get("BraTS_2020_subject_ID") and row.get("Grade"):
                    table[row["BraTS_2020_subject_ID"].strip()] = row["Grade"].strip().upper()
    return table
