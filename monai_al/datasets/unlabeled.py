# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images without labels: one file, or all files of a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_al.data.dicom_files import is_dicom_image
from monai_al.data.reading import READABLE_SUFFIXES, name_without_suffix
from monai_al.datasets.files import Pair, natural_key, pool_of, readable_files
from monai_al.datasets.finding import found_images, holds_images
from monai_al.datasets.pairing import Named, joined_channels
from monai_al.records import DataError, Pool
from monai_al.records.stored_files import of_channel

__all__ = ["image_folder", "unlabeled_images"]

IMAGE_FOLDERS = ("imagesTs", "images")


def unlabeled_images(
    path: str | os.PathLike,
    *,
    classes: Sequence[str] = ("background", "foreground"),
    label_values: Mapping[int, int] | None = None,
    item: str = "slice",
    channel: int | None = None,
    slice_axis: int | str = 2,
    channel_files: bool = False,
) -> Pool:
    """A pool of images whose labels are not looked for: files, and folders of DICOM slices.

    Of a folder that holds no images itself, its ``imagesTs`` or ``images`` is taken. Sub-folders are searched; a volume
    is called by its path below the folder, without suffix. What is named like a label (``_seg``, ``.seg``, ``-label``,
    ``_mask``, ``_gt``, ``_scribble``, ...) is left out.

    Args:
        path: an image, or a folder; also that of one DICOM series.
        classes: names of the classes that are looked for in them.
        label_values: stored label value -> class number.
        item: ``"slice"`` or ``"volume"``.
        channel: take this channel of every image alone, counted from 0.
        slice_axis: the stored axis along which the slices lie, counted from 0, or ``"coarsest"`` for that of the
            largest voxel size of each file; see :func:`monai_al.datasets.files.pool_of`.
        channel_files: ``a_0000``, ``a_0001`` are the channels of an image ``a``, as nnU-Net names them.

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
        found, base = [Named(str(place), name_without_suffix(place))], place.parent
        if not place.name.lower().endswith(READABLE_SUFFIXES) and is_dicom_image(place):
            raise DataError(f"{place}: is one slice of a DICOM series; give the folder that holds the series, {base}")
    elif place.is_dir():
        base = image_folder(place) or place
        images = found_images(base).images
        found = sorted(joined_channels(images) if channel_files else images, key=lambda image: natural_key(image.key))
    else:
        raise DataError(f"{place}: there is no such file or folder; give an image, or a folder of images")
    if not found:
        raise DataError(
            f"{place}: holds no images; readable are {', '.join(READABLE_SUFFIXES)} and folders of DICOM slices"
            f"{_labels_hint(base)}"
        )
    paths = [image.path if channel is None else of_channel(image.path, channel) for image in found]
    pairs = [Pair(path, None, image.key, image.key) for path, image in zip(paths, found, strict=True)]
    return pool_of(pairs, item=item, classes=classes, label_values=label_values, root=base, slice_axis=slice_axis)


def image_folder(folder: Path) -> Path | None:
    """The folder itself where it holds images, else its ``imagesTs`` or ``images``; None where there is neither.

    Example:
        >>> image_folder(Path("monai_al")) is None
        True
    """
    places = (folder, *(folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()))
    return next((place for place in places if holds_images(place, deep=place != folder)), None)


def _labels_hint(folder: Path) -> str:
    labels = sum(1 for _ in readable_files(folder))
    return f"; its {labels} files are named like labels, which are left out" if labels else ""
