# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""NRRD headers: what they state of the geometry, which files hold the voxels, and whether those can hold so many."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monai_al.data.voxel_bytes import DEFLATED_AT_MOST, check_no_more, check_room, header_lines, voxel_file
from monai_al.records.errors import DataError

__all__ = ["TYPE_BYTES", "check_nrrd", "nrrd_fields", "nrrd_texts"]

SKIPS = {"byteskip", "lineskip"}  # fields that say where in a file the voxels begin
TYPE_BYTES = {
    **dict.fromkeys(("signedchar", "int8", "int8_t", "uchar", "unsignedchar", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "shortint", "signedshort", "signedshortint", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsignedshort", "unsignedshortint", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signedint", "int32", "int32_t", "uint", "unsignedint", "uint32", "uint32_t", "float"), 4),
    **dict.fromkeys(("longlong", "longlongint", "signedlonglong", "signedlonglongint", "int64", "int64_t"), 8),
    **dict.fromkeys(("ulonglong", "unsignedlonglong", "unsignedlonglongint", "uint64", "uint64_t", "double"), 8),
}


def nrrd_fields(path: str | os.PathLike) -> dict[str, str]:
    r"""The fields of a NRRD header, their names in small letters without spaces; empty for what is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.nrrd").write_text("NRRD0004\n# a comment\nsizes: 4 5\nData File: a.raw\n")
        ...     nrrd_fields(folder + "/a.nrrd")
        {'sizes': '4 5', 'datafile': 'a.raw'}
    """
    return _header(path).fields


def nrrd_texts(path: str | os.PathLike) -> dict[str, str]:
    r"""The key/value pairs of a NRRD header, which programs add to its fields; empty for what is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.nrrd").write_text("NRRD0004\nsizes: 4 5\nSegment0_Name:=left lung\n")
        ...     nrrd_texts(folder + "/a.nrrd")
        {'Segment0_Name': 'left lung'}
    """
    return _header(path).texts


def check_nrrd(path: str | os.PathLike) -> None:
    r"""Refuse a NRRD file that names voxels outside its folder, or declares more than can be there, or a slice fewer.

    What else may be wrong, such as gzip's checksum, SimpleITK checks.

    Raises:
        DataError: as said; the message names both files.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.nrrd").write_text("NRRD0004\ntype: uchar\nsizes: 4 5\nencoding: raw\n\n1234")
        ...     try:
        ...         check_nrrd(folder + "/a.nrrd")
        ...     except DataError as error:
        ...         print(str(error).replace(folder, ""))
        /a.nrrd: its header declares 4 x 5 values of 1 bytes, together 20, but the file has 4 bytes for them; ...
    """
    header = _header(path)
    name = header.fields.get("datafile")
    if name is None:
        _check_size(path, header, Path(path), header.length)
    elif _is_list(header.fields):
        for one in header.rest:
            _existing(path, one)
    elif "%" in name:
        voxel_file(path, name.split()[0])
    else:
        _check_size(path, header, _existing(path, name), 0)


@dataclass(frozen=True)
class _Header:
    """Fields, key/value pairs, the lines behind them where they list voxel files, and the bytes without those."""

    fields: dict[str, str]
    texts: dict[str, str]
    rest: tuple[str, ...]
    length: int


def _header(path: str | os.PathLike) -> _Header:
    lines = header_lines(path)
    fields: dict[str, str] = {}
    texts: dict[str, str] = {}
    length = len(first := next(lines, b""))
    for line in lines if first.startswith(b"NRRD") else ():
        length += len(line)
        key, colon, value = os.fsdecode(line).partition(":")
        if not line.strip():
            break
        if key.startswith("#"):
            continue
        if value.startswith("="):
            texts[key] = value[1:].strip().replace("\\n", "\n").replace("\\\\", "\\")
        elif colon:
            fields[re.sub(r"\s", "", key).lower()] = value.strip()
        if _is_list(fields):
            break
    listed = _is_list(fields)
    return _Header(
        fields, texts, tuple(os.fsdecode(one).strip() for one in lines if one.strip()) if listed else (), length
    )


def _is_list(fields: Mapping[str, str]) -> bool:
    return fields.get("datafile", "").upper().split()[:1] == ["LIST"]


def _existing(path: str | os.PathLike, name: str) -> Path:
    voxels = voxel_file(path, name)
    if not voxels.is_file():
        raise DataError(f"{path}: its voxel file {voxels} does not exist; copy both files again")
    return voxels


def _check_size(path: str | os.PathLike, header: _Header, voxels: Path, start: int) -> None:
    each = TYPE_BYTES.get(re.sub(r"\s", "", header.fields.get("type", "")).lower())
    limit = _at_most(header.fields)
    try:
        shape = [int(size) for size in header.fields.get("sizes", "").split()]
    except ValueError:
        return
    if each is not None and limit is not None and shape:
        found = voxels.stat().st_size - start
        check_room(path, shape, each, found, at_most=limit)
        if header.fields.get("encoding", "").lower() == "raw" and not SKIPS & set(header.fields):
            check_no_more(path, shape, each, found - math.prod(shape) * each)


def _at_most(fields: Mapping[str, str]) -> int | None:
    """How many times as large the bytes of a file can become."""
    encoding = fields.get("encoding", "").lower()
    return {"raw": 1, "gzip": DEFLATED_AT_MOST, "gz": DEFLATED_AT_MOST, "txt": 4, "text": 4, "ascii": 4}.get(encoding)
