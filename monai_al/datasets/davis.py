# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""DAVIS 2016: videos with one object each; a video counts as a volume, a frame as a slice.

Perazzi et al., CVPR 2016. CC BY-NC 4.0.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from monai_al.data.folder_volumes import picture_files
from monai_al.data.natural_order import natural_key
from monai_al.datasets.cases import complete
from monai_al.datasets.files import Pair, existing_folder, pool_of, shortened
from monai_al.datasets.parts import check_patients, in_parts
from monai_al.records import DataError, Pool, rng

__all__ = ["davis"]

FRAMES, MASKS = Path("JPEGImages", "480p"), Path("Annotations", "480p")
LISTS = (Path("ImageSets", "480p"), Path("ImageSets", "2016"))
CLASSES = ("background", "object")


@dataclass(frozen=True)
class _Listed:
    """The sequences of a list, with the frames that it names."""

    train: dict[str, list[str]]
    val: dict[str, list[str]]

    @property
    def frames(self) -> dict[str, list[str]]:
        return self.train | self.val


def davis(
    root: str | os.PathLike,
    *,
    sequences: Sequence[str] | None = None,
    validation: float = 0.25,
    seed: int = 0,
    item: str = "slice",
    require_labels: bool = True,
    skip_incomplete: bool = False,
) -> Pool:
    """The frames ``JPEGImages/480p/<sequence>/00000.jpg`` with their masks ``Annotations/480p/<sequence>/00000.png``.

    A sequence is a volume, and a patient where one is needed; frames are RGB and lie along the third axis. Every object
    is foreground: a mask holds 0 and 255, palette indices (above 0), or three equal channels. There is no voxel size.

    ``ImageSets/480p/train.txt`` and ``val.txt`` say which sequences there are, one name or one frame a line: those of
    ``train.txt`` may be annotated, those of ``val.txt`` are the test part, but for a seeded share for validation.
    Without these files all sequences may be annotated, and :func:`split_by_patient` draws the parts.

    Args:
        root: the folder that holds ``JPEGImages``, or the one above it.
        sequences: names, to take these alone.
        validation: share of the sequences of ``val.txt`` that are the validation part, in [0, 1); 5 of 20 by default.
        seed: which of them.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes sequences without any mask, for a pool that is still to be annotated.
        skip_incomplete: leave out sequences in which a frame or mask is missing, and name them in the notes, instead of
            raising.

    Raises:
        DataError: the folder is missing or is not this data set's, a sequence is not there or is in both lists, frames
            and masks differ in number or names, or a listed frame is not there; all such sequences are listed.
        ValueError: ``validation`` is out of range.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for folder, mode, suffix in ((FRAMES, "RGB", "jpg"), (MASKS, "L", "png")):
        ...         Path(root, folder, "bear").mkdir(parents=True)
        ...         for number in range(2):
        ...             Image.new(mode, (8, 6)).save(Path(root, folder, "bear", f"{number:05d}.{suffix}"))
        ...     [item.id for item in davis(root)]
        ['bear/0000', 'bear/0001']
    """
    if not 0 <= validation < 1:
        raise ValueError(f"validation must lie in [0, 1), got {validation}")
    folder = _home(existing_folder(root))
    there = _sequences(folder)
    listed = _lists(folder)
    if sequences is not None:
        check_patients(sequences, there, "sequences")
    wanted = sequences if sequences is not None else there if listed is None else listed.frames
    chosen = sorted(dict.fromkeys(wanted), key=natural_key)
    pairs = []
    problems: dict[str, str] = {}
    for name in chosen:
        problem = _problem(folder, name, listed.frames.get(name, []) if listed else [], require_labels)
        if problem:
            problems[name] = problem
        else:
            label = folder / MASKS / name
            pairs.append(Pair(folder / FRAMES / name, label if _pictures_of(label) else None, name, name))
    notes = _notes(listed, sorted(set(there) - set(chosen), key=natural_key))
    notes += complete(folder, problems, skip_incomplete)
    pool = pool_of(pairs, item=item, classes=CLASSES, root=folder, notes=notes, placeholder_spacing=True)
    scored = [name for name in pool.patients if listed and name in listed.val]
    return in_parts(pool, _parts(scored, validation, seed))


def _home(root: Path) -> Path:
    places = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    found = [place for place in places if (place / FRAMES).is_dir()]
    if len(found) != 1:
        several = f": one of {shortened(found)}" if found else ""
        raise DataError(
            f"{root}: holds {len(found)} folders with {FRAMES.as_posix()}, expected one; give the folder DAVIS{several}"
        )
    return found[0]


def _sequences(folder: Path) -> list[str]:
    """The names of all sequences that have a folder of frames or of masks."""
    places = (path for part in (FRAMES, MASKS) if (folder / part).is_dir() for path in (folder / part).iterdir())
    names = {path.name for path in places if path.is_dir() and path.name[0] not in "._"}
    return sorted(names, key=natural_key)


def _pictures_of(folder: Path) -> list[Path]:
    """The pictures of a folder, none where it is not there."""
    return picture_files(folder) if folder.is_dir() else []


# --- lists -----------------------------------------------------------------------------------------------------------


def _lists(folder: Path) -> _Listed | None:
    place = next((folder / part for part in LISTS if any((folder / part).glob("*.txt"))), None)
    if place is None:
        return None
    train, val = (_listed_frames(place / f"{part}.txt") for part in ("train", "val"))
    both = sorted(set(train) & set(val))
    if both:
        raise DataError(f"{place}: {shortened(both)} stand in train.txt and in val.txt; a sequence belongs to one part")
    if not train and not val:
        raise DataError(f"{place}: train.txt and val.txt name no sequence; copy them again, or remove them")
    return _Listed(train, val)


def _listed_frames(path: Path) -> dict[str, list[str]]:
    """Sequence -> names of its frames, none where a line is the name of a sequence."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else ():
        if line.strip():
            frame = PurePosixPath(line.split()[0])
            if len(frame.parts) == 1:
                found.setdefault(frame.name, [])
            else:
                found.setdefault(frame.parent.name, []).append(frame.stem)
    return found


def _parts(scored: Iterable[str], validation: float, seed: int) -> dict[str, str]:
    names = sorted(scored)
    count = round(validation * len(names))
    chosen = {names[k] for k in rng(seed, 0, "split").permutation(len(names))[:count]}
    return {name: "validation" if name in chosen else "test" for name in names}


def _notes(listed: _Listed | None, left_out: Sequence[str]) -> list[str]:
    notes = ["Videos have no voxel size: distances count pixels."]
    if listed is None:
        notes.append("There is no ImageSets/480p/train.txt or val.txt: any sequence may be annotated.")
    return notes + ([f"{len(left_out)} other sequences are left out: {shortened(left_out)}."] if left_out else [])


# --- frames ----------------------------------------------------------------------------------------------------------


def _problem(folder: Path, name: str, listed: Iterable[str], require_labels: bool) -> str | None:
    """What is missing in a sequence."""
    frames = [path.stem for path in _pictures_of(folder / FRAMES / name)]
    masks = [path.stem for path in _pictures_of(folder / MASKS / name)]
    gone = sorted(set(listed) - set(frames), key=natural_key)
    if not frames:
        return f"{name}: there are no frames in {folder / FRAMES / name}"
    if gone:
        return f"{name}: {len(gone)} frames of the list are not there: {shortened(gone)}"
    if frames == masks or (not masks and not require_labels):
        return None
    frame, mask = next((f, m) for f, m in zip_longest(frames, masks) if f != m)
    first = min((one for one in (frame, mask) if one is not None), key=natural_key)
    what = "has no mask" if first == frame else "is a mask without a frame"
    return f"{name}: {len(frames)} frames and {len(masks)} masks; the first that differs is {first}, which {what}"
