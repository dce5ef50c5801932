# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Data sets that keep each case in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monai_al.datasets.files import listed_error, natural_key, readable_files, shortened, ways_out

__all__ = ["case_folders", "complete", "nifti"]


def case_folders(root: Path, endings: tuple[str, ...] = (".nii", ".nii.gz")) -> list[Path]:
    """All folders at or below ``root`` that hold a file with such an ending, numeric-aware sorted.

    Example:
        >>> case_folders(Path("monai_al"))
        []
    """
    folders = {path.parent for path in readable_files(root) if path.name.lower().endswith(endings)}
    return sorted(folders, key=lambda path: natural_key(path.relative_to(root).as_posix()))


def nifti(folder: Path, name: str) -> Path | None:
    """The file ``<name>.nii.gz``, else ``<name>.nii``, in a folder; None where neither is there.

    Example:
        >>> nifti(Path("monai_al"), "case_seg") is None
        True
    """
    candidates = (folder / f"{name}{suffix}" for suffix in (".nii.gz", ".nii"))
    return next((path for path in candidates if path.is_file()), None)


def complete(root: Path, problems: Mapping[str, str], skip_incomplete: bool) -> list[str]:
    """Raise one error for all incomplete cases, or give the note that they are left out.

    Args:
        root: the data set's folder.
        problems: case -> what is missing.
        skip_incomplete: note instead of raise.

    Raises:
        DataError: there are incomplete cases and they are not to be skipped.

    Example:
        >>> complete(Path("."), {"case_1": "case_1: no case_1_seg.nii.gz"}, skip_incomplete=True)
        ['1 incomplete cases are left out: case_1: no case_1_seg.nii.gz.']
    """
    if not problems:
        return []
    if not skip_incomplete:
        raise listed_error(
            f"{root}: {len(problems)} cases are incomplete ({ways_out(unlabeled=False)})",
            list(problems.values()),
        )
    return [f"{len(problems)} incomplete cases are left out: {shortened(list(problems.values()))}."]
