# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are DICOM images, and of which series; what their headers say."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

from monai_al.records.errors import DataError

__all__ = ["header_text", "is_dicom_image", "read_header", "series_files", "series_number", "should_be_an_image"]

SERIES_UID, SERIES_NUMBER = "0020|000e", "0020|0011"
_WITHOUT_PREAMBLE = re.compile(rb"\x08\x00[\x00\x01\x05\x08\x12-\x18]\x00")  # first element of an old file
# objects that accompany images: presentation states, reports, registrations, waveforms, documents, plans, a DICOMDIR
NO_IMAGES = (
    *("1.2.840.10008.5.1.4.1.1." + kind for kind in ("11.", "88.", "66", "9.", "104.")),
    *("1.2.840.10008.5.1.4.1.1.481." + kind for kind in "3456789"),
    "1.2.840.10008.1.3.10",
)


def series_files(folder: str | os.PathLike) -> dict[str, tuple[str, ...]]:
    """The files of each series in a folder, by its SeriesInstanceUID; sub-folders are not searched.

    Raises:
        DataError: one of several series has a file that cannot be read, or something in the folder is no file, such as
            a broken link.

    Example:
        >>> series_files("monai_al")
        {}
    """
    place = os.fspath(folder)
    with os.scandir(place) as scanned:
        entries = list(scanned)
    files = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    if not files:
        return {}
    others = sorted(entry.name for entry in entries if not (entry.is_file() or entry.is_dir()))
    if others:  # GDCM reads nothing at all beside one
        raise DataError(
            f"{os.path.join(place, others[0])}: is a broken link, a pipe, a socket or a device beside DICOM slices; "
            "remove it"
        )
    return dict(_series_files(place, frozenset((name, stat.st_size, stat.st_mtime_ns) for name, stat in files)))


@functools.lru_cache(maxsize=64)  # each series of a folder is asked for several times
def _series_files(folder: str, state: frozenset[tuple[str, int, int]]) -> dict[str, tuple[str, ...]]:
    """The same, of the files that the folder holds now."""
    from SimpleITK import ImageSeriesReader, ProcessObject

    shown = ProcessObject.GetGlobalWarningDisplay()
    ProcessObject.GlobalWarningDisplayOff()  # a folder without a series is told by an error of ours
    try:
        uids = ImageSeriesReader.GetGDCMSeriesIDs(folder)
        if len(uids) < 2:
            return {uid: ImageSeriesReader.GetGDCMSeriesFileNames(folder, uid) for uid in uids}
    finally:
        ProcessObject.SetGlobalWarningDisplay(shown)
    found: dict[str, list[str]] = {uid: [] for uid in uids}  # GDCM would read all files again for each of them
    for path in (os.path.join(folder, name) for name in sorted(name for name, *_ in state)):
        try:
            uid = header_text(read_header(path), SERIES_UID)
        except DataError:
            if is_dicom_image(path):
                raise
        else:
            found.setdefault(uid, []).append(path)
    return {uid: tuple(files) for uid, files in found.items() if files}


def series_number(file: str) -> str:
    """The SeriesNumber of a DICOM file, or nothing where it has none.

    Raises:
        DataError: the file cannot be read.

    Example:
        >>> series_number("gone.dcm")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: gone.dcm: cannot be read as a DICOM image (...); copy it again
    """
    return header_text(read_header(file), SERIES_NUMBER)


def is_dicom_image(path: str | os.PathLike) -> bool:
    """Whether a file is a DICOM image by its first bytes, whatever it is called, or at least by its name.

    Objects that accompany images, such as a DICOMDIR or a presentation state, are none.

    Example:
        >>> is_dicom_image("setup.cfg")
        False
    """
    if not os.path.isfile(path):  # a pipe would wait for somebody to write into it
        return False
    try:
        with open(path, "rb") as file:
            bare = _WITHOUT_PREAMBLE.match(file.read(4))
        return bool(bare) or should_be_an_image(Path(path))
    except OSError:  # no permission, say
        return False


def read_header(path: str) -> Any:
    """A SimpleITK reader that has read the header of a DICOM file.

    Raises:
        DataError: the file cannot be read.

    Example:
        >>> read_header("gone.dcm")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: gone.dcm: cannot be read as a DICOM image (...); copy it again
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{path}: cannot be read as a DICOM image ({_short(error)}); copy it again") from error
    return reader


def header_text(reader: Any, tag: str) -> str:
    """What a header says under a tag such as ``0020|0011``; nothing where it has none.

    Args:
        reader: of :func:`read_header`.
        tag: group and element.

    Example:
        >>> import SimpleITK
        >>> header_text(SimpleITK.Image(2, 2, SimpleITK.sitkUInt8), "0020|0011")
        ''
    """
    return reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else ""


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]


def should_be_an_image(path: Path) -> bool:
    """Whether a file says that it is a DICOM image, by its preamble or else by its suffix.

    Example:
        >>> should_be_an_image(Path("setup.cfg"))
        False
    """
    with open(path, "rb") as file:
        start = file.read(1024)
    if start[128:132] != b"DICM":
        return path.suffix.lower() == ".dcm"
    _, found, rest = start.partition(b"\x02\x00\x02\x00UI")  # MediaStorageSOPClassUID
    kind = rest[2 : 2 + int.from_bytes(rest[:2], "little")].rstrip(b"\0 ").decode("ascii", "replace")
    return not (found and kind.startswith(NO_IMAGES))
