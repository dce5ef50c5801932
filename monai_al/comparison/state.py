# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How far a run of a comparison is, from its files."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from monai_al.comparison.config import PlannedRun
from monai_al.records import RunFolder, config_hash
from monai_al.records.files import read_json

__all__ = ["asked_for", "asked_otherwise", "beside", "is_done", "rounds_done"]

_PLACES = {"cache_dir", "dataset_dir", "device", "num_workers"}  # may differ without making it another run
_OVERLAY_IDS = ("train_overlays", "+train_overlays")


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
    return RunFolder(folder).is_done()


def asked_otherwise(run: PlannedRun) -> bool:
    """Whether a run was done with other configs or options than it would be now, as far as that is recorded.

    Example:
        >>> asked_otherwise(PlannedRun("random", 0, Path("no/such/folder"), (), {"seed": 0}))
        False
    """
    record = beside(run, ".done.json")
    if not record.exists():
        return False
    asked = asked_for(run)
    return any(asked.get(key) != value for key, value in read_json(record).items())


def asked_for(run: PlannedRun) -> dict[str, str]:
    """What tells a run from one with other configs or options.

    Example:
        >>> runs = [PlannedRun("a", 0, Path("a"), ("al.yaml",), {"steps": steps}) for steps in (3, 3, 4)]
        >>> asked_for(runs[0]) == asked_for(runs[1]), asked_for(runs[0]) == asked_for(runs[2])
        (True, False)
    """
    files = [*run.config_files, Path(run.config_files[0]).with_name("train.yaml")]
    texts = [Path(file).read_text(encoding="utf-8") for file in files if Path(file).is_file()]
    asked = {"asked": config_hash([texts, {id: run.options[id] for id in run.options if id not in _PLACES}])}
    overlays = _train_overlays(run, texts)
    if overlays:
        laid_over = [file.read_text(encoding="utf-8") for file in overlays if file.is_file()]
        asked["train_overlays"] = config_hash(laid_over)
    return asked


def _train_overlays(run: PlannedRun, texts: Sequence[str]) -> list[Path]:
    """The files that are laid over the training config, as the loop finds them."""
    names: list[str] = []
    for entries in (*map(_said_of_overlays, texts[: len(run.config_files)]), run.options.items()):
        for id, value in entries:
            if id in _OVERLAY_IDS and isinstance(value, (list, tuple)):
                names = [*(names if id.startswith("+") else ()), *map(str, value)]
    if not names:
        return []
    from monai_al.bundle import RunningBundle
    from monai_al.bundle.running_bundle import bundle_root

    bundle = RunningBundle(bundle_root(Path(run.config_files[0])), {})
    return [bundle.file(name) for name in names]


@functools.lru_cache(maxsize=256)
def _said_of_overlays(config: str) -> tuple[tuple[str, Any], ...]:
    """What the text of a config says of the training's overlays."""
    try:
        content = yaml.safe_load(config)
    except yaml.YAMLError:
        return ()  # the run tells what is wrong with it
    return tuple((id, content[id]) for id in content if id in _OVERLAY_IDS) if isinstance(content, dict) else ()


def beside(run: PlannedRun, suffix: str) -> Path:
    """A file of a run that lies beside its folder.

    Example:
        >>> beside(PlannedRun("a", 0, Path("a/seed_0"), (), {}), ".log").as_posix()
        'a/seed_0.log'
    """
    return run.folder.with_name(f"{run.folder.name}{suffix}")
