# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files a stored image consists of, and what tells it from another one.

An image is named by one text. Most often that is the path of a file, or of a folder that is a volume. It may also be
``a_0000.nii.gz|a_0001.nii.gz``, files that are its channels; ``case_1/*_mask.tif``, the files of a folder that are its
slices; and behind a path ``#channel=1``, one channel of it, or ``#series=1.2.3``, one DICOM series of a folder.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_al.records.errors import DataError

__all__ = [
    "StoredPart",
    "as_channels",
    "common_channel",
    "content_hash",
    "file_identity",
    "of_channel",
    "stored_channels",
    "stored_parts",
]

BETWEEN = "|"
SELECTION = re.compile(r"#(series|channel)=([\w.]+)$")


@dataclass(frozen=True)
class StoredPart:
    """One file, folder or pattern of files, and what of it is meant.

    Args:
        path: the file, the folder, or a pattern of files in a folder with ``*``.
        series: the UID of one DICOM series of the folder; empty where it has one alone.
        channel: the one channel that is meant, counted from 0; None for all.

    Example:
        >>> str(StoredPart("scan.tif", channel=1))
        'scan.tif#channel=1'
    """

    path: str
    series: str = ""
    channel: int | None = None

    def __str__(self) -> str:
        return self.path + self.selection

    @property
    def selection(self) -> str:
        """What stands behind the path."""
        channel = "" if self.channel is None else f"#channel={self.channel}"
        return (f"#series={self.series}" if self.series else "") + channel

    @property
    def is_pattern(self) -> bool:
        """Whether the path stands for all files that fit it."""
        return "*" in os.path.basename(self.path) and not os.path.exists(self.path)

    @property
    def is_folder(self) -> bool:
        """Whether the files of a folder, all or some, are the slices of one volume."""
        return self.is_pattern or os.path.isdir(self.path)

    def files(self) -> list[str]:
        """The files, by name; without hidden ones. A path that leads nowhere is returned as it is."""
        if self.is_pattern:
            folder, pattern = os.path.split(self.path)
            return sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))
        if os.path.isdir(self.path):
            with os.scandir(self.path) as entries:
                return sorted(entry.path for entry in entries if entry.is_file() and entry.name[0] != ".")
        return [self.path]


def as_channels(paths: Iterable[str | os.PathLike]) -> str:
    """The text that names an image of which each of these paths gives one channel or more, in this order.

    Raises:
        DataError: a path holds the sign that stands between channels.

    Example:
        >>> as_channels(["a_0000.nii.gz", "a_0001.nii.gz"])
        'a_0000.nii.gz|a_0001.nii.gz'
    """
    texts = [os.fspath(path) for path in paths]
    unclear = next((text for text in texts if BETWEEN in text and (len(texts) > 1 or SELECTION.search(text))), None)
    if unclear is not None:
        raise DataError(
            f"{unclear}: holds {BETWEEN!r}, which parts the channels of an image; rename the file or folder"
        )
    return BETWEEN.join(texts)


def of_channel(path: str | os.PathLike, channel: int) -> str:
    """The text that names one channel of an image, counted from 0; of an image in several files, one of each.

    Example:
        >>> of_channel("a.png", 1)
        'a.png#channel=1'
    """
    return as_channels(str(replace(part, channel=channel)) for part in stored_channels(path))


def common_channel(images: Iterable[str]) -> int | None:
    """The one channel that is taken of each image; None where it is not the same of all, or all are taken.

    Example:
        >>> common_channel(["a.png#channel=1", "b.png#channel=1"]), common_channel(["a.png"])
        (1, None)
    """
    channels = {part.channel for image in images for part in stored_channels(image)}
    return channels.pop() if len(channels) == 1 else None


def stored_channels(path: str | os.PathLike) -> tuple[StoredPart, ...]:
    """What an image is put together from: one part, or several that are its channels.

    Example:
        >>> stored_channels("a.tif#channel=1|b.nii.gz")
        (StoredPart(path='a.tif', series='', channel=1), StoredPart(path='b.nii.gz', series='', channel=None))
    """
    text = os.fspath(path)
    names = [text] if BETWEEN not in text or os.path.exists(text) else text.split(BETWEEN)
    return tuple(map(_part, names))


def _part(text: str) -> StoredPart:
    found: dict[str, str] = {}
    while (match := SELECTION.search(text)) and not os.path.exists(text):
        found[match[1]] = match[2]
        text = text[: match.start()]
    channel = found.get("channel")
    return StoredPart(text, found.get("series", ""), None if channel is None else int(channel))


META = re.compile(rb"\s*ElementDataFile\s*[=:]\s*(.+?)\s*$")
NAMED = {
    ".mhd": META,
    ".mha": META,
    ".nrrd": re.compile(rb"data ?file:\s*(.+?)\s*$", re.IGNORECASE),
}
LINE_AT_MOST = 1 << 16  # bytes


def file_identity(path: str | Path) -> str:
    """What identifies a stored file on this machine: its real path, size and time of change.

    The voxel files that a MetaImage or NRRD header points to count as part of it; of a folder all files count, and of
    an image in several files, each.

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
    return BETWEEN.join(map(_identity, stored_channels(path)))


def _identity(part: StoredPart) -> str:
    files = []
    real_folder = functools.cache(os.path.realpath)
    for file in _with_voxels(part):
        folder, name = os.path.split(file)
        real = os.path.realpath(file) if os.path.islink(file) else os.path.join(real_folder(folder), name)
        stat = os.stat(real)
        files.append(f"{real}|{stat.st_size}|{stat.st_mtime_ns}")
    kind = "slices|" if part.is_folder else ""  # the same files may also be channels
    return kind + BETWEEN.join(files) + part.selection


def content_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes, the same wherever the file lies; a header is followed by its voxel files.

    Of a folder, the names and bytes of its files count, by the order of the names; of an image in several files the
    bytes of each, in their order.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     content_hash(file.name)[:8]
        'e3b0c442'
    """
    parts = stored_channels(path)
    if len(parts) == 1 and parts[0].series:  # a folder has many series, each of which counts all of its files
        digest = _digest_of_folder(parts[0].path, _identity(replace(parts[0], series="", channel=None))).copy()
        digest.update(parts[0].selection.encode())
        return digest.hexdigest()
    digest = hashlib.sha256()
    for one in parts:
        _add(digest, one, named=one.is_folder or len(parts) > 1)
        digest.update(one.selection.encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=16)
def _digest_of_folder(path: str, identity: str) -> Any:
    """SHA-256 of a folder's files, as long as they are the same ones."""
    digest = hashlib.sha256()
    _add(digest, StoredPart(path), named=True)
    return digest


def _add(digest: Any, part: StoredPart, *, named: bool) -> None:
    for file in _with_voxels(part):
        if named:
            name = os.path.basename(file) if part.is_folder else ""
            digest.update(f"{name}|{os.path.getsize(file)}|".encode())
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)


def stored_parts(path: str | Path) -> list[str]:
    """The files that a stored image consists of: a header with its voxel files, the files of a folder, or the file.

    Example:
        >>> stored_parts("case_1.nii.gz"), stored_parts("a.png|b.png")
        (['case_1.nii.gz'], ['a.png', 'b.png'])
    """
    return [file for part in stored_channels(path) for file in _with_voxels(part)]


def _with_voxels(part: StoredPart) -> list[str]:
    """The files of a part, a header with the files that hold its voxels."""
    if part.is_folder:
        return part.files()
    folder = os.path.dirname(part.path)
    voxels = [os.path.join(folder, name) for name in _voxel_files(part.path)]
    return [*part.files(), *filter(os.path.isfile, voxels)]


def _voxel_files(path: str | Path) -> list[str]:
    """The files that a MetaImage or NRRD header names for its voxels; none where they follow the header."""
    named = NAMED.get(os.path.splitext(path)[1].lower())
    if named is None or not os.path.isfile(path):
        return []
    with open(path, "rb") as file:
        for line in iter(lambda: file.readline(LINE_AT_MOST), b""):
            if not line.strip() and named is NAMED[".nrrd"]:
                return []  # the voxels follow
            if found := named.match(line):
                entry = os.fsdecode(found[1])
                if entry.upper() == "LOCAL":
                    return []
                if entry.upper().split()[0] == "LIST":
                    return [os.fsdecode(name.strip()) for name in file if name.strip()]
                return _numbered(Path(path).parent, entry) if "%" in entry else [entry]
    return []


def _numbered(folder: Path, entry: str) -> list[str]:
    """The files of a pattern such as ``slice%03d.raw 1 20 1``, whatever their numbers."""
    return sorted(glob.glob(re.sub(r"%\d*d", "*", entry.split()[0]), root_dir=folder))
