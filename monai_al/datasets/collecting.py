# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which of a folder's files are its images and which its labels: by sub-folders, by patterns of paths, or by names."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from monai_al.datasets.files import shortened
from monai_al.datasets.finding import FoundImages, found_images, found_labels, is_stored_folder
from monai_al.datasets.pairing import Named, pair_by_name
from monai_al.records import DataError
from monai_al.records.stored_files import stored_channels

__all__ = ["IMAGES", "LABELS", "Collected", "collected"]

IMAGES, LABELS = "images", "labels"  # sub-folders, where none are named


@dataclass(frozen=True)
class Collected:
    """The images and labels of a folder, what was left out, and where they lie.

    Args:
        images: the images.
        labels: the labels.
        notes: what is neither.
        image_folder: the folder that the images' names start from.
        label_folder: that of the labels.

    Example:
        >>> Collected([], [], [], Path("a/images"), Path("a/labels")).label_folder.name
        'labels'
    """

    images: list[Named]
    labels: list[Named]
    notes: list[str]
    image_folder: Path
    label_folder: Path


def collected(base: Path, images: str = IMAGES, labels: str | None = LABELS) -> Collected:
    """The images and labels of a folder.

    Args:
        base: the folder.
        images: sub-folder of the images, or a pattern of their paths; see :func:`monai_al.datasets.folder`.
        labels: the same of the labels; None where none are wanted.

    Raises:
        DataError: there is no such sub-folder, or nothing fits a pattern.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("a_t1.nrrd", "a_t2.nrrd", "a_seg.nrrd"):
        ...         Path(root, name).touch()
        ...     found = collected(Path(root), images="*_t1.nrrd")
        >>> [one.key for one in found.images], [one.key for one in found.labels]
        (['a_t1'], ['a_seg'])
    """
    image_folder = _searched(base, images, IMAGES) or base
    label_folder = None if labels is None else _searched(base, labels, LABELS)
    apart = label_folder is not None and label_folder != image_folder
    inside = label_folder is not None and apart and label_folder.is_relative_to(image_folder)
    scans = found_images(image_folder, without=label_folder if inside else None)
    chosen = _fitting(scans.images, base, images, IMAGES)
    if labels is not None and _is_pattern(labels):
        found = _fitting(_labels(label_folder or base, chosen), base, labels, LABELS)
        taken = {label.path for label in found}
        chosen = [image for image in chosen if image.path not in taken]
        return Collected(chosen, found, scans.notes, image_folder, label_folder or base)
    scans = FoundImages(chosen, scans.labels, scans.notes)
    if not apart:
        beside = scans.labels if labels is not None else []
        return Collected(scans.images, beside, scans.notes, image_folder, image_folder)
    assert label_folder is not None
    return Collected(*_told_apart(scans, _labels(label_folder, chosen)), image_folder, label_folder)


def _labels(folder: Path, images: list[Named]) -> list[Named]:
    volumes = all(is_stored_folder(image.path) for image in images)
    return found_labels(folder, picture_folders=bool(images) and volumes)


def _told_apart(scans: FoundImages, labels: list[Named]) -> tuple[list[Named], list[Named], list[str]]:
    """Of files that are named like labels but lie among the images: which are images, and which are labels."""
    equal = {label.key for label in labels}
    images = [*scans.images, *(one for one in scans.labels if one.key in equal)]
    label_of, others = pair_by_name(images, [one for one in scans.labels if one.key not in equal])
    images += others
    labeled = pair_by_name(images, labels)[0]
    more = [label for key, label in label_of.items() if key not in labeled]
    left = [label.key for key, label in label_of.items() if key in labeled]
    notes = [f"{len(left)} files among the images are named like labels and are left out: {shortened(left)}."]
    return images, [*labels, *more], scans.notes + notes * bool(left)


# --- sub-folders and patterns -----------------------------------------------------------------------------------------


def _is_pattern(name: str) -> bool:
    return "*" in name


def _searched(base: Path, name: str, default: str) -> Path | None:
    """The folder to search: the one that is named, or in which all lies that may fit a pattern."""
    parts = PurePosixPath(name).parts
    named = parts[: next((k for k, part in enumerate(parts) if _is_pattern(part)), len(parts))]
    folder = base.joinpath(*named)
    if folder.is_dir():
        return folder
    if name != default:
        raise DataError(f"{folder}: no such folder; {default!r} names the sub-folder of the {default}")
    return None


def _fitting(found: list[Named], base: Path, name: str, default: str) -> list[Named]:
    if not _is_pattern(name):
        return found
    fit = [one for one in found if fnmatchcase(_below(one, base), name)]
    if not fit:
        shown = shortened([_below(one, base) for one in found], limit=3) or "none"
        raise DataError(f"{base}: no path of the {default} fits the pattern {name!r}; there are {shown}")
    return fit


def _below(one: Named, base: Path) -> str:
    path = Path(stored_channels(one.path)[0].path)
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
