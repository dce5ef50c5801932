# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A DICOM series of a folder as one volume, its slices ordered and placed by their positions."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.data.itk_images import RAS_LPS, itk_values
from monai_al.records.errors import DataError

__all__ = [
    "DicomSeries",
    "dicom_file",
    "dicom_series",
    "is_dicom_image",
    "read_dicom",
    "series_files",
    "series_number",
]

POSITION, ORIENTATION, PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"
NEEDED = {POSITION: "ImagePositionPatient", ORIENTATION: "ImageOrientationPatient", PIXEL_SPACING: "PixelSpacing"}
MODALITY, DESCRIPTION = "0008|0060", "0008|103e"
SERIES_UID, SERIES_NUMBER = "0020|000e", "0020|0011"
STEP_OF_ONE_SLICE = ("0018|0088", "0018|0050")  # SpacingBetweenSlices, else SliceThickness
UNEVEN = 0.01  # of the step
ROUNDING = 0.015  # mm, of steps between positions with two decimals
SAME_PLACE = 1e-4  # mm
SHOWN = 5
_WITHOUT_PREAMBLE = re.compile(rb"\x08\x00[\x00\x01\x05\x08\x12-\x18]\x00")  # first element of an old file
# objects that accompany images: presentation states, reports, registrations, waveforms, documents, plans, a DICOMDIR
NO_IMAGES = (
    *("1.2.840.10008.5.1.4.1.1." + kind for kind in ("11.", "88.", "66", "9.", "104.")),
    *("1.2.840.10008.5.1.4.1.1.481." + kind for kind in "3456789"),
    "1.2.840.10008.1.3.10",
)


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """The slices of one series, in the order of their positions.

    Args:
        uid: the SeriesInstanceUID.
        files: the slices' files, along the slice normal (rows x columns of the orientation).
        affine: float64 ``(4, 4)``, (column, row, slice) to RAS millimetres; the slice step is that of the positions.
        mixed: rescaling gives the slices different types of values.

    Example:
        >>> DicomSeries("1.2.3", ("a.dcm", "b.dcm"), np.eye(4), mixed=False).uid
        '1.2.3'
    """

    uid: str
    files: tuple[str, ...]
    affine: np.ndarray
    mixed: bool


def dicom_series(folder: str | os.PathLike, uid: str = "") -> DicomSeries:
    """The one series of a folder, or the one that is asked for; sub-folders are not searched.

    Args:
        folder: the folder of the slices; file names, instance numbers and SliceThickness mean nothing.
        uid: the SeriesInstanceUID; needed where there are several.

    Raises:
        DataError: there is no such folder or series, several series and no ``uid`` (they are listed), a DICOM file that
            cannot be read, a slice without position, orientation or pixel spacing, slices that differ in size, spacing
            or orientation, two slices at one place, or steps that differ by more than 1 % (the gap is named).

    Example:
        >>> dicom_series("monai_al")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: monai_al: holds no DICOM images; give the folder that holds the slices
    """
    place = os.fspath(folder)
    if not os.path.isdir(place):
        raise DataError(f"{place}: does not exist; give the folder of a DICOM series")
    found = series_files(place)
    _check_nothing_is_damaged(place, [file for files in found.values() for file in files])
    if not found:
        raise DataError(f"{place}: holds no DICOM images; give the folder that holds the slices")
    if uid and uid not in found:
        raise DataError(f"{place}: has no series {uid}; it has\n{_series_listed(found)}")
    if not uid and len(found) > 1:
        raise DataError(
            f"{place}: holds {len(found)} series; keep them in folders of their own, or choose one by series_name, "
            f"its UID, where the reader takes it:\n{_series_listed(found)}"
        )
    uid = uid or next(iter(found))
    return _ordered(uid, [_slice(file) for file in found[uid]], place)


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
            uid = _text(_header(path), SERIES_UID)
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
    return _text(_header(file), SERIES_NUMBER)


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
        return bool(bare) or _should_be_an_image(Path(path))
    except OSError:  # no permission, say
        return False


def dicom_file(path: str | os.PathLike) -> DicomSeries:
    """A single DICOM file as a series of one slice.

    Raises:
        DataError: there is no such file, it cannot be read or lacks position, orientation or pixel spacing.

    Example:
        >>> dicom_file("gone.dcm")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: gone.dcm: does not exist; check the path and that the data set is complete
    """
    if not os.path.isfile(path):
        raise DataError(f"{path}: does not exist; check the path and that the data set is complete")
    return _ordered("", [_slice(os.fspath(path))], os.fspath(path))


def read_dicom(series: DicomSeries) -> np.ndarray:
    """The voxels of a series ``(columns, rows, slices)``, colours last; each slice by its own rescale factors.

    The type is that of the slices, or float64 where they differ.

    Raises:
        DataError: a slice cannot be read.

    Example:
        >>> read_dicom(DicomSeries("1.2.3", ("gone.dcm",), np.eye(4), mixed=False))
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: gone.dcm: the series cannot be read (...); copy it again
    """
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames(series.files)
    if series.mixed:
        reader.SetOutputPixelType(SimpleITK.sitkFloat64)  # else the first slice's type would cut the others' values
    try:
        return itk_values(reader.Execute())
    except RuntimeError as error:
        raise DataError(f"{series.files[0]}: the series cannot be read ({_short(error)}); copy it again") from error


# --- files -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Slice:
    path: str
    size: tuple[int, ...]
    spacing: np.ndarray  # along a row, along a column
    axes: np.ndarray  # (3, 2): direction of a row, direction of a column, LPS
    position: np.ndarray
    step: float
    pixel: int

    @property
    def normal(self) -> np.ndarray:
        normal = np.cross(self.axes[:, 0], self.axes[:, 1])
        return normal / np.linalg.norm(normal)


def _slice(path: str) -> _Slice:
    reader = _header(path)
    size = tuple(int(n) for n in reader.GetSize())
    if any(n > 1 for n in size[2:]):
        raise DataError(f"{path}: holds {size[2]} frames; store one slice in a file, or convert it to NIfTI")
    lacks = [name for tag, name in NEEDED.items() if not _text(reader, tag)]
    if lacks:
        raise DataError(f"{path}: has no {' and no '.join(lacks)}, so that its place is not known; remove it")
    axes = np.reshape(_numbers(reader, path, ORIENTATION, 6), (2, 3)).T
    if np.abs(axes.T @ axes - np.eye(2)).max() > 1e-2:
        raise DataError(f"{path}: ImageOrientationPatient {axes.T.tolist()} are no unit vectors at right angles")
    step = next((_numbers(reader, path, tag, 1)[0] for tag in STEP_OF_ONE_SLICE if _text(reader, tag)), 0.0)
    return _Slice(
        path,
        size[:2],
        _numbers(reader, path, PIXEL_SPACING, 2)[::-1],  # it is stored as (between rows, between columns)
        axes,
        _numbers(reader, path, POSITION, 3),
        step if step > 0 else 1.0,
        reader.GetPixelIDValue(),
    )


def _header(path: str) -> Any:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{path}: cannot be read as a DICOM image ({_short(error)}); copy it again") from error
    return reader


def _text(reader: Any, tag: str) -> str:
    return reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else ""


def _numbers(reader: Any, path: str, tag: str, count: int) -> np.ndarray:
    text = _text(reader, tag)
    try:
        values = np.array([float(part) for part in text.split("\\")])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise DataError(f"{path}: {NEEDED.get(tag, f'tag {tag}')} is {text!r}, expected {count} numbers")
    return values


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]


def _series_listed(found: Mapping[str, Sequence[str]]) -> str:
    lines = []
    for uid, files in found.items():
        reader = _header(files[0])
        about = [text for tag in (MODALITY, DESCRIPTION) if (text := _text(reader, tag))]
        lines.append(f"  {uid or '(without UID)'}: {', '.join([*about, f'{len(files)} files'])}")
    return "\n".join(lines)


def _check_nothing_is_damaged(folder: str, read: Sequence[str]) -> None:
    """GDCM passes over what it cannot read; a slice must not get lost that way."""
    names = {os.path.basename(file) for file in read}
    others = sorted(e.name for e in os.scandir(folder) if e.is_file() and e.name not in names and e.name[0] != ".")
    damaged = [name for name in others if _should_be_an_image(Path(folder, name))]
    if damaged:
        shown = ", ".join(damaged[:SHOWN]) + (", ..." if len(damaged) > SHOWN else "")
        raise DataError(f"{folder}: {len(damaged)} DICOM files cannot be read: {shown}; copy them again or remove them")


def _should_be_an_image(path: Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(1024)
    if start[128:132] != b"DICM":
        return path.suffix.lower() == ".dcm"
    _, found, rest = start.partition(b"\x02\x00\x02\x00UI")  # MediaStorageSOPClassUID
    kind = rest[2 : 2 + int.from_bytes(rest[:2], "little")].rstrip(b"\0 ").decode("ascii", "replace")
    return not (found and kind.startswith(NO_IMAGES))


# --- places ----------------------------------------------------------------------------------------------------------


def _ordered(uid: str, slices: list[_Slice], folder: str) -> DicomSeries:
    first = slices[0]
    for other in slices[1:]:
        _check_alike(first, other)
    slices = sorted(slices, key=lambda one: (float(one.position @ first.normal), one.path))
    first, last = slices[0], slices[-1]
    step = first.normal * first.step
    if len(slices) > 1:
        _check_steps(slices, folder)
        step = (last.position - first.position) / (len(slices) - 1)
        _check_line(slices, step)
    affine = np.eye(4)
    affine[:3, :2] = first.axes * first.spacing
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    mixed = len({one.pixel for one in slices}) > 1
    return DicomSeries(uid, tuple(one.path for one in slices), RAS_LPS @ affine + 0.0, mixed)


def _check_alike(first: _Slice, other: _Slice) -> None:
    differences = {
        "sizes": first.size != other.size,
        "pixel spacings": not np.allclose(first.spacing, other.spacing, rtol=1e-4, atol=0),
        "orientations": not np.allclose(first.axes, other.axes, rtol=0, atol=1e-4),
    }
    different = [name for name, differs in differences.items() if differs]
    if different:
        raise DataError(
            f"{first.path} and {other.path} have different {' and '.join(different)}: they are no slices of one "
            "volume; is one a localizer? Keep them in folders of their own"
        )


def _check_steps(slices: Sequence[_Slice], folder: str) -> None:
    along = np.array([one.position @ slices[0].normal for one in slices])
    steps = np.diff(along)
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    tolerated = max(UNEVEN * usual, min(ROUNDING, 0.1 * usual))
    gaps = [int(k) for k in np.flatnonzero(np.abs(steps - usual) > tolerated)]
    same = [k for k, step in enumerate(steps) if step <= max(UNEVEN * usual, SAME_PLACE)]
    if same:
        pair = " and ".join(os.path.basename(slices[same[0] + i].path) for i in (0, 1))
        raise DataError(
            f"{folder}: {len(same)} slices lie where another one lies, first {pair} at {along[same[0]]:g} mm; a series "
            "of several times or echoes is no single volume: keep them in folders of their own"
        )
    if gaps:
        described = [_gap(slices[k], slices[k + 1], float(steps[k]), usual) for k in gaps[:SHOWN]]
        more = f"; and {len(gaps) - SHOWN} more" if len(gaps) > SHOWN else ""
        raise DataError(
            f"{folder}: the slices have no even steps, most are {usual:.6g} mm: {'; '.join(described)}{more}. Copy the "
            "series again, or keep the parts in folders of their own"
        )


def _gap(before: _Slice, after: _Slice, step: float, usual: float) -> str:
    names = f"{os.path.basename(before.path)} and {os.path.basename(after.path)}"
    missing = round(step / usual) - 1
    note = f" ({missing} slice{'s' * (missing > 1)} missing)" if missing > 0 else ""
    return f"{step:.6g} mm between {names}{note}"


def _check_line(slices: Sequence[_Slice], step: np.ndarray) -> None:
    """One affine must hold for all slices, also where they are stacked at a slant (a tilted gantry)."""
    expected = slices[0].position + np.arange(len(slices))[:, None] * step
    off = np.linalg.norm([one.position for one in slices] - expected, axis=1)
    worst = int(off.argmax())
    if off[worst] > max(0.1 * float(np.linalg.norm(step)), 2 * ROUNDING):
        raise DataError(
            f"{slices[worst].path}: lies {off[worst]:.3g} mm beside the line from the first to the last slice; the "
            "slices do not form one block"
        )
