# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a folder holds before a run starts in it: nothing, somebody else's files, or what may be dropped."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from monai_al.records.files import read_json
from monai_al.records.labels import ORACLE, is_oracle

__all__ = ["drop_beginning", "foreign_entries", "is_beginning"]

# what runs, MONAI's tracking and our own caches leave in a folder before there is a run.json, or beside it
_OURS = re.compile(
    r"round_\d+|test|extension_\d+\.json|(pool|encoder|warm_start|process)\.json|pool\.jsonl|curve\.csv|log\.txt|report|annotate|cache|phantom.*|"
    r"config_\d+_\d+\.json|mlruns.*|tensorboard|events\.out\.tfevents.*|models"
)
_OF_A_CACHE = "images/*/geometry.json"
_WORTH = ("round_*/model_*.pt", "round_*/metrics.json", "round_*/manifest.json", "annotate/*")
# what a start may have written until then; all else is somebody's. In this order a removal that is killed
# leaves no answer without its query, and no run.json without its pool.json
_WRITTEN = (
    *(f"round_[0-9]*/{name}" for name in ("timings.json", "labels/[0-9]*.json")),
    *(f"round_[0-9]*/answers/[0-9]*/{name}" for name in ("[0-9]*.nii.gz", "returned/[0-9]*/[0-9]*.nii.gz")),
    *("test/labels/[0-9]*.json", "test/query.json"),
    *(f"round_[0-9]*/{name}" for name in ("pseudo.json", "pseudo/*", "query.json")),
    *(f"report/{name}" for name in ("index.html", "learning_curve.png", "embedding_map.png", "restoration.png")),
    *(f"report/{name}" for name in ("cost_curve.png", "round_*_item_*.png", "test_*.png")),
    "curve.csv", "extension_*.json", "encoder.json", "warm_start.json", "run.json", "pool.json", "pool.jsonl",
)  # fmt: skip
_FOLDERS = (  # of these files, the inner ones first
    *(f"round_[0-9]*/answers/{name}" for name in ("[0-9]*/returned/[0-9]*", "[0-9]*/returned", "[0-9]*")),
    *("round_[0-9]*/*", "round_[0-9]*", "test/*", "test", "report"),
)


def foreign_entries(path: Path) -> list[str]:
    """Names in a folder that no run wrote, where it is no run folder; hidden ones do not count.

    Args:
        path: the folder, which need not exist.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("thesis.docx", ".DS_Store", "log.txt"):
        ...         _ = (Path(folder) / name).write_text("")
        ...     foreign_entries(Path(folder))
        ['thesis.docx']
    """
    if not path.is_dir() or (path / "run.json").exists() or (path / ".lock").exists():
        return []
    visible = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    return [entry.name for entry in visible if not _OURS.fullmatch(entry.name) and not _is_ours(entry)]


def _is_ours(entry: Path) -> bool:
    """Whether an entry is another run, a cache, or a part of a cache that is the folder itself."""
    a_part = entry.name in ("images", "labels") and next(entry.parent.glob(_OF_A_CACHE), None) is not None
    return a_part or (entry / "run.json").exists() or next(entry.glob(_OF_A_CACHE), None) is not None


def is_beginning(path: Path) -> bool:
    """Whether a run folder holds no model, and no query that a person was handed: nothing that anybody could miss.

    Args:
        path: the run folder.

    Example:
        >>> is_beginning(Path("no/such/folder"))
        True
    """
    if any(next(path.glob(kind), None) for kind in _WORTH):  # also of a run whose models were removed to save space
        return False
    places = ("round_*", "test")
    if not any(next(path.glob(f"{place}/query.json"), None) for place in places):
        return True
    record = path / "run.json"
    answers = (file for place in places for file in path.glob(f"{place}/labels/[0-9]*.json"))
    return record.exists() and all(is_oracle(read_json(file).get("annotator", ORACLE)) for file in (record, *answers))


def drop_beginning(path: Path) -> None:
    """Remove the files that a start wrote, in an order in which a killed removal is done again.

    Nothing else is touched: files of other names stay, and so do the folders that hold them.

    Args:
        path: the run folder, which holds a ``run.json`` and for which :func:`is_beginning` holds.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("run.json", "curve.csv", "notes.txt"):
        ...         _ = (Path(folder) / name).write_text("{}")
        ...     drop_beginning(Path(folder))
        ...     [entry.name for entry in Path(folder).iterdir()]
        ['notes.txt']
    """
    for file in [file for kind in _WRITTEN for file in path.glob(kind) if file.is_file()]:
        file.unlink()
    for folder in [folder for kind in _FOLDERS for folder in path.glob(kind)]:
        if folder.is_dir():
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
