# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A DICOM series of a folder as one volume, its slices ordered and placed by their positions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.data.dicom_files import header_text, read_header, series_files, should_be_an_image
from monai_al.data.itk_images import RAS_LPS, itk_values
from monai_al.records.errors import DataError

__all__ = [
    "DicomSeries",
    "dicom_file",
    "dicom_series",
    "read_dicom",
]

POSITION, ORIENTATION, PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"
NEEDED = {POSITION: "ImagePositionPatient", ORIENTATION: "ImageOrientationPatient", PIXEL_SPACING: "PixelSpacing"}
MODALITY, DESCRIPTION = "0008|0060", "0008|103e"
STEP_OF_ONE_SLICE = ("0018|0088", "0018|0050")  # SpacingBetweenSlices, else SliceThickness
UNEVEN = 0.01  # of the step
ROUNDING = 0.015  # mm, of steps between positions with two decimals
SAME_PLACE = 1e-4  # mm
SHOWN = 5


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
        why = " ".join(str(error).split())[-200:]
        raise DataError(f"{series.files[0]}: the series cannot be read ({why}); copy it again") from error


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
    reader = read_header(path)
    size = tuple(int(n) for n in reader.GetSize())
    if any(n > 1 for n in size[2:]):
        raise DataError(f"{path}: holds {size[2]} frames; store one slice in a file, or convert it to NIfTI")
    lacks = [name for tag, name in NEEDED.items() if not header_text(reader, tag)]
    if lacks:
        raise DataError(f"{path}: has no {' and no '.join(lacks)}, so that its place is not known; remove it")
    axes = np.reshape(_numbers(reader, path, ORIENTATION, 6), (2, 3)).T
    if np.abs(axes.T @ axes - np.eye(2)).max() > 1e-2:
        raise DataError(f"{path}: ImageOrientationPatient {axes.T.tolist()} are no unit vectors at right angles")
    step = next((_numbers(reader, path, tag, 1)[0] for tag in STEP_OF_ONE_SLICE if header_text(reader, tag)), 0.0)
    return _Slice(
        path,
        size[:2],
        _numbers(reader, path, PIXEL_SPACING, 2)[::-1],  # it is stored as (between rows, between columns)
        axes,
        _numbers(reader, path, POSITION, 3),
        step if step > 0 else 1.0,
        reader.GetPixelIDValue(),
    )


def _numbers(reader: Any, path: str, tag: str, count: int) -> np.ndarray:
    text = header_text(reader, tag)
    try:
        values = np.array([float(part) for part in text.split("\\")])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise DataError(f"{path}: {NEEDED.get(tag, f'tag {tag}')} is {text!r}, expected {count} numbers")
    return values


def _series_listed(found: Mapping[str, Sequence[str]]) -> str:
    lines = []
    for uid, files in found.items():
        reader = read_header(files[0])
        about = [text for tag in (MODALITY, DESCRIPTION) if (text := header_text(reader, tag))]
        lines.append(f"  {uid or '(without UID)'}: {', '.join([*about, f'{len(files)} files'])}")
    return "\n".join(lines)


def _check_nothing_is_damaged(folder: str, read: Sequence[str]) -> None:
    """GDCM passes over what it cannot read; a slice must not get lost that way."""
    names = {os.path.basename(file) for file in read}
    others = sorted(e.name for e in os.scandir(folder) if e.is_file() and e.name not in names and e.name[0] != ".")
    damaged = [name for name in others if should_be_an_image(Path(folder, name))]
    if damaged:
        shown = ", ".join(damaged[:SHOWN]) + (", ..." if len(damaged) > SHOWN else "")
        raise DataError(f"{folder}: {len(damaged)} DICOM files cannot be read: {shown}; copy them again or remove them")


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
