# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a file can hold the voxels that its header declares, before room is made for them, and where they lie."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from monai_al.records.errors import DataError

__all__ = ["DEFLATED_AT_MOST", "check_no_more", "check_room", "header_lines", "spare_bytes", "voxel_file"]

DEFLATED_AT_MOST = 1032  # times the bytes of a deflated file: a match of 258 bytes takes 2 bits at least
HEADER_AT_MOST = 1 << 20  # bytes
PADDING = 4096  # bytes behind the voxels that some programs add


def header_lines(path: str | os.PathLike) -> Iterator[bytes]:
    r"""The lines of a header in front of its voxels, one after another, with their ends; a mebibyte at most.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(b"one\r\ntwo"), file.flush()
        ...     list(header_lines(file.name))
        [b'one\r\n', b'two']
    """
    left = HEADER_AT_MOST
    with open(path, "rb") as file:
        while left > 0 and (line := file.readline(left)):
            left -= len(line)
            yield line


def check_room(
    path: str | os.PathLike, shape: Sequence[int], each: float, found: int, *, at_most: int = DEFLATED_AT_MOST
) -> None:
    """Refuse a header that declares no voxels, or more than its file can hold.

    Args:
        path: the file.
        shape: the sizes of the axes, channels among them.
        each: bytes of a value; below 1 where several share one.
        found: bytes of the file that may hold voxels.
        at_most: how many times as large they can become; 1 where they are not compressed.

    Raises:
        DataError: there are none, or they cannot be there.

    Example:
        >>> check_room("a.nii.gz", (512, 512, 300), 4, 1000)
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: a.nii.gz: its header declares 512 x 512 x 300 values of 4 bytes, ...
    """
    sizes = [int(size) for size in shape]
    if min(sizes, default=0) < 1:
        raise DataError(f"{path}: holds no voxels (shape {tuple(sizes)}); remove it or copy it again")
    declared = math.prod(sizes) * each
    if declared > found * at_most:
        unpacked = f", which unpack to {found * at_most} at the very most" if at_most > 1 else ""
        raise DataError(
            f"{path}: its header declares {' x '.join(map(str, sizes))} values of {each:g} bytes, together "
            f"{declared:.0f}, but the file has {max(found, 0)} bytes for them{unpacked}; it is truncated or its header "
            "is damaged, copy it again"
        )


def check_no_more(path: str | os.PathLike, shape: Sequence[int], each: int, behind: int) -> None:
    """Refuse a file that holds another slice behind the voxels that its header declares.

    Args:
        path: the file.
        shape: the sizes of the axes.
        each: bytes of a voxel.
        behind: bytes behind the voxels.

    Raises:
        DataError: they are more than padding.

    Example:
        >>> check_no_more("a.nii", (100, 100, 6), 2, 20_000)
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: a.nii: holds more slices than the 100 x 100 x 6 voxels that its header ...
    """
    if behind >= spare_bytes(shape, each):
        raise DataError(
            f"{path}: holds more slices than the {' x '.join(str(int(n)) for n in shape)} voxels that its header "
            "declares; correct the header or copy the file again"
        )


def spare_bytes(shape: Sequence[int], each: int) -> int:
    """How many bytes behind the voxels are no padding any more: those of a slice, and not too few.

    Example:
        >>> spare_bytes((100, 100, 6), 2)
        20000
    """
    return max(math.prod(int(n) for n in shape[:2]) * each, PADDING)


def voxel_file(header: str | os.PathLike, name: str) -> Path:
    """The file of the voxels that a header names, which lies in the header's folder or below; it may be a link.

    Raises:
        DataError: the name leads out of that folder.

    Example:
        >>> voxel_file("scans/a.mhd", "raw/a.raw").as_posix()
        'scans/raw/a.raw'
        >>> voxel_file("scans/a.mhd", "../a.raw")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: scans/a.mhd: names ../a.raw as its voxel file, which lies outside its ...
    """
    folder = Path(header).parent
    place = os.path.normpath(os.path.join(os.path.abspath(folder), name))
    if not Path(place).is_relative_to(os.path.abspath(folder)):
        raise DataError(
            f"{header}: names {name} as its voxel file, which lies outside its own folder; put both into one "
            "folder, and name the file without one"
        )
    return folder / name
