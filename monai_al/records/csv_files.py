# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables for programs and spreadsheets, as comma-separated values."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from monai_al.records.files import write_file

__all__ = ["read_field", "write_csv"]

_FORMULA = re.compile("'*[-=+@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last four: the first ones in full width


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table: UTF-8, commas, one line for the names of the columns and one for each row.

    A number that is not defined is an empty field. No text can act as a spreadsheet's formula: what begins with ``=``,
    ``+``, ``-``, ``@``, a tab or a line break, such as the name of a patient, gets an apostrophe in front, and so does
    what begins with apostrophes before one of them. To read such a text back, take one apostrophe away. Numbers and all
    other texts stay as they are.

    Args:
        path: the file, which is complete or absent.
        columns: names of the columns.
        rows: numbers, texts and None in the order of the columns; None, NaN and infinities are not defined.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_csv(Path(folder, "a.csv"), ("patient", "dice"), [("=1+1", -0.3), ("p-1", None)])
        ...     print(Path(folder, "a.csv").read_text().strip())
        patient,dice
        '=1+1,-0.3
        p-1,
    """
    content = "".join(map(_line, (columns, *rows)))
    write_file(path, lambda file: file.write(content.encode()))


def read_field(text: str) -> str:
    """A text as it was before :func:`write_csv` kept it from acting as a formula.

    Example:
        >>> read_field("'=1+1"), read_field("'a"), read_field("-0.3")
        ('=1+1', "'a", '-0.3')
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def _line(row: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([_field(value) for value in row])  # quotes either line break
    return f"{text.getvalue()[:-2]}\n"


def _field(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) else value
    return None if isinstance(value, Real) and not math.isfinite(value) else value
