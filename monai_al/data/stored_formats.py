# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files can be read: NIfTI by nibabel, MetaImage and NRRD by SimpleITK, images by Pillow."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai_al.data.itk_images import ITK_SUFFIXES, itk_image, itk_label, itk_shape
from monai_al.data.nifti import nifti_image, nifti_label, nifti_shape
from monai_al.data.nifti_header import NIFTI_SUFFIXES
from monai_al.data.pictures import PICTURE_SUFFIXES, picture_image, picture_label, picture_shape
from monai_al.data.stored_grid import StoredFormat
from monai_al.records.errors import DataError
from monai_al.records.stored_files import StoredPart, stored_channels

__all__ = ["READABLE_SUFFIXES", "format_of", "guarded", "name_without_suffix"]

_ITK = re.compile(r"^Exception thrown in SimpleITK .*?ITK ERROR: (?:\w+\(\w+\): )?")  # tells nothing to users
READABLE_SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES, *PICTURE_SUFFIXES)


def format_of(path: str | os.PathLike) -> StoredFormat:
    """The kind of a file, by its name.

    Raises:
        DataError: it is none that can be read.

    Example:
        >>> format_of("notes.txt")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: notes.txt: unknown kind of file; readable are .nii.gz, .nii, .mha, .mhd, ...
    """
    name = os.fspath(path).lower()
    if name.endswith(NIFTI_SUFFIXES):
        return StoredFormat(nifti_shape, nifti_image, nifti_label)
    if name.endswith(ITK_SUFFIXES):
        return StoredFormat(itk_shape, itk_image, itk_label)
    if name.endswith(PICTURE_SUFFIXES):
        return StoredFormat(picture_shape, picture_image, picture_label)
    raise DataError(f"{path}: unknown kind of file; readable are {', '.join(READABLE_SUFFIXES)}")


def guarded(path: str | os.PathLike, read: Callable[[str], Any]) -> Any:
    """Read a file, or the files of a folder; whatever goes wrong becomes an error that names it.

    Raises:
        DataError: there is no such file, it is empty, a pipe or a device, it cannot be read, or its voxels do not fit
            into memory.

    Example:
        >>> guarded("gone.nii", len)
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: gone.nii: does not exist; check the path and that the data set is complete
    """
    for part in stored_channels(path):
        _check_is_there(part)
    try:
        return read(os.fspath(path))
    except (DataError, ImportError):
        raise
    except MemoryError as error:
        raise _out_of_memory(path) from error
    except PermissionError as error:
        raise DataError(f"{path}: you have no permission to read it; change its mode or its owner") from error
    except Exception as error:
        if "allocate memory" in str(error):  # ITK's word for it
            raise _out_of_memory(path) from error
        cause = _ITK.sub("", " ".join(str(error).split()))[-300:]
        raise DataError(
            f"{path}: cannot be read ({type(error).__name__}: {cause}); it may be truncated or damaged, copy it again"
        ) from error


def _check_is_there(part: StoredPart) -> None:
    """That a part can be opened, without waiting for somebody to write into a pipe."""
    if part.is_pattern:
        if not part.files():
            raise DataError(f"{part}: does not exist; check the path and that the data set is complete")
        return
    try:
        found = os.stat(part.path)
    except PermissionError as error:
        raise DataError(f"{part}: you have no permission to look into its folder; change the folder's mode") from error
    except OSError as error:
        link = os.readlink(part.path) if os.path.islink(part.path) else ""
        what = f"is a link to {link}, which does not exist" if link else "does not exist"
        raise DataError(f"{part}: {what}; check the path and that the data set is complete") from error
    if stat.S_ISDIR(found.st_mode):
        return
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{part}: is a pipe, a socket or a device, not a file; remove it from the data set")
    if found.st_size == 0:
        raise DataError(f"{part}: is empty (0 bytes); copy it again")


def _out_of_memory(path: str | os.PathLike) -> DataError:
    try:
        declared = " x ".join(map(str, format_of(path).shape(os.fspath(path)))) + " voxels are "
    except Exception:  # a folder, say; the message is about the memory
        declared = ""
    return DataError(
        f"{path}: {declared}too large for the memory that is free; store a part of it, or voxels of a smaller type, or "
        "use a machine with more memory"
    )


def name_without_suffix(path: str | os.PathLike) -> str:
    """The file's name without its folder and without a readable suffix.

    Example:
        >>> name_without_suffix("images/case_1.v2.nii.gz")
        'case_1.v2'
    """
    name = Path(path).name
    suffix = next((s for s in READABLE_SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)] if suffix else name
