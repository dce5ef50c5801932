# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What tells a stored file, or a folder that is a volume, from another one."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

__all__ = ["content_hash", "file_identity", "stored_parts"]


def file_identity(path: str | Path) -> str:
    """What identifies a stored file on this machine: its real path, size and time of change.

    The voxel file that a MetaImage header (``.mhd``) points to counts as part of it; of a folder all files count.

    Raises:
        FileNotFoundError: there is no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     before = file_identity(file.name)
        ...     _ = file.write(b"more"), file.flush()
        ...     file_identity(file.name) == before
        False
    """
    reals = [os.path.realpath(part) for part in stored_parts(path)]
    stats = [os.stat(real) for real in reals]
    return "|".join(f"{real}|{s.st_size}|{s.st_mtime_ns}" for real, s in zip(reals, stats, strict=True))


def content_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes, the same wherever the file lies; a ``.mhd`` header is followed by its voxel file.

    Of a folder, the names and bytes of its files count, by the order of the names.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     content_hash(file.name)[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    for part in stored_parts(path):
        if os.path.isdir(path):
            digest.update(f"{os.path.basename(part)}|{os.path.getsize(part)}|".encode())
        with open(part, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def stored_parts(path: str | Path) -> list[str | Path]:
    """The files that a stored volume consists of: a header with its voxel file, the files of a folder, or the file.

    Example:
        >>> stored_parts("case_1.nii.gz")
        ['case_1.nii.gz']
    """
    if os.path.isdir(path):
        with os.scandir(path) as entries:
            return sorted(entry.path for entry in entries if entry.is_file() and entry.name[0] != ".")
    if not str(path).lower().endswith(".mhd"):
        return [path]
    found = re.search(rb"^\s*ElementDataFile\s*=\s*(.+?)\s*$", Path(path).read_bytes(), re.MULTILINE)
    voxels = Path(path).parent / os.fsdecode(found[1]) if found else None
    return [path, voxels] if voxels is not None and voxels.is_file() else [path]
