# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images without labels: one file, or all files of a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_al.data.reading import READABLE_SUFFIXES, name_without_suffix
from monai_al.datasets.files import Pair, pool_of, readable_files
from monai_al.datasets.folder import LABEL_SUFFIX, SCRIBBLE_SUFFIX
from monai_al.records import DataError, Pool

__all__ = ["image_folder", "unlabeled_images"]

IMAGE_FOLDERS = ("imagesTs", "images")


def unlabeled_images(
    path: str | os.PathLike,
    *,
    classes: Sequence[str] = ("background", "foreground"),
    label_values: Mapping[int, int] | None = None,
    item: str = "slice",
) -> Pool:
    """A pool of images whose labels are not looked for.

    Of a folder that holds no images itself, its ``imagesTs`` or ``images`` is taken. Sub-folders are searched; a volume
    is called by its path below the folder, without suffix. Files that are named like labels (``_seg``, ``_label``,
    ``_mask``, ``_gt``, ``_scribble``, ...) are left out.

    Args:
        path: an image, or a folder.
        classes: names of the classes that are looked for in them.
        label_values: stored label value -> class number.
        item: ``"slice"`` or ``"volume"``.

    Raises:
        DataError: there is no such file or folder, it holds no images, or headers cannot be read (all are listed).

    Example:
        >>> import tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "monday").mkdir()
        ...     for name in ("a", "a_seg"):
        ...         nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 2), np.uint8), None), f"{root}/monday/{name}.nii")
        ...     [item.id for item in unlabeled_images(root)]
        ['monday/a/0000', 'monday/a/0001']
    """
    place = Path(os.path.abspath(Path(path).expanduser()))
    if place.is_file():
        found, base = [place], place.parent
    elif place.is_dir():
        base = image_folder(place) or place
        found = _images(base)
    else:
        raise DataError(f"{place}: there is no such file or folder; give an image, or a folder of images")
    if not found:
        raise DataError(f"{place}: holds no images; readable are {', '.join(READABLE_SUFFIXES)}{_labels_hint(base)}")
    names = [(image.parent.relative_to(base) / name_without_suffix(image)).as_posix() for image in found]
    pairs = [Pair(image, None, name, name) for image, name in zip(found, names, strict=True)]
    return pool_of(pairs, item=item, classes=classes, label_values=label_values, root=base)


def image_folder(folder: Path) -> Path | None:
    """The folder itself where it holds images, else its ``imagesTs`` or ``images``; None where there is neither.

    Example:
        >>> image_folder(Path("monai_al")) is None
        True
    """
    places = (folder, *(folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()))
    return next((place for place in places if _images(place, deep=place != folder)), None)


def _images(folder: Path, *, deep: bool = True) -> list[Path]:
    return [path for path in readable_files(folder, deep=deep) if not _named_like_a_label(path)]


def _named_like_a_label(path: Path) -> bool:
    name = name_without_suffix(path)
    return bool(LABEL_SUFFIX.search(name) or SCRIBBLE_SUFFIX.search(name))


def _labels_hint(folder: Path) -> str:
    labels = sum(1 for _ in readable_files(folder))
    return f"; its {labels} files are named like labels, which are left out" if labels else ""
