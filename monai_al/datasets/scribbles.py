# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Cardiac labels as scribbles or full masks: which stored values a file may hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from monai_al.data.reading import stored_label_values
from monai_al.datasets.files import listed_error
from monai_al.records import NOT_ANNOTATED, DataError

__all__ = ["CARDIAC_CLASSES", "MASK_VALUES", "SCRIBBLE_VALUES", "check_label_values"]

CARDIAC_CLASSES = ("background", "right ventricle", "myocardium", "left ventricle")
MASK_VALUES = {value: value for value in range(len(CARDIAC_CLASSES))}
UNSCRIBBLED = 4
SCRIBBLE_VALUES = MASK_VALUES | {UNSCRIBBLED: NOT_ANNOTATED}
CHALLENGE_CODES = {200: "myocardium", 500: "left ventricle", 600: "right ventricle"}


def check_label_values(root: Path, *, scribbles: Iterable[Path] = (), masks: Iterable[Path] = ()) -> None:
    """Read labels and check that scribbles are scribbles and masks are masks; one pool of both cannot tell them apart.

    Args:
        root: the data set's folder, for the message.
        scribbles: files that hold 0 to 3 where they are annotated, 0 for background, and 4 elsewhere.
        masks: files that hold 0 to 3.

    Raises:
        DataError: a file cannot be read, a scribble file has no 4, a mask has one, or there are other values; all such
            files are listed.

    Example:
        >>> check_label_values(Path("."))
    """
    problems = []
    for paths, known in ((scribbles, SCRIBBLE_VALUES), (masks, MASK_VALUES)):
        for path in paths:
            try:
                _check(path, known)
            except DataError as error:
                problems.append(str(error))
    if problems:
        raise listed_error(f"{root}: {len(problems)} label files cannot be used", problems)


def _check(path: Path, known: dict[int, int]) -> None:
    found = set(stored_label_values(path))
    unexpected = sorted(found - set(known))
    if unexpected:
        codes = ", ".join(f"{code} {CHALLENGE_CODES[code]}" for code in unexpected if code in CHALLENGE_CODES)
        hint = ""
        if unexpected == [UNSCRIBBLED]:
            hint = "; 4 marks what a scribble leaves out: is this a scribble?"
        elif unexpected[-1] > UNSCRIBBLED:
            hint = f"; these are codes of the original challenge's masks ({codes})" if codes else ""
            hint += "; store 1 right ventricle, 2 myocardium, 3 left ventricle (the original codes are 600, 200, 500)"
        shown = ", ".join(map(str, unexpected[:10]))
        raise DataError(f"{path}: unexpected label values {shown}; expected {sorted(known)}{hint}")
    if UNSCRIBBLED in known and UNSCRIBBLED not in found:
        raise DataError(
            f"{path}: is said to be a scribble, but nothing in it is marked 4, not annotated, so that its 0 may be "
            "background or not annotated; take the scribble file, or the full masks"
        )
