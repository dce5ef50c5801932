# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MetaImage headers: which files hold the voxels, and whether they are as large as the header says."""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monai_al.data.voxel_bytes import DEFLATED_AT_MOST, check_no_more, check_room, header_lines, voxel_file
from monai_al.records.errors import DataError

__all__ = ["check_voxel_file", "header_fields"]

BLOCK = 1 << 16  # bytes; zeros unpack to a thousand times as much
FIELD = re.compile(r"\s*(\w+)\s*[=:]\s*(.*?)\s*$")
ELEMENT_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4,
    "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip


def header_fields(path: str | os.PathLike) -> dict[str, str]:
    r"""The fields of a MetaImage header; empty for what is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.mhd").write_text("DimSize = 4 5 6\nElementDataFile: a.raw\n")
        ...     header_fields(folder + "/a.mhd")
        {'DimSize': '4 5 6', 'ElementDataFile': 'a.raw'}
    """
    return _header(path).fields


def check_voxel_file(path: str | os.PathLike, *, inflate: bool = False) -> None:
    r"""Refuse a MetaImage header whose voxels are not there, or are fewer or more than the header says.

    Reads the header and asks for the sizes of the voxel files. Voxels written as text are left to the reader. Of
    compressed voxels only their compressed size is known, and the size that they may have at most.

    Args:
        path: a ``.mhd`` or ``.mha`` file.
        inflate: also unpack compressed voxels, count them and check their checksum, which SimpleITK passes over.

    Raises:
        DataError: the header does not tell where the voxels are; or a voxel file is absent, lies outside the header's
            folder, is damaged or has another size; the message names both files and the bytes expected.

    Example:
        >>> import tempfile
        >>> header = "NDims = 3\nDimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = a.raw\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.mhd").write_text(header), Path(folder, "a.raw").write_bytes(bytes(100))
        ...     try:
        ...         check_voxel_file(folder + "/a.mhd")
        ...     except DataError as error:
        ...         print(str(error).replace(folder, ""))
        /a.mhd: its voxel file /a.raw has 100 bytes, expected 240 (4 x 5 x 6 voxels of 2 bytes); copy both files again
    """
    header = _header(path)
    missing = [field for field in ("NDims", "DimSize", "ElementDataFile") if not header.fields.get(field)]
    if missing:
        raise DataError(f"{path}: cannot be read: its header states no {' and no '.join(missing)}; copy it again")
    name = header.fields["ElementDataFile"]
    if name.upper().split()[0] == "LIST" or "%" in name:
        _check_list(path, header, name)
        return
    inside = name.upper() == "LOCAL"
    voxels = Path(path) if inside else voxel_file(path, name)
    expected = _expected(header.fields)
    _check_is_there(path, voxels, expected)
    wrong = _wrong_size(voxels, header, expected, inside, inflate)
    if wrong:
        which = "holds voxels of" if inside else f"its voxel file {voxels} has"
        raise DataError(f"{path}: {which} {wrong}; copy {'it' if inside else 'both files'} again")


@dataclass(frozen=True)
class _Header:
    """The fields, the lines behind them where they list voxel files, and the length in bytes without those."""

    fields: dict[str, str]
    rest: tuple[str, ...]
    length: int


@dataclass(frozen=True)
class _Expected:
    """The bytes of the voxels, None where the header does not tell, and how they come about."""

    bytes: int | None
    shape: tuple[int, ...]
    each: int

    def __str__(self) -> str:
        if self.bytes is None:
            return "as many bytes as it has voxels"
        *shape, channels = self.shape
        of_channels = f" of {channels} channels" if channels > 1 else ""
        return f"{self.bytes} ({' x '.join(map(str, shape))} voxels{of_channels} of {self.each} bytes)"


def _header(path: str | os.PathLike) -> _Header:
    lines = header_lines(path)
    fields: dict[str, str] = {}
    length = 0
    for line in lines:
        length += len(line)
        found = FIELD.match(os.fsdecode(line))
        if found:
            fields[found[1]] = found[2]
        if found and found[1] == "ElementDataFile":
            break
    listed = fields.get("ElementDataFile", "").upper().split()[:1] == ["LIST"]
    return _Header(fields, tuple(os.fsdecode(name).strip() for name in lines) if listed else (), length)


def _expected(fields: Mapping[str, str], axes: slice = slice(None)) -> _Expected:
    """What is expected of all voxels, or of a part of their axes."""
    sizes = [_whole(size) for size in fields.get("DimSize", "").split()]
    each = ELEMENT_BYTES.get(fields.get("ElementType", ""))
    channels = _whole(fields.get("ElementNumberOfChannels", "1"))
    known = [size for size in sizes if size is not None]
    if not sizes or len(known) < len(sizes) or each is None or channels is None:
        return _Expected(None, (), 0)
    shape = (*known[axes], channels)
    return _Expected(math.prod(shape) * each, shape, each)


def _check_is_there(path: str | os.PathLike, voxels: Path, expected: _Expected) -> None:
    if not voxels.is_file():
        raise DataError(f"{path}: its voxel file {voxels} does not exist, expected {expected}; copy both files again")


def _wrong_size(voxels: Path, header: _Header, expected: _Expected, inside: bool, inflate: bool) -> str | None:
    """What is wrong with the number of bytes; ``inside``: they lie behind the header in its own file."""
    fields = header.fields
    skipped = _whole(fields.get("HeaderSize", "")) or 0  # below 0: the voxels are the end of their file
    start = header.length if inside else max(skipped, 0)
    found = voxels.stat().st_size - start
    if _says_yes(fields, "CompressedData"):
        return _wrong_when_unpacked(
            voxels, start, found, _whole(fields.get("CompressedDataSize", "")), expected, inflate
        )
    if expected.bytes is None or fields.get("BinaryData", "").lower().startswith("f"):
        return None
    if inside and found > expected.bytes:
        check_no_more(voxels, expected.shape[:-1], expected.each * expected.shape[-1], found - expected.bytes)
    more_is_fine = inside or skipped < 0
    right = found == expected.bytes or (found > expected.bytes and more_is_fine)
    return None if right else f"{found} bytes, expected {expected}"


def _wrong_when_unpacked(
    voxels: Path, start: int, found: int, packed: int | None, expected: _Expected, inflate: bool
) -> str | None:
    if packed is not None and found < packed:
        return f"{found} bytes, expected {packed} compressed ones"
    if expected.bytes is None:
        return None
    check_room(voxels, expected.shape, expected.each, found, at_most=DEFLATED_AT_MOST)
    if not inflate:
        return None
    unpacked, whole = _inflated(voxels, start, found if packed is None else packed, expected.bytes)
    if unpacked != expected.bytes:
        more = "more than " if unpacked > expected.bytes else ""
        return f"{more}{min(unpacked, expected.bytes)} bytes when unpacked, expected {expected}"
    return None if whole else "compressed bytes that do not fit their checksum"


def _inflated(path: Path, start: int, packed: int, expected: int) -> tuple[int, bool]:
    """How many bytes come out, counted until there are too many, and whether their checksum is right."""
    unpacker, size = zlib.decompressobj(zlib.MAX_WBITS | 32), 0  # 32: zlib or gzip
    with open(path, "rb") as file:
        file.seek(start)
        try:
            while packed > 0 and size <= expected and not unpacker.eof and (block := file.read(min(BLOCK, packed))):
                packed -= len(block)
                size += len(unpacker.decompress(block))
        except zlib.error:
            pass  # what came before the damage is counted
    return size, unpacker.eof


def _check_list(path: str | os.PathLike, header: _Header, name: str) -> None:
    """Voxels in several files: listed below the header, or numbered by a pattern. SimpleITK does not miss any."""
    sizes = header.fields.get("DimSize", "").split()
    if "%" in name:
        names, axes = _numbered(path, name), len(sizes) - 1
    else:
        told = _whole((name.split() + [""])[1])
        names, axes = [line for line in header.rest if line], len(sizes) - 1 if told is None else told
    files = [voxel_file(path, one) for one in names]
    expected, count = _expected(header.fields, slice(axes)), math.prod(_whole(size) or 0 for size in sizes[axes:])
    if len(files) != count:
        raise DataError(f"{path}: names {len(files)} voxel files for {count} parts; list one for each")
    skipped = max(_whole(header.fields.get("HeaderSize", "")) or 0, 0)
    for file in files:
        _check_is_there(path, file, expected)
        found = file.stat().st_size - skipped
        if expected.bytes is not None and found < expected.bytes and not _says_yes(header.fields, "CompressedData"):
            raise DataError(f"{path}: its voxel file {file} has {found} bytes, expected {expected}; copy it again")


def _numbered(path: str | os.PathLike, entry: str) -> list[str]:
    pattern, *numbers = entry.split()
    try:
        first, last, step = (*map(int, numbers), *(1, 1, 1)[len(numbers) :])
        return [pattern % number for number in range(first, last + 1, step)]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}: its voxel files {entry!r} are no pattern with first number, last number and step"
        ) from error


def _says_yes(fields: Mapping[str, str], key: str) -> bool:
    return fields.get(key, "").lower().startswith(("t", "1"))


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
