# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which images and labels a folder holds: files, DICOM series, and for these also labels in pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from monai_al.data.folder_volumes import PICTURE_SUFFIXES
from monai_al.data.reading import READABLE_SUFFIXES, name_without_suffix
from monai_al.datasets.dicom_folders import dicom_folders, dicom_volumes
from monai_al.datasets.files import readable_files
from monai_al.datasets.names import is_accompanying, is_label_name, label_cores
from monai_al.datasets.pairing import Named, named_apart
from monai_al.records.stored_files import stored_channels

__all__ = ["FoundImages", "found_images", "found_labels", "holds_images", "is_stored_folder", "unread_partner"]


@dataclass(frozen=True)
class FoundImages:
    """What a folder of images holds.

    Args:
        images: the images.
        labels: what lies among them and is named like a label.
        notes: what is neither.

    Example:
        >>> found_images(Path("monai_al"))
        FoundImages(images=[], labels=[], notes=[])
    """

    images: list[Named]
    labels: list[Named]
    notes: list[str]


def found_images(folder: Path, *, without: Path | None = None, deep: bool = True) -> FoundImages:
    """The images of a folder and below it, and what is named like a label: files and DICOM series.

    Scribbles, superpixels and pictures that lie beside DICOM slices are none of both. Pictures in a sub-folder that is
    named like a label are the label of a DICOM series, where there is one.

    Args:
        folder: the folder.
        without: a folder in it that is not searched.
        deep: search sub-folders, too.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("a.nrrd", "a.seg.nrrd", "a_scribble.nrrd"):
        ...         Path(root, name).touch()
        ...     found = found_images(Path(root))
        >>> [one.key for one in found.images], [one.key for one in found.labels], found.notes
        (['a'], ['a.seg'], ['1 scribble files beside the images are not read as images.'])
    """
    series = _dicom(folder, without, deep=deep)
    slices = {Path(stored_channels(one.path)[0].path) for one in series}
    files, beside_slices, accompanying = [], 0, 0
    for path in readable_files(folder, deep=deep):
        if without is not None and path.is_relative_to(without):
            continue
        name = name_without_suffix(path)
        if is_accompanying(name):
            accompanying += 1
        elif path.parent in slices and path.name.lower().endswith(PICTURE_SUFFIXES):
            beside_slices += 1
        else:
            files.append(_named(path, folder))
    if series:
        files = _with_picture_folders(files, folder, lambda place: is_label_name(place.name))
    images, labels = named_apart([*files, *series])
    notes = [f"{accompanying} scribble files beside the images are not read as images."] if accompanying else []
    notes += [f"{beside_slices} pictures beside DICOM slices are not read."] if beside_slices else []
    return FoundImages(images, labels, notes)


def holds_images(folder: Path, *, deep: bool = True) -> bool:
    """Whether a folder holds an image; nothing but names and first bytes are read.

    Example:
        >>> holds_images(Path("monai_al"))
        False
    """
    names = (name_without_suffix(path) for path in readable_files(folder, deep=deep))
    files = any(not is_label_name(name) and not is_accompanying(name) for name in names)
    return files or any(not is_label_name(place.name) for place in dicom_folders(folder, deep=deep))


def found_labels(folder: Path, *, picture_folders: bool) -> list[Named]:
    """The labels of a folder of labels and below it: files and DICOM series.

    Args:
        folder: the folder.
        picture_folders: pictures in a sub-folder are the slices of one label.

    Example:
        >>> found_labels(Path("monai_al"), picture_folders=False)
        []
    """
    files = [_named(path, folder) for path in readable_files(folder) if not is_accompanying(name_without_suffix(path))]
    if picture_folders:
        files = _with_picture_folders(files, folder, lambda place: place != folder)
    return [*files, *_dicom(folder)]


def unread_partner(folder: Path, of: Named, root: Path) -> str:
    """What of the same name lies in a folder but is not read, for a message; empty where there is nothing.

    Args:
        folder: where the partner was searched.
        of: an image without a label, or a label without an image.
        root: the data set's folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "a.npy").touch()
        ...     unread_partner(Path(root), Named("labels/a_seg.png", "a_seg"), Path(root))
        ' (a.npy is of a kind that is not read)'
    """
    names = {of.name, *label_cores(of.name)}
    there = sorted((folder / of.place).iterdir()) if (folder / of.place).is_dir() else []
    for path in there:
        if path.is_dir() and path.name.lower().endswith(READABLE_SUFFIXES) and name_without_suffix(path) in names:
            return f" ({os.path.relpath(path, root)} is a folder)"
        unread = path.is_file() and not path.name.lower().endswith(READABLE_SUFFIXES)
        if (
            unread
            and not path.name.startswith(".")
            and path.name.partition(".")[0] in {n.partition(".")[0] for n in names}
        ):
            return f" ({os.path.relpath(path, root)} is of a kind that is not read)"
    return ""


def is_stored_folder(image: str) -> bool:
    """Whether an image is a folder of slices, or one series of such a folder.

    Example:
        >>> is_stored_folder("monai_al#series=1.2.3"), is_stored_folder("a.nii.gz")
        (True, False)
    """
    return stored_channels(image)[0].is_folder


def _dicom(folder: Path, without: Path | None = None, *, deep: bool = True) -> list[Named]:
    found = dicom_volumes(folder, deep=deep)
    return [one for one in found if without is None or not Path(one.path).is_relative_to(without)]


def _named(path: Path, folder: Path) -> Named:
    return Named(str(path), (path.parent.relative_to(folder) / name_without_suffix(path)).as_posix())


def _with_picture_folders(files: Iterable[Named], folder: Path, is_label) -> list[Named]:
    """The files, where pictures of some sub-folders are joined to one label each."""
    found: dict[str, Named] = {}
    for one in files:
        place = Path(one.path).parent
        joined = one.path.lower().endswith(PICTURE_SUFFIXES) and place != folder and is_label(place)
        label = Named(str(place), place.relative_to(folder).as_posix()) if joined else one
        found[label.path] = label
    return list(found.values())
