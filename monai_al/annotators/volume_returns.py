# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What came back for one volume: each slice by itself is taken, or waits for a reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monai_al.annotators.file_values import FileValues
from monai_al.annotators.handed_out import ANNOTATION, IMAGE, HandedVolume, plane_of, plane_sha256
from monai_al.annotators.recorded_planes import Recorded
from monai_al.annotators.returned import Returned, read_returned
from monai_al.annotators.verdicts import Verdict, verdict_of
from monai_al.data import read_volume
from monai_al.data.label_files import write_label_map
from monai_al.data.label_names import files_with_names
from monai_al.data.stored_formats import guarded
from monai_al.records import CLASS_NUMBERS, NOT_ANNOTATED, DataError, Item, Label, Pool
from monai_al.records.files import copy_stored
from monai_al.records.stored_files import content_hash
from monai_al.records.work_list import EMPTY, WAITING

__all__ = ["CONVERTED", "Collected", "VolumeReturns"]

CONVERTED = ".returned"  # in the round's folder: what was taken, in class numbers, until the run has recorded it


@dataclass
class Collected:
    """What came back.

    Args:
        labels: those that can be taken: ``where`` is a file in class numbers, ``returned`` the one that came.
        extra: the same of slices that nobody asked for.
        problems: id -> why a slice that was asked for cannot be taken, with the file and the slice.
        notes: what does not concern a slice that was asked for.
        strange: files that belong to no volume of the round.

    Example:
        >>> Collected().labels
        []
    """

    labels: list[Label] = field(default_factory=list)
    extra: list[Label] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    strange: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    path: Path
    shown: str
    digest: str
    content: Returned


@dataclass(frozen=True)
class VolumeReturns:
    """What came back for one volume, compared slice by slice with what was handed out.

    Args:
        place: the folder of the round.
        handed: what was handed out.
        items: id -> item, of those.
        pool: all items, with images that can be read.
        states: id -> state in the work list.
        waiting: ids that have no label yet.
        recorded: the labels that the run holds.
        root: the folder from which files are named.
        scribbles: strokes were handed out.

    Example:
        >>> handed = HandedVolume("a", "a", {}, "", {})
        >>> returns = VolumeReturns(Path("round_00"), handed, {}, Pool([]), {}, set(), Recorded(), Path("round_00"))
        >>> returns.look([], found := Collected())
        >>> found.problems
        {}
    """

    place: Path
    handed: HandedVolume
    items: Mapping[str, Item]
    pool: Pool
    states: Mapping[str, str]
    waiting: set[str]
    recorded: Recorded
    root: Path
    scribbles: bool = False

    def look(self, paths: Sequence[Path], found: Collected) -> None:
        """Add what the files say to what was found."""
        untouched = all(self.states.get(id, WAITING) == WAITING for id in self.handed.items)
        files, errors = [], []
        for path in paths:
            try:
                digest = guarded(path, content_hash)
                if path.name == ANNOTATION and untouched and digest == self.handed.annotation_sha256:
                    continue
                files.append(_File(path, self._shown(path), digest, self._read(path)))
            except DataError as error:
                errors.append(str(error))
        taken: dict[_File, list[str]] = {}
        for id in self.handed.items:
            self._judge(id, files, errors, taken, found)
        if not self.waiting & set(self.handed.items):  # else those say it
            found.notes += errors
        extra = self._extra(files, found)
        for file in files:
            ids = taken.get(file, [])
            self._tell_no_background(file, ids, found)
            self._write(file, [*ids, *extra.get(file, [])], ids, found)

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def _read(self, path: Path) -> Returned:
        image = self.place / self.handed.folder / IMAGE
        options = {"slice_axis": self._axis, "scribbles": self.scribbles}
        return guarded(path, lambda _: read_returned(path, image, self.pool.classes, **options))

    @property
    def _axis(self) -> int:
        return self.items[next(iter(self.handed.items))].slice_axis

    def _judge(
        self, id: str, files: Sequence[_File], errors: Sequence[str], taken: dict[_File, list[str]], found: Collected
    ) -> None:
        """Take a slice of one of the files, or say why it cannot be taken."""
        judged = [(file, self._verdict(id, file)) for file in files]
        answers = [(file, one) for file, one in judged if one.is_answer and (one.touched or id in self.waiting)]
        answers = [(file, one) for file, one in answers if one.touched] or answers
        new = {
            plane_sha256(plane): file
            for file, _ in answers
            if not self.recorded.is_taken(self.items[id], plane := self._plane(id, file), file.path.stat().st_mtime)
        }
        if len(new) == 1:
            taken.setdefault(next(iter(new.values())), []).append(id)
        elif new:
            names = " and ".join(file.shown for file in new.values())
            found.problems[id] = f"{names} answer it differently: leave the one that counts, and move the others away"
        elif not answers:
            self._tell(id, judged, errors, found)

    def _tell(self, id: str, judged: Sequence[tuple[_File, Verdict]], errors: Sequence[str], found: Collected) -> None:
        touched = [(file, one) for file, one in judged if one.touched and self._wrong(id, file)]
        told = touched or (judged if id in self.waiting else [])
        reasons = [f"{file.shown}{self._slice(id)}: {one.why_not}" for file, one in told]
        if id in self.waiting:
            reasons += errors
        if reasons:
            found.problems[id] = "; ".join(dict.fromkeys(reasons))

    def _slice(self, id: str) -> str:
        z = self.handed.items[id]
        return "" if z is None else f", slice {z + 1} in ITK-SNAP"

    def _verdict(self, id: str, file: _File) -> Verdict:
        wrong, plane = self._wrong(id, file), self._plane(id, file)
        if wrong:
            return Verdict(wrong, touched=True)
        digest, state = self.handed.slices_sha256.get(id, ""), self.states.get(id, WAITING)
        return verdict_of(plane, digest, state, scribbles=self.scribbles)

    def _wrong(self, id: str, file: _File) -> str | None:
        z = self.handed.items[id]
        wrong = file.content.wrong
        if z is not None:
            return wrong.get(z)
        return next((f"slice {k + 1} in ITK-SNAP {why}" for k, why in wrong.items()), None)

    def _plane(self, id: str, file: _File) -> np.ndarray:
        """What a file says of a slice; nothing where that is called empty, which a cropped file need not reach."""
        plane = plane_of(file.content.classes, self.pool[self.pool.index(id)].slice, self._axis)
        is_empty = self.states.get(id) == EMPTY and np.isin(plane, (0, NOT_ANNOTATED)).all()
        return np.zeros_like(plane) if is_empty else plane

    def _tell_no_background(self, file: _File, ids: Sequence[str], found: Collected) -> None:
        """Note the slices of a file whose strokes are of classes alone."""
        if not self.scribbles:
            return
        planes = {id: self._plane(id, file) for id in ids}
        without = [id for id, plane in planes.items() if (plane == NOT_ANNOTATED).any() and (plane != 0).all()]
        if without:
            slices = ", ".join(str((self.handed.items[id] or 0) + 1) for id in without)
            where = f"on slice {slices} in ITK-SNAP" if self.handed.items[without[0]] is not None else "on the volume"
            *_, name = FileValues(self.pool.classes, scribbles=True).shown_names
            found.notes.append(
                f"{file.shown}: there is no {name} {where}, so that the network learns no background there; draw one "
                f"({len(self.pool.classes)}) where that is not meant"
            )

    # -- slices that nobody asked for ------------------------------------------------------------------------------

    def _extra(self, files: Sequence[_File], found: Collected) -> dict[_File, list[str]]:
        """File -> ids of other slices of the volume that somebody annotated in it."""
        asked = set(self.handed.items)
        others = [one for one in self.pool if one.volume == self.handed.volume and one.id not in asked]
        extra: dict[_File, list[str]] = {}
        nothing = (NOT_ANNOTATED,) if self.scribbles else (0, NOT_ANNOTATED)
        for file in files:
            told = []
            for item in others if None not in self.handed.items.values() else ():
                plane = plane_of(file.content.classes, item.slice, self._axis)
                if np.isin(plane, nothing).all() or item.slice in file.content.wrong:
                    continue
                if not self.recorded.is_there(item, plane, scribbles=self.scribbles):
                    told.append(item)
            if told:
                extra[file] = [item.id for item in told]
                slices = ", ".join(str((item.slice or 0) + 1) for item in told)
                found.notes.append(
                    f"{file.shown}: slices that were not asked for are annotated, {slices} in ITK-SNAP; they are used "
                    "only with import-labels --take_extra"
                )
            if file.content.outside:
                found.notes.append(f"{file.shown}: {file.content.outside} labeled voxels lie outside its image")
        return extra

    # -- in class numbers ------------------------------------------------------------------------------------------

    def _write(self, file: _File, ids: Sequence[str], asked: Collection[str], found: Collected) -> None:
        """Put a file as it came, and what is taken of it, into the folder from which the run records them."""
        if not ids:
            return
        folder = self.place / CONVERTED / f"{len(list((self.place / CONVERTED).glob('*'))):03d}"
        for part in files_with_names(file.path):
            copy_stored(part, folder / "as_it_came" / part.relative_to(file.path.parent))
        copied = folder / "as_it_came" / file.path.name
        if content_hash(copied) != file.digest:
            found.problems |= dict.fromkeys(asked, f"{file.shown}: has changed while it was read; import it again")
            return
        item = self.pool[self.pool.index(ids[0])]
        like = read_volume(item.image, slice_axis=item.slice_axis)
        classes, path = np.moveaxis(self._taken(file, ids), self._axis, -1), folder / "classes.nii.gz"
        write_label_map(path, classes, like=item.image, affine=like.affine, slice_axis=self._axis)
        for id in ids:
            label = Label(id, where=str(path), coding=CLASS_NUMBERS, returned=str(copied))
            (found.labels if id in asked else found.extra).append(label)

    def _taken(self, file: _File, ids: Sequence[str]) -> np.ndarray:
        """Class numbers of some items on the grid of their image, 255 elsewhere."""
        classes = np.full(file.content.classes.shape, NOT_ANNOTATED, np.uint8)
        for id in ids:
            z = self.pool[self.pool.index(id)].slice
            plane_of(classes, z, self._axis)[...] = self._plane(id, file)
        return classes
