# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Small data sets for the tables: three volumes or pictures with their labels, and what may be done to them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from bad_inputs import Case
from PIL import Image

SHAPE = (12, 10, 4)
IMAGE, LABEL = "images/case_2.nii.gz", "labels/case_2.nii.gz"  # in data
Change = Callable[[Path], object]


def grey(seed: int, shape: Sequence[int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 200, shape).astype(np.int16)


def organ(shape: Sequence[int] = SHAPE) -> np.ndarray:
    label = np.zeros(shape, np.uint8)
    label[3:7, 2:6] = 1
    return label


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None, units: str = "mm") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, np.diag([1.0, 1, 3, 1]) if affine is None else affine)
    image.header.set_xyzt_units(units)
    nibabel.save(image, path)


def picture(path: Path, array: np.ndarray, **more) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **more)


def volumes(*changes: Change, number: int = 3, name: str = "case_{}", suffix: str = ".nii.gz") -> Change:
    """Makes ``data/images`` and ``data/labels`` with a volume each, and lets the changes at ``data``."""

    def make(here: Path) -> None:
        for k in range(1, number + 1):
            nifti(here / "data" / "images" / f"{name.format(k)}{suffix}", grey(k))
            nifti(here / "data" / "labels" / f"{name.format(k)}{suffix}", organ())
        for change in changes:
            change(here / "data")

    return make


def pictures(*changes: Change, number: int = 3, shape: Sequence[int] = (12, 10)) -> Change:
    """The same with grey PNGs, and masks of 0 and 255."""

    def make(here: Path) -> None:
        for k in range(1, number + 1):
            picture(here / "data" / "images" / f"photo_{k}.png", grey(k, shape).astype(np.uint8))
            picture(here / "data" / "labels" / f"photo_{k}.png", organ(shape[:2]) * 255)
        for change in changes:
            change(here / "data")

    return make


def image(array: np.ndarray, affine: np.ndarray | None = None, *, case: str = "case_2", units: str = "mm") -> Change:
    return lambda data: nifti(data / "images" / f"{case}.nii.gz", array, affine, units)


def label(array: np.ndarray, affine: np.ndarray | None = None, *, case: str = "case_2", units: str = "mm") -> Change:
    return lambda data: nifti(data / "labels" / f"{case}.nii.gz", array, affine, units)


def text(name: str, content: str | bytes) -> Change:
    def write(data: Path) -> None:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def without(name: str) -> Change:
    return lambda data: (data / name).unlink()


def moved(old: str, new: str) -> Change:
    def move(data: Path) -> None:
        (data / new).parent.mkdir(parents=True, exist_ok=True)
        (data / old).rename(data / new)

    return move


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Change:
    return lambda data: (data / name).write_bytes(change((data / name).read_bytes()))


def unpacked(name: str, change: Callable[[bytearray], None]) -> Change:
    """Change a packed file's content."""

    def write(data: Path) -> None:
        content = bytearray(gzip.decompress((data / name).read_bytes()))
        change(content)
        (data / name).write_bytes(gzip.compress(bytes(content), mtime=0))

    return write


def declared(*shape: int) -> Callable[[bytearray], None]:
    """Let a NIfTI header declare another shape."""

    def change(content: bytearray) -> None:
        content[40:56] = np.array([len(shape), *shape, *[1] * (7 - len(shape))], "<i2").tobytes()

    return change


def dicom(folder: Path, positions: Sequence[float], *, uid: str = "1.2.3", shape: Sequence[int] = (5, 6)) -> None:
    """A series with a slice at each position, in mm."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, z in enumerate(positions):
        slice = SimpleITK.JoinSeries(SimpleITK.GetImageFromArray(grey(number, shape)))
        slice.SetOrigin((0, 0, z))
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0008|0018": f"{uid}.{number}", "0008|0060": "CT",
            "0020|000d": "1.2", "0020|000e": uid, "0020|0013": str(number), "0020|0052": "1.2.9",
            "0020|0032": f"0\\0\\{z}", "0020|0037": "1\\0\\0\\0\\1\\0",
        }  # fmt: skip
        for tag, value in tags.items():
            slice.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(folder / f"{uid}_{number}.dcm"))
        writer.Execute(slice)


def dicom_cases(*changes: Change, positions: Sequence[float] = (0, 2, 4, 6)) -> Change:
    """Makes two folders of DICOM slices with a label each, the second with slices at these positions."""

    def make(here: Path) -> None:
        for k, places in ((1, (0, 2, 4, 6)), (2, positions)):
            dicom(here / "data" / "images" / f"case_{k}", places, uid=f"1.2.{k}")
            label = SimpleITK.GetImageFromArray(np.moveaxis(organ((5, 6, len(places))), 2, 0))
            label.SetSpacing((1, 1, 2))
            (here / "data" / "labels").mkdir(exist_ok=True)
            SimpleITK.WriteImage(label, here / "data" / "labels" / f"case_{k}.nrrd")
        for change in changes:
            change(here / "data")

    return make


def entry(k: int, **more: Any) -> dict[str, Any]:
    return {"image": f"images/case_{k}.nii.gz", "label": f"labels/case_{k}.nii.gz", **more}


def of_list(content: Any, *changes: Change) -> Callable[[Path], None]:
    """Three volumes and a list of them; text is written as it is."""
    return volumes(text("list.json", content if isinstance(content, (str, bytes)) else json.dumps(content)), *changes)


def listed(name: str, make: Change, says: Sequence[str], *more: str, dataset: str = "folder", quick=False, **settings):
    """``datalist`` of a data set in ``data``; nightly, unless it is quick and the first of its kind."""
    command = ["datalist", dataset, "--dataset_dir", "data", *more]
    settings = {"lines": 0 if settings.get("status") == 0 else 9, "nightly": not quick} | settings
    return Case(name=name, command=command, make=make, says=says, **settings)
