# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""PROMISE12: prostate in T2-weighted MR, as MetaImage.

Litjens et al., Medical Image Analysis 18(2), 2014.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from monai_al.data.metaimage import check_voxel_file
from monai_al.data.reading import name_without_suffix
from monai_al.datasets.cases import complete
from monai_al.datasets.files import Pair, existing_folder, listed_error, natural_key, pool_of, readable_files, shortened
from monai_al.records import NOT_ANNOTATED, DataError, Pool

__all__ = ["promise12"]

PARTS = ("train", "test")
CASE = re.compile(r"(case\d+)(_segmentation)?", re.IGNORECASE)
PART = re.compile(r"(?<![A-Za-z])(?i:(train|test))|(?<=[a-z])(Train|Test)")  # where a word starts: not in "latest"
WHOLE_GLAND = {0: 0, 1: 1, 2: 1, NOT_ANNOTATED: NOT_ANNOTATED}


@dataclass
class _Case:
    """The files of one name in one part; more than one of a kind cannot be told apart."""

    part: str
    name: str
    images: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)


def promise12(
    root: str | os.PathLike,
    *,
    part: str | None = None,
    whole_gland: bool = False,
    item: str = "slice",
    require_labels: bool = True,
    skip_incomplete: bool = False,
) -> Pool:
    """The cases ``CaseNN.mhd`` with their labels ``CaseNN_segmentation.mhd``, wherever they lie below a folder.

    The names of the training cases occur again in the test part, for other patients: a case belongs to the part that a
    folder above it names, such as ``TrainingData`` or ``TestData``, else to the training part. Volumes are called
    ``Case00`` in the training part and ``test_Case00`` in the test part, which has no labels; a case is a patient with
    one volume, its slices lie along the third axis. Nothing is resampled: the axes are oblique in many cases.

    Args:
        root: the folder of the challenge's files, or of one part.
        part: ``"train"`` or ``"test"``. Default: the training part where there is one, else the test part.
        whole_gland: for copies in this layout with the zones of the prostate as labels 1 and 2, and 255 where nothing
            is annotated: both zones are prostate. Without it other values than 0 and 1 are errors.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images without a label, for a pool that is still to be annotated.
        skip_incomplete: leave out cases with a missing or damaged file, and name them in the notes, instead of raising.

    Raises:
        DataError: the folder is missing or holds no such cases, two cases of one part have the same name, an image or
            label is missing, or a header's voxel file is missing or has another size than the header says (all of them
            are listed, with the bytes expected).
        ValueError: an unknown part, or ``whole_gland`` is neither True nor False.

    Example:
        >>> import tempfile, SimpleITK
        >>> with tempfile.TemporaryDirectory() as root:
        ...     os.mkdir(f"{root}/TrainingData")
        ...     for name, kind in (("Case00", SimpleITK.sitkInt16), ("Case00_segmentation", SimpleITK.sitkInt8)):
        ...         SimpleITK.WriteImage(SimpleITK.Image(8, 8, 3, kind), f"{root}/TrainingData/{name}.mhd")
        ...     [item.id for item in promise12(root)]
        ['Case00/0000', 'Case00/0001', 'Case00/0002']
    """
    if part not in (None, *PARTS):
        raise ValueError(f"part must be one of {', '.join(PARTS)} or None; got {part!r}")
    folder = existing_folder(root)
    found, strangers = _cases(folder)
    if not found:
        raise DataError(
            f"{folder}: holds no CaseNN.mhd; give the folder of the challenge's files (the data set 'folder' reads "
            "MetaImage files of other names)"
        )
    chosen, notes = _of_part(found, part, folder)
    _check_names(chosen, folder)
    pairs = []
    problems: dict[str, str] = {}
    for case in chosen:
        problem = _problem(case, require_labels)
        if problem:
            problems[_volume(case)] = problem
        else:
            pairs.append(Pair(case.images[0], next(iter(case.labels), None), _volume(case), _volume(case)))
    notes += [f"{len(strangers)} other image files are left out: {shortened(strangers)}."] if strangers else []
    notes += complete(folder, problems, skip_incomplete)
    if not isinstance(whole_gland, bool):
        raise ValueError(f"whole_gland must be True or False, got {whole_gland!r}")
    classes, label_values = ("background", "prostate"), WHOLE_GLAND if whole_gland else {0: 0, 1: 1}
    return pool_of(pairs, item=item, classes=classes, label_values=label_values, root=folder, notes=notes)


def _cases(folder: Path) -> tuple[list[_Case], list[str]]:
    """The cases by part and name, and the image files that belong to none."""
    cases: dict[tuple[str, str], _Case] = {}
    strangers = []
    files = list(readable_files(folder))
    labeled = any(name_without_suffix(path).lower().endswith("_segmentation") for path in files)
    for path in files:
        match = CASE.fullmatch(name_without_suffix(path))
        if match is None or path.suffix.lower() not in (".mhd", ".mha"):
            strangers.append(path.relative_to(folder).as_posix())
            continue
        part = _part_of(path, folder, labeled)
        case = cases.setdefault((part, match[1].lower()), _Case(part, match[1]))
        (case.labels if match[2] else case.images).append(path)
    return sorted(cases.values(), key=lambda case: natural_key(case.name)), strangers


def _part_of(path: Path, folder: Path, labeled: bool) -> str:
    """The part that the nearest folder names; the data set's own folder counts where nothing in it has labels."""
    names = [*reversed(path.relative_to(folder).parts[:-1]), *([] if labeled else [folder.name])]
    for name in names:
        named = {(match[1] or match[2]).lower() for match in PART.finditer(name)}
        if len(named) == 1:
            return named.pop()
    return "train"


def _of_part(cases: list[_Case], part: str | None, folder: Path) -> tuple[list[_Case], list[str]]:
    counts = {known: sum(case.part == known for case in cases) for known in PARTS}
    there = [known for known in PARTS if counts[known]]
    part = part or there[0]
    if part not in there:
        raise DataError(
            f"{folder}: holds no case of the {part} part, {counts[there[0]]} of the {there[0]} part; parts are told by "
            "the names of folders, such as TrainingData and TestData"
        )
    notes = []
    if len(there) > 1:
        other = next(known for known in there if known != part)
        notes.append(f"This is the {part} part; the {counts[other]} cases of the {other} part are left out.")
    return [case for case in cases if case.part == part], notes


def _check_names(cases: list[_Case], folder: Path) -> None:
    twice = [files for case in cases for files in (case.images, case.labels) if len(files) > 1]
    if twice:
        raise listed_error(
            f"{folder}: {len(twice)} names occur more than once in one part. Training and test cases have the same "
            "names and are different patients: let dataset_dir be the folder of one part, or keep the parts in folders "
            "called TrainingData and TestData",
            [" and ".join(path.relative_to(folder).as_posix() for path in files) for files in twice],
        )


def _volume(case: _Case) -> str:
    return f"test_{case.name}" if case.part == "test" else case.name


def _problem(case: _Case, require_labels: bool) -> str | None:
    """What is missing or damaged in a case."""
    problems = []
    if not case.images:
        problems.append(f"{case.labels[0]}: there is no {case.name}.mhd")
    if not case.labels and require_labels:
        hint = "; --datalist#require_labels False takes cases without labels" if case.part == "test" else ""
        problems.append(f"{case.images[0]}: there is no {case.name}_segmentation.mhd{hint}")
    for path in (*case.images, *case.labels):
        try:
            check_voxel_file(path)
        except DataError as error:
            problems.append(str(error))
    return "; ".join(problems) or None
