# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a label file itself, or a table beside it, says of the names of its values: segments and colour tables."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monai_al.data.nrrd import nrrd_texts
from monai_al.data.stored_formats import name_without_suffix
from monai_al.records.errors import DataError
from monai_al.records.stored_files import stored_parts

__all__ = ["NamedValue", "files_with_names", "is_segmentation", "name_tables", "named_values"]

SEGMENT = re.compile(r"Segment(\d+)_ID")
OF_SEGMENTATIONS = "Segmentation_"
TABLES = (".labels.csv", "_ColorTable.csv", "_ColorTable.ctbl", "_ColorTable.txt", ".ctbl", ".labels.ctbl")


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A value of a label file and its name.

    Args:
        name: of the segment, or of the colour.
        value: as it stands in the voxels.
        layer: which layer of the file, where segments overlap and it has several.

    Example:
        >>> NamedValue("left lung", 3).layer
        0
    """

    name: str
    value: int
    layer: int = 0


def is_segmentation(path: str | os.PathLike) -> bool:
    """Whether a file is a segmentation of 3D Slicer, whose header names its segments.

    Example:
        >>> is_segmentation("a.nii.gz")
        False
    """
    if not os.fspath(path).lower().endswith(".nrrd") or not os.path.isfile(path):
        return False
    return any(SEGMENT.fullmatch(key) or key.startswith(OF_SEGMENTATIONS) for key in nrrd_texts(path))


def name_tables(path: str | os.PathLike) -> list[Path]:
    """The tables that lie beside a label file and are named like it, as 3D Slicer writes them.

    Example:
        >>> name_tables("no/such/Segmentation-label.nrrd")
        []
    """
    path = Path(path)
    stem = name_without_suffix(path)
    stems = dict.fromkeys((stem, stem.removesuffix("-label")))
    found = (path.with_name(name + ending) for name in stems for ending in TABLES)
    return [table for table in found if table.is_file()]


def files_with_names(path: str | os.PathLike) -> list[Path]:
    """The files that a label consists of: its own, those of its voxels, and the tables beside it.

    Example:
        >>> [file.name for file in files_with_names("a.nii.gz")]
        ['a.nii.gz']
    """
    return list(dict.fromkeys([*map(Path, stored_parts(Path(path))), *name_tables(path)]))


def named_values(path: str | os.PathLike) -> tuple[NamedValue, ...] | None:
    r"""The names of a label file's values: of its segments, else of the table beside it; None where nothing tells.

    Raises:
        DataError: a header or a table cannot be understood; the message names the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.labels.csv").write_text("LabelValue,Name\n3,left lung\n")
        ...     named_values(folder + "/a.nrrd")
        (NamedValue(name='left lung', value=3, layer=0),)
    """
    if is_segmentation(path):
        return tuple(_segments(path))
    tables = name_tables(path)
    if not tables:
        return None
    read = _of_csv if tables[0].suffix.lower() == ".csv" else _of_colour_table
    try:
        return tuple(read(tables[0]))
    except (KeyError, OSError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{tables[0]}: is no table of label values and names ({error}); export it again, or remove it where the "
            f"values of {Path(path).name} are class numbers"
        ) from None


def _segments(path: str | os.PathLike) -> Iterator[NamedValue]:
    texts = nrrd_texts(path)
    numbers = sorted(int(match[1]) for key in texts if (match := SEGMENT.fullmatch(key)))
    for n in numbers:
        name = texts.get(f"Segment{n}_Name", texts[f"Segment{n}_ID"])
        value, layer = texts.get(f"Segment{n}_LabelValue", "1"), texts.get(f"Segment{n}_Layer", str(n))
        try:
            yield NamedValue(name, int(value), int(layer))
        except ValueError:
            raise DataError(f"{path}: its segment {name!r} has the value {value!r} in the layer {layer!r}") from None


def _of_csv(table: Path) -> Iterator[NamedValue]:
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            short = [key for key in ("LabelValue", "Name") if row[key] is None]
            if short:
                raise ValueError(f"its line {rows.line_num} ends before the column {short[0]}")
            if row["LabelValue"].strip().isdecimal():
                yield NamedValue(row["Name"].strip(), int(row["LabelValue"]))


def _of_colour_table(table: Path) -> Iterator[NamedValue]:
    """Lines ``index name r g b a``; an underscore stands for a space."""
    for line in table.read_text(encoding="utf-8-sig").splitlines():
        if line.strip() and not line.startswith("#"):
            value, name = line.split()[:2]
            yield NamedValue(name.strip("'").replace("_", " "), int(value))
