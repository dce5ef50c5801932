# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MetaImage headers: which file holds the voxels, and whether it is as large as the header says."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from monai_al.records.errors import DataError

__all__ = ["check_voxel_file"]

HEADER_AT_MOST = 1 << 16  # bytes
BLOCK = 1 << 16  # bytes; zeros unpack to a thousand times as much
ELEMENT_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4,
    "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip


def check_voxel_file(path: str | os.PathLike, *, inflate: bool = False) -> None:
    r"""Refuse a MetaImage header whose voxels are not there, or are fewer or more than the header says.

    Reads the header and asks for the size of the voxel file. Lists of voxel files and voxels written as text are left
    to the reader. Of compressed voxels only the size is known that the header may name.

    Args:
        path: a ``.mhd`` or ``.mha`` file.
        inflate: also unpack compressed voxels whose size the header does not name, and count them.

    Raises:
        DataError: there is no voxel file, or it has another size; the message names both files and the bytes expected.

    Example:
        >>> import tempfile
        >>> header = "DimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = a.raw\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.mhd").write_text(header), Path(folder, "a.raw").write_bytes(bytes(100))
        ...     try:
        ...         check_voxel_file(folder + "/a.mhd")
        ...     except DataError as error:
        ...         print(str(error).replace(folder, ""))
        /a.mhd: its voxel file /a.raw has 100 bytes, expected 240 (4 x 5 x 6 voxels of 2 bytes); copy both files again
    """
    fields, length = _header(path)
    name = fields.get("ElementDataFile", "")
    if not name or name.upper().split()[0] == "LIST" or "%" in name:
        return
    inside = name.upper() == "LOCAL"
    voxels = Path(path) if inside else Path(path).parent / name
    if not voxels.is_file():
        _, wanted = _expected(fields)
        raise DataError(f"{path}: its voxel file {voxels} does not exist, expected {wanted}; copy both files again")
    wrong = _wrong_size(voxels, fields, length if inside else None, inflate)
    if wrong:
        which = "holds voxels of" if inside else f"its voxel file {voxels} has"
        raise DataError(f"{path}: {which} {wrong}; copy {'it' if inside else 'both files'} again")


def _header(path: str | os.PathLike) -> tuple[dict[str, str], int]:
    """The fields of a header, and its length in bytes."""
    with open(path, "rb") as file:
        lines = file.read(HEADER_AT_MOST).splitlines(keepends=True)
    fields: dict[str, str] = {}
    length = 0
    for line in lines:
        length += len(line)
        key, equals, value = os.fsdecode(line).partition("=")
        if equals:
            fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    return fields, length


def _expected(fields: Mapping[str, str]) -> tuple[int | None, str]:
    """The bytes of the voxels, and how they come about; None where the header does not tell."""
    sizes = [_whole(size) for size in fields.get("DimSize", "").split()]
    each = ELEMENT_BYTES.get(fields.get("ElementType", ""))
    channels = _whole(fields.get("ElementNumberOfChannels", "1"))
    known = [size for size in sizes if size is not None]
    if not sizes or len(known) < len(sizes) or each is None or channels is None:
        return None, "as many bytes as it has voxels"
    total = math.prod(known) * each * channels
    shape = " x ".join(map(str, known)) + " voxels" + (f" of {channels} channels" if channels > 1 else "")
    return total, f"{total} ({shape} of {each} bytes)"


def _wrong_size(voxels: Path, fields: Mapping[str, str], inside: int | None, inflate: bool) -> str | None:
    """What is wrong with the number of bytes; ``inside`` is where they start in the header's own file."""
    skipped = _whole(fields.get("HeaderSize", "")) or 0  # below 0: the voxels are the end of their file
    start = max(skipped, 0) if inside is None else inside
    found = voxels.stat().st_size - start
    expected, wanted = _expected(fields)
    if fields.get("CompressedData", "").lower().startswith(("t", "1")):
        packed = _whole(fields.get("CompressedDataSize", ""))
        if packed is not None:
            return f"{found} bytes, expected {packed} compressed ones" if found < packed else None
        unpacked = _inflated_size(voxels, start) if inflate and expected is not None else expected
        return f"{unpacked} bytes when unpacked, expected {wanted}" if (unpacked or 0) < (expected or 0) else None
    if expected is None or fields.get("BinaryData", "").lower().startswith("f"):
        return None
    more_is_fine = inside is not None or skipped < 0
    right = found == expected or (found > expected and more_is_fine)
    return None if right else f"{found} bytes, expected {wanted}"


def _inflated_size(path: Path, start: int) -> int:
    unpacker, size = zlib.decompressobj(zlib.MAX_WBITS | 32), 0  # 32: zlib or gzip
    with open(path, "rb") as file:
        file.seek(start)
        try:
            while block := file.read(BLOCK):
                size += len(unpacker.decompress(block))
        except zlib.error:
            pass  # what came before the damage is counted
    return size


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
