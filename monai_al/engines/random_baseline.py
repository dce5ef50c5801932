# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run of random queries that another run can be looked at beside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_al.records import DataError, RunFolder
from monai_al.records.files import read_json
from monai_al.records.identity import pool_difference
from monai_al.records.pool_file import read_pool

__all__ = ["random_baseline"]

_RANDOM = ("random", "patient-stratified random")
_OF_THE_CHOICE = ("strategy", "strategy_settings", "initial_set", "encoder")


def random_baseline(run: RunFolder, named: str | Path | None = None) -> RunFolder | None:
    """The run that is the baseline of another: the one that is named, else one of random queries that lies beside it.

    Beside a run lie the folders of its own folder; in a comparison, the runs of the same seed. A run that is found has
    the same pool, seed, training and evaluation, and differs in what was chosen alone.

    Args:
        run: the run.
        named: folder of the baseline.

    Raises:
        DataError: the one that is named is no run, has no evaluated round, or has another pool.

    Example:
        >>> print(random_baseline(RunFolder("no/such/run")))
        None
    """
    if named is not None:
        return _checked(run, RunFolder(Path(named).expanduser()))
    if _record(run).get("strategy") in (None, *_RANDOM):
        return None
    return next(_beside(run), None)


def _checked(run: RunFolder, other: RunFolder) -> RunFolder:
    if not _record(other):
        raise DataError(f"--baseline {other.path}: no run folder, it holds no run.json; give the output_dir of a run")
    if not other.curve():
        raise DataError(f"--baseline {other.path}: none of its rounds is evaluated yet")
    if pool_difference(_pool(run), _pool(other)) is not None:
        raise DataError(f"--baseline {other.path}: it has another pool than {run.path}; give a run on the same items")
    return other


def _beside(run: RunFolder) -> Iterator[RunFolder]:
    """Paired runs of random queries in the folder of a run, and those of its seed in a comparison."""
    folder = run.path.resolve()
    of_its_seed = folder.parent.parent.glob(f"*/{folder.name}/run.json") if folder.name.startswith("seed_") else ()
    for path in sorted({place.parent for place in (*folder.parent.glob("*/run.json"), *of_its_seed)} - {folder}):
        with contextlib.suppress(ValueError, OSError):  # what lies there is somebody else's
            other = RunFolder(path)
            if _record(other).get("strategy") in _RANDOM and _is_paired(run, other) and other.curve():
                yield other


def _is_paired(run: RunFolder, other: RunFolder) -> bool:
    """Whether two runs differ in nothing but in what was chosen."""
    mine, its = (_without_choice(_record(one)) for one in (run, other))
    return mine == its and pool_difference(_pool(run), _pool(other)) is None


def _without_choice(record: Mapping[str, Any]) -> dict[str, Any]:
    config = record.get("config") or {}
    learner = {key: value for key, value in (config.get("learner") or {}).items() if key not in _OF_THE_CHOICE}
    return {**config, "learner": learner, "seed": record.get("seed")}


def _record(run: RunFolder) -> dict[str, Any]:
    return read_json(run.path / "run.json") if (run.path / "run.json").is_file() else {}


def _pool(run: RunFolder) -> dict[str, Any]:
    return read_pool(run.path)
