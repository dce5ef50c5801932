# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the images of handed-out work lie, so that labels are taken without the config of the run."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from monai_al.annotators.handed_out import IMAGE, HandedOut, HandedVolume
from monai_al.data.nifti import nifti_shape
from monai_al.data.stored_formats import guarded
from monai_al.records import Item, Pool
from monai_al.records.files import read_json, write_file, write_json
from monai_al.records.stored_files import as_channels, stored_channels

__all__ = ["pool_with_images", "read_image_places", "reads_class_numbers", "write_image_places"]

PLACES = "images.json"
STAND_INS = ".images"  # in the round's folder


def write_image_places(place: Path, items: Iterable[Item], class_numbers: bool) -> None:
    """Record where the images of some items lie now, beside what is known of others.

    Args:
        place: the folder of the round.
        items: the items that are handed out.
        class_numbers: whether their labels are read in class numbers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image_places(Path(folder), [Item("a", "/data/a.png", "a", "a")], True)
        ...     read_json(Path(folder) / PLACES)
        {'reads_class_numbers': True, 'images': {'a': '/data/a.png'}}
    """
    path = place / PLACES
    before = read_json(path) if path.is_file() else {}
    images = dict(before.get("images", {})) | {item.volume: _absolute(item.image) for item in items}
    content = {"reads_class_numbers": class_numbers, "images": images}
    if content != before:
        write_json(path, content)


def read_image_places(place: Path) -> dict[str, str]:
    """Volume -> where its image lay when it was handed out, as an absolute path.

    Args:
        place: the folder of the round.

    Example:
        >>> read_image_places(Path("no/such/folder"))
        {}
    """
    path = place / PLACES
    return dict(read_json(path)["images"]) if path.is_file() else {}


def reads_class_numbers(place: Path) -> bool:
    """Whether the labels of handed-out work are read in class numbers.

    Example:
        >>> reads_class_numbers(Path("no/such/folder"))
        True
    """
    path = place / PLACES
    return not path.is_file() or bool(read_json(path).get("reads_class_numbers", True))


def pool_with_images(pool: Pool, places: Sequence[Path]) -> Pool:
    """A pool whose handed-out items name images that are there: their own, else the ones that were handed out.

    Where these lie on another grid than the stored images, empty files on the stored grid are made in their place.

    Args:
        pool: as ``pool.json`` tells it, with paths relative to wherever the data lay.
        places: the folders of the rounds.

    Example:
        >>> len(pool_with_images(Pool([]), []))
        0
    """
    images: dict[str, str] = {}
    for place in places:
        own = read_image_places(place)
        for one in HandedOut.read(place).volumes:
            stored = own.get(one.volume)
            images[one.volume] = stored if stored and _is_there(stored) else str(_handed_out(place, one))
    return pool.with_items(pool.items.with_wholes(lambda one: replace(one, image=images.get(one.volume, one.image))))


def _handed_out(place: Path, volume: HandedVolume) -> Path:
    """The image that was handed out, or a stand-in for the stored one, whose grid labels have to have."""
    image = place / volume.folder / IMAGE
    if volume.affine is None:
        return image
    import nibabel

    path = place / STAND_INS / f"{volume.folder}.nii.gz"
    empty = nibabel.Nifti1Image(np.zeros(guarded(image, nifti_shape), np.uint8), np.asarray(volume.affine))
    empty.header.set_xyzt_units("mm")
    write_file(path, lambda file: file.write(gzip.compress(empty.to_bytes(), mtime=0)))
    return path


def _absolute(image: str) -> str:
    return as_channels(str(replace(part, path=os.path.abspath(part.path))) for part in stored_channels(image))


def _is_there(image: str) -> bool:
    return all(part.files() if part.is_pattern else os.path.exists(part.path) for part in stored_channels(image))
