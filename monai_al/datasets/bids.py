# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Brain Imaging Data Structure: the images below ``sub-*``, and what of ``derivatives`` are their labels.

Gorgolewski et al., Scientific Data 3, 2016.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from monai_al.data.reading import name_without_suffix
from monai_al.datasets.files import listed_error, readable_files
from monai_al.datasets.names import is_label_name

__all__ = ["bids_options", "is_bids"]

_DERIVATIVES = "derivatives"
_TOLD_APART = re.compile(r"_(?:label|desc)-[A-Za-z0-9+]+")  # masks of one image


def is_bids(folder: Path) -> bool:
    """Whether a folder holds ``dataset_description.json`` beside subjects, or subjects ``sub-*`` alone.

    Example:
        >>> is_bids(Path("monai_al"))
        False
    """
    folders = [path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    subjects = [name for name in folders if name.startswith("sub-")]
    return bool(subjects) and ((folder / "dataset_description.json").is_file() or len(subjects) == len(folders))


def bids_options(folder: Path, images: str | None = None, labels: str | None = None) -> dict[str, str | None]:
    """What the reader ``folder`` is told to take: one kind of images, and one kind of labels or none.

    Args:
        folder: the data set.
        images: a pattern of the images, where it is known.
        labels: the same of the labels.

    Raises:
        DataError: there are several kinds of images or of labels, of which one has to be chosen.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     place = Path(root, "sub-1", "anat")
        ...     place.mkdir(parents=True)
        ...     (place / "sub-1_T1w.nii.gz").touch()
        ...     bids_options(Path(root))
        {'images': 'sub-*_T1w.*', 'labels': None}
    """
    found = list(readable_files(folder))
    below = {path: path.relative_to(folder).parts for path in found}
    raw = [path for path in found if below[path][0].startswith("sub-")]
    beside = [path for path in raw if is_label_name(name_without_suffix(path))]
    derived = [p for p in found if below[p][0] == _DERIVATIVES and is_label_name(name_without_suffix(p))]
    if images is None:
        images = _only(folder, "images", (f"sub-*_{_kind(path)}.*" for path in raw if path not in beside))
    if labels is None:
        patterns = [f"sub-*_{_kind(path)}.*" for path in beside]
        labels = _only(folder, "labels", [*patterns, *(_label_pattern(below[path]) for path in derived)])
    return {"images": images or "sub-*", "labels": labels}


def _kind(path: Path) -> str:
    """The suffix of BIDS, what stands last in a name."""
    return name_without_suffix(path).rpartition("_")[2]


def _label_pattern(parts: tuple[str, ...]) -> str:
    """The labels of one pipeline that are of one kind, and of one part of the body."""
    pipeline = "" if parts[1].startswith("sub-") else f"{parts[1]}/"
    entities = "*".join(found[0] for found in _TOLD_APART.finditer(name_without_suffix(parts[-1])))
    return f"{_DERIVATIVES}/{pipeline}*{entities}{'*' * bool(entities)}_{_kind(Path(parts[-1]))}.*"


def _only(folder: Path, name: str, patterns: Iterable[str]) -> str | None:
    counts = Counter(patterns)
    if len(counts) > 1:
        shown = [f"--{name} {pattern!r}: {count}" for pattern, count in counts.most_common()]
        raise listed_error(f"{folder}: is BIDS with several kinds of {name}; choose one, by the number of files", shown)
    return next(iter(counts), None)
