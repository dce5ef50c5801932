# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Volumes whose files a run could not read, found without reading all of them."""

from __future__ import annotations

from collections.abc import Iterable

from monai_al.data.file_ends import may_be_cut_off
from monai_al.data.reading import read_volume, stored_shape
from monai_al.records import DataError, Item, Pool
from monai_al.records.stored_files import stored_channels

__all__ = ["damaged_volumes"]


def damaged_volumes(pool: Pool, *, read: bool = False) -> dict[str, str]:
    """Name of a volume -> why it cannot be read.

    A volume is read where the last bytes of its files, or the sizes of image and label, speak against it; what reading
    then says is the reason, so that no whole file is taken for a damaged one.

    Args:
        pool: the pool; headers of its images can be read.
        read: read every volume.

    Example:
        >>> import tempfile
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     damaged_volumes(phantom(folder, patients=2, shape=(32, 32, 6)))
        {}
    """
    from tqdm import tqdm

    found: dict[str, str] = {}
    firsts = list({item.volume: item for item in pool}.values())
    word = "reading volumes" if read else "looking at files"
    for item in tqdm(firsts, desc=word, unit="volume", disable=None, leave=False, delay=1):
        try:
            if read or _is_suspicious(item):
                _read(item, pool)
        except DataError as error:
            found[item.volume] = str(error)
    return found


def _is_suspicious(item: Item) -> bool:
    if any(map(may_be_cut_off, _files(item))):
        return True
    return item.label is not None and stored_shape(item.image)[:3] != stored_shape(item.label)[:3]


def _files(item: Item) -> Iterable[str]:
    parts = [part for path in (item.image, item.label) if path is not None for part in stored_channels(path)]
    return (part.path for part in parts if not part.is_folder)


def _read(item: Item, pool: Pool) -> None:
    read_volume(
        item.image,
        item.label,
        label_values=pool.label_values,
        affine_tolerated=pool.affine_tolerated,
        sizes_tolerated=pool.sizes_tolerated,
        slice_axis=item.slice_axis,
    )
