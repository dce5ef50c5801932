# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""ISIC 2017, part 1: dermoscopic images of skin lesions with the outline of the lesion.

Codella et al., ISBI 2018.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai_al.data.reading import stored_shape
from monai_al.datasets.cases import complete
from monai_al.datasets.files import Pair, existing_folder, listed_error, pool_of, readable_files, shortened
from monai_al.datasets.names import is_accompanying
from monai_al.datasets.parts import in_parts
from monai_al.records import SPLITS, DataError, Pool

__all__ = ["isic"]

IMAGE = re.compile(r"(ISIC_\d{7})\.jpe?g", re.IGNORECASE)
MASK = re.compile(r"(ISIC_\d{7})_segmentation\.png", re.IGNORECASE)
PART = re.compile(r"(?<![A-Za-z])(?i:(train|validation|test))|(?<=[a-z])(Train|Validation|Test)")  # where a word starts
CLASSES = ("background", "lesion")


@dataclass
class _Lesion:
    """The files of one id; more than one of a kind cannot be told apart."""

    id: str
    images: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)


def isic(
    root: str | os.PathLike,
    *,
    parts: Sequence[str] | None = None,
    item: str = "slice",
    require_labels: bool = True,
    skip_incomplete: bool = False,
) -> Pool:
    """The images ``ISIC_0000000.jpg`` with their masks ``ISIC_0000000_segmentation.png``, anywhere below a folder.

    An image and a mask belong together by their id, and images are sorted by it. Each image is a volume, and a patient
    of its own, as the data set names no patients. Superpixels, and all other files, are left out. A mask holds 0 and
    255 alone. Where images were resized and masks were not, both show the whole view: they are resized to one size for
    a network, and a prediction is scored on the pixels of the mask.

    Images below a folder whose name says so (``ISIC-2017_Validation_Data``, ``ISIC-2017_Test_v2_Data``) are the
    validation part and the test part, all others may be annotated. Without such folders :func:`split_by_patient` draws
    the parts.

    Args:
        root: the folder of the data set's folders.
        parts: ``"train"``, ``"validation"``, ``"test"``: take the images of these alone. Default: all that are there.
        item: ``"slice"`` or ``"volume"``, which mean the same for pictures.
        require_labels: False also takes images without a mask, for a pool that is still to be annotated.
        skip_incomplete: leave out ids of which the image or the mask is missing, and name them in the notes, instead of
            raising.

    Raises:
        DataError: the folder is missing or holds no such images, an id has several images or masks, or lacks one of
            both (all such ids are listed), or a part is asked for that is not there.
        ValueError: a part is unknown.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name, mode in (("ISIC_0000010.jpg", "RGB"), ("ISIC_0000010_segmentation.png", "L")):
        ...         Image.new(mode, (8, 6)).save(f"{root}/{name}")
        ...     pool = isic(root)
        >>> [item.id for item in pool], pool.classes
        (['ISIC_0000010'], ('background', 'lesion'))
    """
    unknown = [part for part in parts or () if part not in SPLITS]
    if unknown:
        raise ValueError(f"parts must be some of {', '.join(SPLITS)}, got {unknown[0]!r}")
    folder = existing_folder(root)
    lesions, strangers = _lesions(folder)
    part_of = {lesion.id: _part_of(lesion, folder) for lesion in lesions}
    _check_parts(parts, part_of, folder)
    pairs: list[Pair] = []
    problems: dict[str, str] = {}
    for lesion in lesions:
        if parts is not None and part_of[lesion.id] not in parts:
            continue
        problem = _missing(lesion, require_labels)
        if problem:
            problems[lesion.id] = problem
        else:
            pairs.append(Pair(lesion.images[0], next(iter(lesion.masks), None), lesion.id, lesion.id))
    notes = ["The data set names no patients: each image is one of its own. Distances count pixels."]
    notes += [f"{len(strangers)} other image files are left out: {shortened(strangers)}."] if strangers else []
    notes += complete(folder, problems, skip_incomplete)
    pool = pool_of(
        pairs,
        item=item,
        classes=CLASSES,
        root=folder,
        notes=[*notes, *_sizes_note(pairs)],
        placeholder_spacing=True,
        sizes_tolerated=True,
    )
    return in_parts(pool, {name: part for name, part in part_of.items() if part != "train"})


def _lesions(folder: Path) -> tuple[list[_Lesion], list[str]]:
    """The files by id, and the image files that are neither image nor mask nor superpixels."""
    found: dict[str, _Lesion] = {}
    strangers = []
    for path in readable_files(folder):
        image, mask = IMAGE.fullmatch(path.name), MASK.fullmatch(path.name)
        match = image or mask
        if match is None:
            strangers += [] if is_accompanying(path.stem) else [path.relative_to(folder).as_posix()]
            continue
        id = match[1].upper()
        lesion = found.setdefault(id, _Lesion(id))
        (lesion.images if image else lesion.masks).append(path)
    if not found:
        raise DataError(
            f"{folder}: no ISIC_0000000.jpg or the like; give the folder that holds ISIC-2017_Training_Data"
        )
    twice = [files for lesion in found.values() for files in (lesion.images, lesion.masks) if len(files) > 1]
    if twice:
        raise listed_error(
            f"{folder}: {len(twice)} files occur more than once; let dataset_dir be the folder of one copy",
            [" and ".join(path.relative_to(folder).as_posix() for path in files) for files in twice],
        )
    return [found[id] for id in sorted(found)], strangers


def _part_of(lesion: _Lesion, folder: Path) -> str:
    """The part that the nearest folder of the image names, without an image that of the mask."""
    for name in reversed((*lesion.images, *lesion.masks)[0].relative_to(folder).parts[:-1]):
        named = {(match[1] or match[2]).lower() for match in PART.finditer(name)}
        if len(named) == 1:
            return named.pop()
    return "train"


def _check_parts(parts: Sequence[str] | None, part_of: dict[str, str], folder: Path) -> None:
    there = set(part_of.values())
    absent = [part for part in parts or () if part not in there]
    if absent and there:
        raise DataError(
            f"{folder}: holds no image of the {absent[0]} part, but of {', '.join(p for p in SPLITS if p in there)}; "
            "parts are told by the names of folders, such as ISIC-2017_Training_Data and ISIC-2017_Test_v2_Data"
        )


def _missing(lesion: _Lesion, require_labels: bool) -> str | None:
    if not lesion.images:
        return f"{lesion.masks[0]}: there is no {lesion.id}.jpg"
    if not lesion.masks and require_labels:
        return f"{lesion.images[0]}: there is no {lesion.id}_segmentation.png"
    return None


def _sizes_note(pairs: Sequence[Pair]) -> list[str]:
    """A sentence about masks of another size than their image."""
    labeled = [pair for pair in pairs if pair.label is not None]
    other = [pair.volume for pair in labeled if _size(pair.image) != _size(pair.label)]
    if not other:
        return []
    return [
        f"{len(other)} of {len(labeled)} masks have another size than their image, such as that of {other[0]}: both "
        "are taken for the whole view, and predictions are scored on the pixels of the mask."
    ]


def _size(path: Path | str | None) -> tuple[int, ...]:
    """Rows and columns from the header; none of a file that cannot be read, which reading it tells."""
    try:
        return stored_shape(str(path))
    except DataError:
        return ()
