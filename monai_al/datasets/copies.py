# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images that are stored twice, under several patients."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping

from monai_al.data.reading import read_volume
from monai_al.records import DataError, content_hash
from monai_al.records.stored_files import stored_channels, stored_parts

__all__ = ["copies"]

_LOOKED_AT = 20
_BLOCK, _BLOCKS = 4096, 16


def copies(patient_of: Mapping[str, str]) -> list[list[str]]:
    """Groups of images of equal content that count as different patients.

    Files are compared only where their sizes are equal, and in full only where a few places of them are. An image of
    one grey value throughout is nobody's copy.

    Args:
        patient_of: image, as an item holds it -> its patient.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in "abc":
        ...         Image.linear_gradient("L").resize((9, 9 + (name == "c"))).save(f"{folder}/{name}.png")
        ...     groups = copies({f"{folder}/{name}.png": name for name in "abc"})
        >>> [[os.path.basename(image) for image in group] for group in groups]
        [['a.png', 'b.png']]
    """
    groups = [list(patient_of)]
    for same in (_sizes, _glance, content_hash):
        groups = [part for group in groups for part in _parted(group, same)]
        groups = [group for group in groups if len({patient_of[image] for image in group}) > 1]
    return [group for n, group in enumerate(groups) if n >= _LOOKED_AT or not _is_constant(group[0])]


def _parted(images: Iterable[str], same: Callable[[str], object]) -> list[list[str]]:
    """The images that agree with another one."""
    groups: dict[object, list[str]] = {}
    for image in images:
        try:
            groups.setdefault(same(image), []).append(image)
        except OSError:  # the reader tells what is wrong
            continue
    return [group for group in groups.values() if len(group) > 1]


def _sizes(image: str) -> tuple[int | str, ...]:
    """The sizes of the files, and what is meant of them, as several images may lie in the same files."""
    selections = (part.selection for part in stored_channels(image))
    return (*(os.path.getsize(part) for part in stored_parts(image)), *selections)


def _glance(image: str) -> bytes:
    """A hash of a few blocks of the files."""
    digest = hashlib.sha256()
    parts = stored_parts(image)
    for part in parts[:: -(-len(parts) // _BLOCKS)]:
        size = os.path.getsize(part)
        with open(part, "rb") as file:
            for place in range(0, size, max(_BLOCK, size * min(len(parts), _BLOCKS) // _BLOCKS)):
                file.seek(place)
                digest.update(file.read(_BLOCK))
    return digest.digest()


def _is_constant(image: str) -> bool:
    try:
        values = read_volume(image).image
    except DataError:  # told where all volumes are read
        return True
    return bool(values.min() == values.max())
