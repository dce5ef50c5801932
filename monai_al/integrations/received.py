# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that a server received, kept in the run folder as they came, before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from monai_al.data.stored_formats import name_without_suffix
from monai_al.records.files import copy_stored, new_folder, read_json, write_json
from monai_al.records.stored_files import content_hash

__all__ = ["ALL", "RECEIVED", "Received", "empty_slices", "keep", "received"]

RECEIVED = "annotate/monailabel"  # in the run folder
ALL = "all"
_ENTRY, _OUTCOME = "entry.json", "outcome.json"


@dataclass(frozen=True)
class Received:
    """One label as a server received it.

    Args:
        folder: where it is kept.
        file: the name of the label file there.
        sha256: of the label file.
        image: the image's id on the server.
        volume: the volume of the run.
        rounds: those that had asked for slices of the volume by then.
        annotator: who sent it; empty where nobody told.
        empty: the slices, counted from 0, of which the sender says that nothing is there, or :data:`ALL`: each that is
            without a label in the file.
        segments: the names of the values 1, 2, ...; None where the values are class numbers, or the file itself names
            them.
        outcome: what became of it; None until it was taken into the run.

    Example:
        >>> Received(Path("0000"), "a.nii.gz", "", "a", "a").path.as_posix()
        '0000/a.nii.gz'
    """

    folder: Path
    file: str
    sha256: str
    image: str
    volume: str
    rounds: tuple[int, ...] = ()
    annotator: str = ""
    empty: tuple[int, ...] | str = ()
    segments: tuple[str, ...] | None = None
    doubt: str = ""
    outcome: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def path(self) -> Path:
        """The label file."""
        return self.folder / self.file

    def calls_empty(self, number: int | None, *, waiting: bool) -> bool:
        """Whether its sender says that nothing is on a slice, if the file holds no label there.

        Args:
            number: the slice, counted from 0.
            waiting: it has no label yet; :data:`ALL` means no others.
        """
        return waiting if isinstance(self.empty, str) else number in self.empty

    def to_json(self) -> dict[str, Any]:
        """The content of ``entry.json``."""
        return {name: value for name, value in vars(self).items() if name not in ("folder", "outcome")}

    def with_outcome(self, outcome: Mapping[str, Any]) -> Received:
        """Record what became of it."""
        write_json(self.folder / _OUTCOME, dict(outcome))
        return replace(self, outcome=outcome)

    def with_empty(self, empty: tuple[int, ...] | str) -> Received:
        """Record what its sender said later of slices without a label."""
        changed = replace(self, empty=empty)
        write_json(self.folder / _ENTRY, changed.to_json())
        return changed


def received(run: Path) -> list[Received]:
    """All labels that were kept, in the order in which they came.

    Args:
        run: the run folder.

    Example:
        >>> received(Path("no/such/run"))
        []
    """
    folders = sorted(path.parent for path in (run / RECEIVED).glob(f"[0-9]*/{_ENTRY}"))
    return [_read(folder) for folder in folders]


def keep(run: Path, label: Path, one: Received) -> Received:
    """Copy a label into the run folder, unless the last one of its image is the same.

    Args:
        run: the run folder.
        label: the file as the server has it.
        one: what is known of it; ``folder``, ``file`` and ``sha256`` are filled in.

    Returns:
        What is kept.

    Raises:
        OSError: the file cannot be read, or nothing can be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as run:
        ...     _ = Path(run, "a.nii.gz").write_bytes(b"voxels")
        ...     came = Received(Path(), "", "", "a", "a", annotator="ada")
        ...     kept = [keep(Path(run), Path(run, "a.nii.gz"), came) for _ in range(2)]
        ...     kept[0] == kept[1], len(received(Path(run)))
        (True, 1)
    """
    before = received(run)
    last = next((other for other in reversed(before) if other.image == one.image), None)
    digest = content_hash(label)
    if last is not None and replace(one, folder=last.folder, file=last.file, sha256=digest) == last:
        return last
    number = 1 + max((int(other.folder.name[:6]) for other in before), default=-1)
    folder = run / RECEIVED / f"{number:06d}_{digest[:8]}"
    suffix = label.name[len(name_without_suffix(label)) :]
    with new_folder(folder) as place:
        copy_stored(label, place / f"label{suffix}")
        kept = replace(one, folder=folder, file=f"label{suffix}", sha256=content_hash(place / f"label{suffix}"))
        write_json(place / _ENTRY, kept.to_json())
    return kept


def empty_slices(told: object) -> tuple[int, ...] | str:
    """What a client says of slices on which nothing is there.

    Args:
        told: a list of slice numbers counted from 0, a text such as ``"3, 7"``, ``"all"`` or True, or nothing.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> empty_slices("3, 7"), empty_slices(True), empty_slices(None)
        ((3, 7), 'all', ())
    """
    if told is None or told is False or told == "":
        return ()
    if told is True or told == ALL:
        return ALL
    if isinstance(told, int):
        return (told,)
    parts = told.replace(",", " ").split() if isinstance(told, str) else told
    try:
        if not isinstance(parts, Sequence):
            raise TypeError(told)
        return tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        raise ValueError(f"empty={told!r} is neither a list of slice numbers, counted from 0, nor {ALL!r}") from None


def _read(folder: Path) -> Received:
    content = dict(read_json(folder / _ENTRY))
    outcome = dict(read_json(folder / _OUTCOME)) if (folder / _OUTCOME).is_file() else None
    empty, segments = content.pop("empty"), content.pop("segments")
    return Received(
        folder,
        **content | {"rounds": tuple(content["rounds"])},
        empty=empty if isinstance(empty, str) else tuple(empty),
        segments=None if segments is None else tuple(segments),
        outcome=outcome,
    )
