# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are either complete or absent, readable for whom the user's umask allows it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from monai_al.records.errors import DataError

__all__ = ["TEMPORARY", "copy_stored", "new_folder", "read_json", "write_file", "write_json"]

TEMPORARY = ".monai_al-tmp-"  # prefix of everything that is not complete yet; no user's file has it


def write_file(path: Path, write: Callable[[IO[bytes]], object], *, mode: int = 0o666) -> None:
    """Write a file so that, whenever the process dies, it is complete or absent.

    Args:
        path: where the file shall be.
        write: writes the content into the open binary file it gets.
        mode: who may do what with the file, as far as the umask lets them.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_file(Path(folder) / "a.txt", lambda file: file.write(b"complete"))
        ...     sorted(p.name for p in Path(folder).iterdir())
        ['a.txt']
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path.parent)
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error of the disk name what was to be written, not a temporary name or nothing."""
    try:
        yield
    except OSError as error:
        if error.filename is None or TEMPORARY in str(error.filename):
            error.filename, error.filename2 = str(path), None
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON completely or not at all; NaN and infinities are refused.

    Raises:
        ValueError: the content holds a number that JSON does not know.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(Path(folder) / "a.json", {"dice": None})
        ...     read_json(Path(folder) / "a.json")
        {'dice': None}
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    An object of the file that lacks a key which is asked for says so, and names the file.

    Raises:
        ValueError: the file is not valid JSON, or holds no object; the message names it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "a.json").write_text('{"dice": null}')
        ...     read_json(Path(folder) / "a.json")
        {'dice': None}
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_hook=lambda content: _Object(content, path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); restore it, or remove it with all that came later"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object; restore it, or remove it with all that came later")
    return content


class _Object(dict):
    """An object of a JSON file, which knows its file."""

    __slots__ = ("_path",)

    def __init__(self, content: Mapping[str, Any], path: Path) -> None:
        super().__init__(content)
        self._path = path

    def __missing__(self, key: str) -> NoReturn:
        raise DataError(f"{self._path} holds no {key!r}; restore it, or remove it with all that came later")

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        return _Object({**self, **other}, self._path)

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under its name only once it is complete.

    Yields the temporary folder to fill. Where another process was faster, its folder stays and ours is dropped.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     with new_folder(Path(root) / "entry") as folder:
        ...         _ = (folder / "a.txt").write_text("complete")
        ...     sorted(p.name for p in Path(root).rglob("*"))
        ['a.txt', 'entry']
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path.parent)
        temporary.mkdir()
    try:
        with _naming(path):
            yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with open(file, "rb") as opened:
                    os.fsync(opened.fileno())
        _sync_folder(temporary)
        try:
            os.rename(temporary, path)
        except OSError:
            if not path.is_dir():
                raise
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_stored(source: Path, target: Path) -> None:
    """Copy the content of a file, or of a folder with all that is below it, but not who may read it.

    Args:
        source: a file or folder.
        target: where the copy shall be; nothing is there yet.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     _ = (Path(root) / "a.txt").write_text("complete")
        ...     copy_stored(Path(root) / "a.txt", Path(root) / "sub" / "b.txt")
        ...     (Path(root) / "sub" / "b.txt").read_text()
        'complete'
    """
    if source.is_dir():
        target.mkdir(parents=True)
        for entry in source.iterdir():
            copy_stored(entry, target / entry.name)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _temporary(folder: Path) -> Path:
    """A new name in a folder. What is made under it has the mode that the umask gives, as ``tempfile`` does not do."""
    return folder / f"{TEMPORARY}{uuid.uuid4().hex}"


def _sync_folder(path: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
