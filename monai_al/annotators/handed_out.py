# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a person was handed, as ``handed_out.json`` keeps it: it tells an untouched slice from an answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monai_al.annotators.file_values import FileValues
from monai_al.annotators.label_names import ascii_text
from monai_al.records import DataError
from monai_al.records.files import read_json, write_file, write_json

__all__ = [
    "ANNOTATION",
    "HANDED_OUT",
    "IMAGE",
    "HandedOut",
    "HandedVolume",
    "file_sha256",
    "folder_name",
    "plane_of",
    "plane_sha256",
]

HANDED_OUT, IMAGE, ANNOTATION = "handed_out.json", "image.nii.gz", "annotation.nii.gz"
_LONGEST = 80
_OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names of devices there


@dataclass
class HandedVolume:
    """The annotation file of one volume.

    Args:
        volume: the volume's name.
        folder: the name of its folder.
        items: id -> the slice, counted from 0 along the stored slice axis; None for all of the volume.
        annotation_sha256: of the annotation file as it was handed out.
        slices_sha256: id -> :func:`plane_sha256` of the class numbers that the file held there, 255 where it left them
            open.
        affine: ``(4, 4)``, voxel index in stored order -> RAS millimetres, of an image whose axes do not stand at right
            angles, so that the files have another one; else None.

    Example:
        >>> HandedVolume("a", "a", {"a/0007": 7}).to_json()["items"]
        [{'id': 'a/0007', 'slice': 7}]
    """

    volume: str
    folder: str
    items: dict[str, int | None] = field(default_factory=dict)
    annotation_sha256: str = ""
    slices_sha256: dict[str, str] = field(default_factory=dict)
    affine: list[list[float]] | None = None

    def to_json(self) -> dict:
        """The volume as it stands in ``handed_out.json``."""
        items = [{"id": id, "slice": number} for id, number in self.items.items()]
        return vars(self) | {"items": items}


@dataclass
class HandedOut:
    """All that was handed out in one round.

    Args:
        classes: names of the classes, background first; annotation files hold their positions.
        volumes: the volumes, in order of their first item.
        files: path from the round's folder -> SHA-256 of every file as it was written, so that one that a person has
            changed is known, and left alone.
        scribbles: annotation files hold strokes, and the values of :class:`monai_al.annotators.file_values.FileValues`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     handed = HandedOut(["background", "liver"], [HandedVolume("a", "a", {"a/0007": 7})])
        ...     handed.write(Path(folder))
        ...     HandedOut.read(Path(folder)) == handed, HandedOut.read(Path(folder) / "gone").volumes
        (True, [])
    """

    classes: list[str] = field(default_factory=list)
    volumes: list[HandedVolume] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    scribbles: bool = False

    @property
    def values(self) -> FileValues:
        """What the values of the annotation files mean."""
        return FileValues(self.classes, self.scribbles)

    @classmethod
    def read(cls, folder: Path) -> HandedOut:
        """What was handed out in a folder; nothing where there is no ``handed_out.json``.

        Raises:
            DataError: the file is broken; the message names it and says what to do.
        """
        path = folder / HANDED_OUT
        if not path.is_file():
            return cls()
        try:
            content = read_json(path)
            volumes = [
                HandedVolume(
                    one["volume"],
                    one["folder"],
                    {item["id"]: item["slice"] for item in one["items"]},
                    one["annotation_sha256"],
                    dict(one["slices_sha256"]),
                    one.get("affine"),
                )
                for one in content["volumes"]
            ]
            files, scribbles = dict(content.get("files", {})), content.get("scribbles", False) is True
            return cls(list(content["classes"]), volumes, files, scribbles)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: is no record of what was handed out ({error}); move {folder} away and run the same command, "
                "which hands out anew"
            ) from None

    def write(self, folder: Path) -> None:
        """Keep it."""
        volumes = [volume.to_json() for volume in self.volumes]
        strokes = {"scribbles": True} if self.scribbles else {}
        content = {"classes": self.classes, **strokes, "volumes": volumes, "files": self.files}
        write_json(folder / HANDED_OUT, content)

    def volume(self, name: str) -> HandedVolume:
        """The record of a volume; a new one, with a folder of its own, where it was not handed out yet."""
        for one in self.volumes:
            if one.volume == name:
                return one
        self.volumes.append(HandedVolume(name, folder_name(name, [one.folder for one in self.volumes])))
        return self.volumes[-1]

    def may_place(self, folder: Path, name: str, content: bytes) -> bool:
        """Whether a file is not there, holds the content already, or is as it was written before.

        Args:
            folder: that of the round.
            name: path of the file from there.
            content: what it is to hold.
        """
        path = folder / name
        return not path.exists() or file_sha256(path) in (hashlib.sha256(content).hexdigest(), self.files.get(name))

    def place(self, folder: Path, name: str, content: bytes) -> None:
        """Write a file, unless a person has changed what was written before; takes what :meth:`may_place` takes."""
        if not self.may_place(folder, name, content):
            return
        path, digest = folder / name, hashlib.sha256(content).hexdigest()
        if not path.exists() or file_sha256(path) != digest:
            write_file(path, lambda file: file.write(content))
        self.files[name] = digest


def plane_sha256(plane: np.ndarray) -> str:
    """SHA-256 of the class numbers of a slice, or of a whole volume: uint8, row by row.

    Args:
        plane: as :func:`plane_of` gives it.

    Example:
        >>> plane_sha256(np.zeros((4, 5)))[:8]
        'de47c9b2'
    """
    return hashlib.sha256(np.ascontiguousarray(plane, dtype=np.uint8).tobytes()).hexdigest()


def plane_of(volume: np.ndarray, slice: int | None, slice_axis: int = -1) -> np.ndarray:
    """A slice of a volume, its axes in stored order; or the whole volume, the slice axis last.

    Example:
        >>> plane_of(np.zeros((4, 5, 6)), 3, 2).shape, plane_of(np.zeros((4, 5, 6)), None, 0).shape
        ((4, 5), (5, 6, 4))
    """
    planes = np.moveaxis(volume, slice_axis, -1)
    return planes if slice is None else planes[..., slice]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     file_sha256(Path(file.name))[:8]
        'e3b0c442'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_name(volume: str, taken: Collection[str] = ()) -> str:
    """A name for a volume's folder that every file system takes, unlike those that are taken, also by case.

    Example:
        >>> folder_name("patient 1/früh"), folder_name("A", ["a"]), folder_name("..")
        ('patient_1_fruh', 'A_2', 'volume')
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_text(volume))
    plain = plain[:_LONGEST].strip("._ ") or "volume"
    if _OF_WINDOWS.fullmatch(plain) or plain.casefold() == "pictures":
        plain = f"{plain}_volume" if "." not in plain else f"volume_{plain}"
    known, name, number = {one.casefold() for one in taken}, plain, 2
    while name.casefold() in known:
        name, number = f"{plain}_{number}", number + 1
    return name
