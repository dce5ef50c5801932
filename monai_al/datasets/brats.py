# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""BraTS, in both forms of 2015 and in the form of 2017 to 2020.

Menze et al., IEEE TMI 34(10), 2015; Bakas et al., Scientific Data 4, 2017.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass, replace
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
    archived: bool = False  # names as in VSD.Brain.XX.O.MR_Flair.54512.mha, each file in a folder of its own

    def file(self, case: Path, name: str) -> Path | None:
        """The file of a case for the name of an image or of the label."""
        if not self.archived:
            return nifti(case, name.format(case=case.name))
        return next((path for path in readable_files(case) if _archived(path) == name), None)

    def called(self, case: Path, name: str) -> str:
        """What that file is called."""
        return f"VSD.Brain.*.{name}.*.mha" if self.archived else f"{name.format(case=case.name)}.nii.gz"

    def others(self, case: Path) -> list[str]:
        """Files of a case that are called otherwise."""
        return [path.name for path in readable_files(case, deep=self.archived) if not _known(path, case, self)]


_FORM_2015 = _Form(
    images={m: f"{m.capitalize()}_subtrMeanDivStd" for m in ("flair", "t1", "t1c", "t2")},
    label="OTMultiClass",
    raw={1: "necrosis", 2: "oedema", 3: "non-enhancing tumour", 4: "enhancing tumour"},
    inside={"whole": (1, 2, 3, 4), "core": (1, 3, 4), "enhancing": (4,)},
)
_FORM_2015_ARCHIVE = replace(
    _FORM_2015,
    images={"flair": "MR_Flair", "t1": "MR_T1", "t1c": "MR_T1c", "t2": "MR_T2"},
    label="OT",
    archived=True,
)
_ARCHIVED = re.compile(r"VSD\.Brain.*\.(MR_\w+|OT)\.\w+\.(?:mha|mhd|nii|nii\.gz)")
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
    """The cases of a BraTS release, in any form; the form is recognised by the files' names.

    2015: ``<case>/VSD.Brain.XX.O.MR_Flair.<id>/VSD.Brain.XX.O.MR_Flair.<id>.mha`` and the like with ``OT``, the label,
    as the archive gives them, or ``<case>/Flair_subtrMeanDivStd.nii.gz`` and ``OTMultiClass.nii.gz``; a case that ends
    in ``_<number>`` is one scan of the patient before it, and a grade folder's name stands in front of the volume's,
    because HGG and LGG share case names. 2017 to 2020: ``<case>/<case>_flair.nii.gz`` or ``.nii``, and ``<case>_seg``.

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
    form, cases = _form_and_cases(folder)
    classes, label_values = _classes(form, target)
    image_name = _image_name(form, modality)
    if grade is not None:
        cases = _of_grade(cases, grade, folder)
    pairs = []
    problems: dict[str, str] = {}
    for case in cases:
        image, label = form.file(case, image_name), form.file(case, form.label)
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


def _archived(path: Path) -> str | None:
    """The image or label that a file of the archive holds."""
    found = _ARCHIVED.fullmatch(path.name)
    return found[1] if found else None


def _form_and_cases(root: Path) -> tuple[_Form, list[Path]]:
    files = [path for path in readable_files(root) if _archived(path)]
    archived = [path.parent.parent if path.parent.name.startswith("VSD.") else path.parent for path in files]
    archived = list(dict.fromkeys(archived))
    inside = {path.parent for path in files}
    cases = [case for case in case_folders(root) if case not in inside]
    if archived and cases:
        raise DataError(
            f"{root}: {archived[0]} has the form of the archive of 2015 and {cases[0]} has not; keep the releases apart"
        )
    if archived:
        return _FORM_2015_ARCHIVE, archived
    if not cases:
        raise DataError(
            f"{root}: no folder with NIfTI files, or with MetaImage files of VSD; give the folder that holds the cases "
            "or HGG and LGG"
        )
    return _form_of(cases, root), cases


def _form_of(cases: list[Path], root: Path) -> _Form:
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
    if form.archived:
        return _archived(path) in names
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
    missing = " and no ".join(form.called(case, name) for name in wanted)
    odd = form.others(case)
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
