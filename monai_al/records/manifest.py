# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run folder held when each round closed, by SHA-256, and what has changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_al.records.files import read_json, write_json
from monai_al.records.open_round import doubts
from monai_al.records.pseudo_labels import PSEUDO_FOLDER, PSEUDO_LABELS
from monai_al.records.query import round_numbers
from monai_al.records.run_folder import RunFolderError

__all__ = ["MANIFEST", "Change", "changed_files", "check_intact", "close_round", "closed_rounds"]

MANIFEST = "manifest.json"
QUERY = "query.json"
_ENCODER = "encoder.json"
_OF_THE_RUN = (
    "run.json", "pool.json", "pool.jsonl", _ENCODER, "warm_start.json", "extension_*.json",
    "test/query.json", "test/labels/*.json", "test/answers/**/*",
)  # fmt: skip
_LATER = ("labels", "answers")  # may come when their round has closed
_CHOSEN = (QUERY, PSEUDO_LABELS, f"{PSEUDO_FOLDER}/**/*")  # for a round, by the round before
_OF_A_ROUND = (*_CHOSEN, "labels/*.json", "answers/**/*", "model_*.pt", "embeddings*.npy", "metrics.json")
_PLACE = ("config", "folder")  # of the encoder: where it lies, which may be written anew
_IN_THE_CACHE = {"sha256": "encoder.pt", "embeddings_sha256": "embeddings.npy"}
DIFFERS, MISSING, UNCLOSED = "differs from what was written", "is missing", "is missing: the round closed without it"
UNEXPECTED = "came after the round had closed"


@dataclass(frozen=True)
class Change:
    """A file that is not as it was written.

    Args:
        file: its path from the run folder, or its whole path where it lies elsewhere.
        what: what is wrong with it.
        round: the round that has to be done again without it; None for a file that belongs to the whole run.

    Example:
        >>> print(Change("round_01/model_0.pt", DIFFERS, 1))
        round_01/model_0.pt: differs from what was written; since round 1
        >>> print(Change("run.json", DIFFERS, None))
        run.json: differs from what was written; since the start
    """

    file: str
    what: str
    round: int | None

    def __str__(self) -> str:
        return f"{self.file}: {self.what}; since {'the start' if self.round is None else f'round {self.round}'}"

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.what == UNEXPECTED:
            return "remove it"
        if self.round is None and Path(self.file).is_absolute():
            return f"restore it, or remove the folder {Path(self.file).parent}, which is then made again"
        if self.round is None:
            return "restore it, or give another output_dir"
        return f"restore it, or remove it with {_name(self.round)} and all later rounds"


def close_round(folder: str | Path, number: int) -> None:
    """Write the manifest of a round that is complete.

    It holds the hash of the manifest before, and those of the round's files and of all other records that no earlier
    manifest lists: returns of labels that came to an earlier round meanwhile, and the query that follows with its
    pseudo labels. The first one also covers ``run.json``, the files of the pool and all rounds that closed without
    one. Equal files give an equal manifest.

    A round that the next one builds on stays closed as it is; until then a following query that was chosen only now
    (since rounds were added, or removed) is taken in.

    Args:
        folder: the run folder.
        number: the round.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(Path(folder) / "round_00" / "metrics.json", {"labeled": 4})
        ...     close_round(folder, 0)
        ...     list(read_json(Path(folder) / "round_00" / "manifest.json")["files"])
        ['round_00/metrics.json']
    """
    folder = Path(folder)
    if _is_begun(folder, number + 1):
        return
    place, follows = folder / _name(number) / MANIFEST, f"{_name(number + 1)}/{QUERY}"
    if place.exists() and _read_manifest(folder, number)["files"].get(follows) == _digest(folder, follows):
        return
    known, _ = _listed(folder, [n for n in closed_rounds(folder) if n < number])
    files = {
        name: _digest(folder, name)
        for name in _recorded(folder, number)
        if name not in known or _round_of(name) == number
    }
    previous = _digest(folder, f"{_name(number - 1)}/{MANIFEST}")
    write_json(place, {"round": number, "previous": previous, "files": files})


def closed_rounds(folder: str | Path) -> list[int]:
    """Numbers of the rounds that have a manifest.

    Example:
        >>> closed_rounds("no/run")
        []
    """
    return [number for number in round_numbers(Path(folder)) if (Path(folder) / _name(number) / MANIFEST).is_file()]


def changed_files(folder: str | Path) -> list[Change]:
    """All files of a run folder that are not as they were written, as far as that can be told.

    What a manifest lists is compared with it. What came since the last one is read: queries, returns of labels and
    weights that cannot be of this run are found, but not every change is.

    Args:
        folder: the run folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(Path(folder) / "round_00" / "metrics.json", {"labeled": 4})
        ...     close_round(folder, 0)
        ...     write_json(Path(folder) / "round_00" / "metrics.json", {"labeled": 5})
        ...     print(*changed_files(folder))
        round_00/metrics.json: differs from what was written; since round 0
    """
    folder = Path(folder)
    closed = closed_rounds(folder)
    last = closed[-1] if closed else -1
    found = [*_missing_manifests(folder, closed), *_broken_chain(folder, closed)]
    listed, is_whole = _listed(folder, closed)
    found += _changed(folder, listed, closed)
    if is_whole and closed:
        found += _unexpected(folder, listed, last)
    found += [Change(*doubt) for doubt in doubts(folder, since=last + 1, known=listed)]
    found += _changed_encoder(folder)
    return list({change.file: change for change in reversed(found)}.values())[::-1]  # the first of each file


def check_intact(folder: str | Path, *, reading: bool = False) -> None:
    """Refuse a run folder in which a file is not as it was written.

    Rounds that closed before there were manifests are taken as they are.

    Args:
        folder: the run folder; one that is not there yet is intact.
        reading: the run is not to go on: weights may be gone, as whoever needs them says so.

    Raises:
        RunFolderError: the message names the file and what to do.

    Example:
        >>> check_intact("no/run")
    """
    found = [change for change in changed_files(folder) if change.what != UNCLOSED]
    if reading:
        found = [change for change in found if not (change.what == MISSING and change.file.endswith(".pt"))]
    if not found:
        return
    first, more = found[0], len(found) - 1
    others = f" ({more} more: python -m monai_al verify {folder})" if more else ""
    raise RunFolderError(f"{Path(folder) / first.file} {first.what}: {first.advice}{others}")


# -- what a folder holds -----------------------------------------------------------------------------------------------


def _name(number: int) -> str:
    return f"round_{number:02d}"


def _is_begun(folder: Path, number: int) -> bool:
    """Whether a round holds more than its query and pseudo labels."""
    place, chosen = folder / _name(number), (QUERY, PSEUDO_LABELS, PSEUDO_FOLDER)
    return place.is_dir() and any(path.name not in chosen and path.name[0] != "." for path in place.iterdir())


def _recorded(folder: Path, last: int) -> list[str]:
    """Paths of the run's records up to a round, and what was chosen for the next, unless that may still be replaced."""
    found = [path for pattern in _OF_THE_RUN for path in folder.glob(pattern)]
    for number in (number for number in round_numbers(folder) if number <= last):
        found += [path for pattern in _OF_A_ROUND for path in (folder / _name(number)).glob(pattern)]
    if last + 1 != _asked_rounds(folder):
        found += [path for pattern in _CHOSEN for path in (folder / _name(last + 1)).glob(pattern)]
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file() and path.name[0] != ".")


def _round_of(name: str) -> int | None:
    first = name.split("/")[0].removeprefix("round_")
    return int(first) if first.isdecimal() else None


def _digest(folder: Path, name: str) -> str | None:
    """SHA-256 of a file; of the encoder's record without where it lies, and None where there is none."""
    path = folder / name
    if not path.is_file():
        return None
    if name != _ENCODER:
        return _sha256(path)
    try:
        content = {key: value for key, value in read_json(path).items() if key not in _PLACE}
    except (AttributeError, ValueError):
        return _sha256(path)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- what has changed --------------------------------------------------------------------------------------------------


def _broken_chain(folder: Path, closed: Sequence[int]) -> Iterator[Change]:
    """Manifests that cannot be read, and those that the manifest after them does not know."""
    for number in closed:
        try:
            previous = _read_manifest(folder, number)["previous"]
        except ValueError as error:
            yield Change(f"{_name(number)}/{MANIFEST}", f"cannot be read ({error})", number)
            continue
        before = f"{_name(number - 1)}/{MANIFEST}"
        now = _digest(folder, before)
        if now != previous:
            yield Change(before, MISSING if now is None else DIFFERS, number - 1)


def _missing_manifests(folder: Path, closed: Sequence[int]) -> Iterator[Change]:
    """Manifests between others, and those of rounds that closed without one."""
    rounds = round_numbers(folder)
    first, last = (closed[0], closed[-1]) if closed else (0, -1)
    for number in range(first, rounds[-1] + 1 if rounds else 0):
        if number in closed:
            continue
        if number < last or _is_begun(folder, number + 1):
            yield Change(f"{_name(number)}/{MANIFEST}", MISSING if closed else UNCLOSED, number)
        elif number + 1 == _asked_rounds(folder) and (folder / _name(number) / "metrics.json").is_file():
            yield Change(f"{_name(number)}/{MANIFEST}", UNCLOSED, number)


def _listed(folder: Path, closed: Sequence[int]) -> tuple[dict[str, tuple[str, int]], bool]:
    """Path -> hash and the round whose manifest lists it; and whether all manifests could be read."""
    listed: dict[str, tuple[str, int]] = {}
    is_whole = True
    for number in closed:
        try:
            files = _read_manifest(folder, number)["files"]
        except ValueError:
            is_whole = False
        else:
            listed |= {name: (digest, number) for name, digest in files.items()}
    return listed, is_whole


def _changed(folder: Path, listed: Mapping[str, tuple[str, int]], closed: Sequence[int]) -> Iterator[Change]:
    """Listed files that are missing or differ. A last query whose round was removed as a whole is chosen again."""
    following = closed[-1] + 1 if closed else 0
    for name, (digest, number) in listed.items():
        now = _digest(folder, name)
        if now is None and _round_of(name) == following and not (folder / _name(following)).is_dir():
            continue
        if now != digest:
            since = _first_round(name, number, covers_all=number == closed[0])
            yield Change(name, MISSING if now is None else DIFFERS, since)


def _first_round(name: str, listed_by: int, *, covers_all: bool) -> int | None:
    """The first round that used a file: its own, or for what came later the one whose manifest lists it."""
    if name in ("run.json", "pool.json", "pool.jsonl"):
        return None
    own = _round_of(name)
    if own is None:
        return 0 if covers_all else listed_by
    return listed_by if _is_late(name) and not covers_all else own


def _unexpected(folder: Path, listed: Collection[str], last: int) -> Iterator[Change]:
    """Records of closed rounds that no manifest lists, and that are no returns of labels."""
    for name in _recorded(folder, last):
        own = _round_of(name)
        if own is not None and own <= last and name not in listed and not _is_late(name):
            yield Change(name, UNEXPECTED, own)


def _is_late(name: str) -> bool:
    return name.split("/")[1] in _LATER


def _changed_encoder(folder: Path) -> Iterator[Change]:
    """What lies in the cache: the pretrained encoder and its embeddings, where they are there."""
    if not (folder / _ENCODER).is_file():
        return
    try:
        record = read_json(folder / _ENCODER)
        places = {key: Path(record["folder"]) / name for key, name in _IN_THE_CACHE.items() if key in record}
    except (KeyError, TypeError, ValueError) as error:
        yield Change(_ENCODER, f"cannot be read ({error})", 0)
        return
    for key, path in places.items():
        if path.is_file() and _sha256(path) != record[key]:
            yield Change(str(path), DIFFERS, None)


def _read_manifest(folder: Path, number: int) -> Mapping[str, Any]:
    content = read_json(folder / _name(number) / MANIFEST)
    if not (isinstance(content, dict) and isinstance(content.get("files"), dict) and "previous" in content):
        raise ValueError("it lists no files")
    return content


def _asked_rounds(folder: Path) -> int | None:
    files = sorted(folder.glob("extension_*.json")) or [folder / "run.json"]
    try:
        return len(read_json(files[-1])["sizes"])
    except (KeyError, OSError, TypeError, ValueError):
        return None
