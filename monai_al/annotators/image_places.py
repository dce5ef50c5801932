# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the images of handed-out work lie, so that labels are taken without the config of the run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from monai_al.annotators.handed_out import IMAGE, HandedOut
from monai_al.records import Item, Pool
from monai_al.records.files import read_json, write_json
from monai_al.records.stored_files import as_channels, stored_channels

__all__ = ["pool_with_images", "reads_class_numbers", "write_image_places"]

PLACES = "images.json"


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

    Args:
        pool: as ``pool.json`` tells it, with paths relative to wherever the data lay.
        places: the folders of the rounds.

    Example:
        >>> len(pool_with_images(Pool([]), []))
        0
    """
    images: dict[str, str] = {}
    for place in places:
        path = place / PLACES
        own = read_json(path)["images"] if path.is_file() else {}
        for one in HandedOut.read(place).volumes:
            stored = own.get(one.volume)
            images[one.volume] = stored if stored and _is_there(stored) else str(place / one.folder / IMAGE)
    return pool.with_items(replace(item, image=images.get(item.volume, item.image)) for item in pool)


def _absolute(image: str) -> str:
    return as_channels(str(replace(part, path=os.path.abspath(part.path))) for part in stored_channels(image))


def _is_there(image: str) -> bool:
    return all(part.files() if part.is_pattern else os.path.exists(part.path) for part in stored_channels(image))
