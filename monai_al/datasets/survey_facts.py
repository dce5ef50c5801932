# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A survey of a folder of scans as facts for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from monai_al.data.slice_axis import stored_spacing
from monai_al.data.stored_plane import stored_plane
from monai_al.datasets.survey import Survey
from monai_al.records import SPLITS, Pool

__all__ = ["survey_facts"]

_OWN_LINES = ("Every file counts", "Classes are the label values", "Patients are", "Patients of")


def survey_facts(survey: Survey) -> list[tuple[str, str]]:
    """Name and text of each fact: layout, volumes, patients, sizes, spacings, modality, labels, what was left out.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from monai_al.datasets.survey import survey
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("a", "b"):
        ...         Image.linear_gradient("L").rotate(ord(name)).save(f"{root}/{name}.png")
        ...     for fact in survey_facts(survey(Path(root)))[1:4]:
        ...         print(*fact, sep=": ")
        volumes: 2 images
        patients: 2, each file is one (a -> a); --patient REGEX finds them in the names
        size: 256 x 256 pixels
    """
    pool = survey.pool
    facts = [("layout", survey.layout.told), ("volumes", _volumes(pool)), ("patients", _patients(survey))]
    parts = {split: len(pool.part(split).patients) for split in SPLITS}
    if parts["train"] < len(pool.patients):
        facts.append(("parts", ", ".join(f"{count} patients {split}" for split, count in parts.items() if count)))
    facts += _sizes(pool)
    facts.append(("modality", str(survey.modality)))
    if survey.channels != 1:
        facts.append(("channels", str(survey.channels)))
    facts += [("labels", _labels(survey)), ("network", _network(survey))]
    facts += [("note", note) for note in pool.notes if not note.startswith(_OWN_LINES)]
    reasons = survey.left_out.items()
    return facts + [("left out", reason if name in reason else f"{name}: {reason}") for name, reason in reasons]


def _volumes(pool: Pool) -> str:
    sliced = sum(item.slice is not None for item in pool)
    return f"{len(pool.volumes)}, {sliced} slices" if sliced else f"{len(pool.volumes)} images"


def _patients(survey: Survey) -> str:
    pool, rule = survey.pool, survey.options["patient"]
    sizes = Counter({item.volume: item.patient for item in pool}.values())
    first = next((item for item in pool if sizes[item.patient] > 1), pool[0])
    example = f"({first.volume} -> {first.patient})"
    if rule is None:
        told = next((note for note in pool.notes if note.startswith("Patients")), "")
        how = told.rstrip(".").replace("Patients are", "they are").replace("Patients of", "those of")
        how = how or f"each file is one {example}; --patient REGEX finds them in the names"
        return f"{len(pool.patients)}, {how}" if not told else f"{len(pool.patients)}, {how} {example}"
    by = f"the rule {rule}" + (", which the names suggest" if survey.rule_suggested else "")
    return f"{len(pool.patients)}, by {by} {example}"


def _sizes(pool: Pool) -> list[tuple[str, str]]:
    depth = Counter(item.volume for item in pool)
    firsts = {item.volume: item for item in pool}.values()
    planes = [stored_plane(item.image, item.slice_axis) for item in firsts]
    slices = [depth[item.volume] for item in firsts if item.slice is not None]
    size = f"{_range([p[0] for p, _ in planes])} x {_range([p[1] for p, _ in planes])} pixels"
    size += f", {_range(slices)} slices" if slices else ""
    spacings = [spacing for _, spacing in planes if spacing is not None]
    if not spacings:
        return [("size", size), ("spacing", "not stored, or a placeholder")]
    spacing = f"{_range([s[0] for s in spacings])} x {_range([s[1] for s in spacings])} mm"
    between = [(stored_spacing(item.image), item.slice_axis) for item in firsts if item.slice is not None]
    steps = [sizes[axis] for sizes, axis in between if sizes is not None]
    spacing += f", {_range(steps)} mm between slices" if steps else ""
    axes = sorted({item.slice_axis for item in pool if item.slice is not None})
    spacing += f"; slices lie along stored axis {' or '.join(map(str, axes))}" if axes and axes != [2] else ""
    missing = len(planes) - len(spacings)
    return [("size", size), ("spacing", spacing + (f"; {missing} files store none" if missing else ""))]


def _network(survey: Survey) -> str:
    """The pixels that the network gets, and whether they are coarser than those of the files."""
    grid = survey.grid
    if grid.stored is None:
        return f"gets {grid}"
    return (
        f"gets {grid}, coarser than the files, so that it is quick on a CPU; spacing and image_size of the overlay "
        f"change that, the files have {grid.stored}"
    )


def _labels(survey: Survey) -> str:
    names = ", ".join(f"{number} {name}" for number, name in enumerate(survey.pool.classes))
    if not survey.labeled:
        return f"none; the classes to draw are {names}"
    total = len(survey.pool.volumes)
    which = f"all {total} volumes" if survey.labeled == total else f"{survey.labeled} of {total} volumes"
    return f"{which} have one; classes {names}"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low}..{high}"
