# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the machine: memory, disk, files, processes, devices. Each function gives one sentence, or None."""

from __future__ import annotations

import errno
import os
import re
import tempfile

from monai_al.failures.chain import text_of
from monai_al.failures.words import one_line

__all__ = ["of_device", "of_disk", "of_file", "of_memory", "of_worker"]

_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|CUBLAS_STATUS_ALLOC_FAILED", re.I)
_WORKER = re.compile(
    r"DataLoader worker .*(exited unexpectedly|killed by signal)|unable to open shared memory|shared memory|bus error",
    re.I,
)
_DEVICE = re.compile(
    r"not compiled with CUDA|No CUDA GPUs are available|Found no NVIDIA driver|invalid device ordinal|"
    r"deserialize object on a CUDA device|device type at start of device string|Invalid device string|CUDA driver|"
    r"CUDA-capable device|MPS backend",
    re.I,
)
_WRITING = re.compile(r"PytorchStreamWriter failed|file write failed|disk full", re.I)
_UNFINISHED = re.compile(r"\.([^/\\]+)\.[0-9a-f]{32}(?=$|[/\\])")  # what is written before it gets its name
_ADVICE = {
    errno.EACCES: "permission denied: give a folder that may be written, or change its permissions",
    errno.EPERM: "not permitted: give a folder that may be written, or change its permissions",
    errno.EROFS: "the file system is read-only: give another folder, such as by --output_dir and --cache_dir",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "a part of this path is a file where a folder should be",
    errno.EISDIR: "a folder where a file should be",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EEXIST: "exists already, but is no folder",
}


def of_memory(error: BaseException) -> str | None:
    """Not enough memory, of the machine or of a GPU.

    Example:
        >>> of_memory(MemoryError())
        'out of memory: lower --batch_size, --scoring_batch_size or --image_size'
    """
    text = text_of(error)
    memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    memory = memory or isinstance(error, OSError) and error.errno == errno.ENOMEM
    if not memory and not (isinstance(error, RuntimeError) and _MEMORY.search(text)):
        return None
    where = "GPU memory" if "CUDA" in text or "MPS" in text else "memory"
    asked = re.search(r"(?:tried to allocate|Unable to allocate) ([\d.]+ ?\w+)", text, re.I)
    told = f" (no {asked[1]} more are free)" if asked else ""
    return f"out of {where}{told}: lower --batch_size, --scoring_batch_size or --image_size"


def of_disk(error: BaseException) -> str | None:
    """No space, or too many open files.

    Example:
        >>> of_disk(OSError(errno.ENOSPC, "No space left on device", "runs/a/model_0.pt"))
        'runs/a/model_0.pt: no space left on the device: free some, or give another folder'
    """
    if isinstance(error, RuntimeError) and _WRITING.search(text_of(error)):
        return f"a file could not be written to its end ({one_line(text_of(error))}): is the disk full?"
    if not isinstance(error, OSError):
        return None
    where = f"{_name(error)}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        other = "set TMPDIR to" if error.filename == tempfile.gettempdir() else "give"
        return f"{where}no space left on the device: free some, or {other} another folder"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{where}too many open files: lower --num_workers, or allow more ('ulimit -n 4096')"
    return None


def of_file(error: BaseException) -> str | None:
    """A file or folder that cannot be used.

    Example:
        >>> of_file(FileNotFoundError(errno.ENOENT, "No such file or directory", "mine.yaml"))
        'mine.yaml: no such file or folder'
        >>> of_file(FileNotFoundError("Cannot find the config file: mine.yaml."))
        'Cannot find the config file: mine.yaml'
    """
    if not isinstance(error, OSError):
        return None
    if error.errno is None:
        return one_line(text_of(error)) or None
    advice = _ADVICE.get(error.errno, (error.strerror or os.strerror(error.errno)).lower())
    return f"{_name(error)}: {advice}" if error.filename else f"{type(error).__name__}: {advice}"


def of_worker(error: BaseException) -> str | None:
    """A process that loads data has died.

    Example:
        >>> of_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))
        'a worker of the data loader died (killed by signal: Killed): lower --num_workers; 0 loads without workers'
    """
    text = text_of(error)
    if not isinstance(error, RuntimeError) or not _WORKER.search(text):
        return None
    how = re.search(r"killed by signal: [\w ]+", text)
    shared = " shared memory may be too small," if re.search("shared memory|bus error", text, re.I) else ""
    why = how[0] if how else one_line(text)
    return f"a worker of the data loader died ({why}):{shared} lower --num_workers; 0 loads without workers"


def of_device(error: BaseException) -> str | None:
    """A device that is not there.

    Example:
        >>> of_device(AssertionError("Torch not compiled with CUDA enabled"))
        'the device cannot be used (Torch not compiled with CUDA enabled): give another one, such as --device cpu'
    """
    text = text_of(error)
    if not isinstance(error, (RuntimeError, AssertionError)) or not _DEVICE.search(text):
        return None
    unknown = re.search(r"device string: '?([^\s']+)", text)
    why = f"{unknown[1]!r} is none" if unknown else one_line(text.partition("\n")[0])
    return f"the device cannot be used ({why}): give another one, such as --device cpu"


def _name(error: OSError) -> str:
    name = error.filename2 or error.filename
    name = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else str(name)
    return _UNFINISHED.sub(r"\1", name)
