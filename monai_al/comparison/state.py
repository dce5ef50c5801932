# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How far a run of a comparison is, from its files."""

from __future__ import annotations

from pathlib import Path

from monai_al.comparison.config import PlannedRun
from monai_al.data import RunFolder, config_hash
from monai_al.data.files import read_json

__all__ = ["asked_for", "asked_otherwise", "beside", "is_done", "rounds_done"]

_PLACES = {"cache_dir", "dataset_dir", "device", "num_workers"}  # may differ without making it another run


def rounds_done(folder: str | Path) -> int:
    """How many rounds of a run are evaluated.

    Example:
        >>> rounds_done("no/such/folder")
        0
    """
    return len(list(Path(folder).glob("round_*/metrics.json")))


def is_done(folder: str | Path) -> bool:
    """Whether a run folder holds all rounds that were asked for.

    Example:
        >>> is_done("no/such/folder")
        False
    """
    run = RunFolder(folder)
    return (run.path / "run.json").exists() and rounds_done(folder) == len(run.sizes())


def asked_otherwise(run: PlannedRun) -> bool:
    """Whether a run was done with other configs or options than it would be now, as far as that is recorded.

    Example:
        >>> asked_otherwise(PlannedRun("random", 0, Path("no/such/folder"), (), {"seed": 0}))
        False
    """
    record = beside(run, ".done.json")
    return record.exists() and read_json(record) != asked_for(run)


def asked_for(run: PlannedRun) -> dict[str, str]:
    """What tells a run from one with other configs or options.

    Example:
        >>> runs = [PlannedRun("a", 0, Path("a"), ("al.yaml",), {"steps": steps}) for steps in (3, 3, 4)]
        >>> asked_for(runs[0]) == asked_for(runs[1]), asked_for(runs[0]) == asked_for(runs[2])
        (True, False)
    """
    files = [*run.config_files, Path(run.config_files[0]).with_name("train.yaml")]
    texts = [Path(file).read_text(encoding="utf-8") for file in files if Path(file).is_file()]
    return {"asked": config_hash([texts, {id: run.options[id] for id in run.options if id not in _PLACES}])}


def beside(run: PlannedRun, suffix: str) -> Path:
    """A file of a run that lies beside its folder.

    Example:
        >>> beside(PlannedRun("a", 0, Path("a/seed_0"), (), {}), ".log").as_posix()
        'a/seed_0.log'
    """
    return run.folder.with_name(f"{run.folder.name}{suffix}")
