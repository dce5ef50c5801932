# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How far a run of a comparison is, from its files."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from monai_al.comparison.config import PlannedRun
from monai_al.records import RunFolder, config_hash
from monai_al.records.files import read_json

__all__ = ["asked_for", "asked_otherwise", "beside", "is_done", "rounds_done"]

_PLACES = {
    "cache_dir",
    "dataset_dir",
    "device",
    "num_workers",
    "share_first_model",
}  # may differ without making it another run
_FILE_IDS = ("training_config", "train_overlays", "encoder", "encoder_overlays")
_TAKEN_FROM = re.compile(r"""%([^\s'"#:%]+\.(?:json|ya?ml))""")


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
    named = _named_files(run, texts)
    if named["train_overlays"]:
        asked["train_overlays"] = config_hash(_texts(named["train_overlays"]))
    others = [file for id in _FILE_IDS if id != "train_overlays" for file in named[id]]
    if others:
        asked["named"] = config_hash(_texts(others))
    return asked


def _named_files(run: PlannedRun, texts: Sequence[str]) -> dict[str, list[Path]]:
    """The files that a run's configs and options name, as the loop finds them: of trainings, encoders and overlays."""
    names: dict[str, list[str]] = {id: [] for id in _FILE_IDS}
    for entries in (*map(_said_of_files, texts[: len(run.config_files)]), run.options.items()):
        for id, value in entries:
            if id.lstrip("+") in names and value is not None:
                own = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
                names[id.lstrip("+")] = [*(names[id[1:]] if id.startswith("+") else ()), *map(str, own)]
    if not any(names.values()):
        return {id: [] for id in names}
    from monai_al.bundle import RunningBundle
    from monai_al.bundle.running_bundle import bundle_root
    from monai_al.bundle.workflow_file import file_and_class

    bundle = RunningBundle(bundle_root(Path(run.config_files[0])), {})
    return {id: [file_and_class(bundle.file(name))[0] for name in own] for id, own in names.items()}


def _texts(files: Sequence[Path]) -> list[str]:
    """What the files hold, and the files that they take parts from (``%file.yaml#id``)."""
    waiting, found = list(dict.fromkeys(files)), []
    for file in waiting:
        if file.is_file():
            found.append(file.read_text(encoding="utf-8"))
            waiting += [path for path in map(Path, _TAKEN_FROM.findall(found[-1])) if path not in waiting]
    return found


@functools.lru_cache(maxsize=256)
def _said_of_files(config: str) -> tuple[tuple[str, Any], ...]:
    """What the text of a config says of other configs."""
    try:
        content = yaml.safe_load(config)
    except yaml.YAMLError:
        return ()  # the run tells what is wrong with it
    if not isinstance(content, dict):
        return ()
    return tuple((id, content[id]) for id in content if str(id).lstrip("+") in _FILE_IDS)


def beside(run: PlannedRun, suffix: str) -> Path:
    """A file of a run that lies beside its folder.

    Example:
        >>> beside(PlannedRun("a", 0, Path("a/seed_0"), (), {}), ".log").as_posix()
        'a/seed_0.log'
    """
    return run.folder.with_name(f"{run.folder.name}{suffix}")
