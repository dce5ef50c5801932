# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the runs of a seed are pairs: that they differ in what was chosen, and in nothing else."""

from __future__ import annotations

import filecmp
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_al.comparison.config import Comparison, PlannedRun
from monai_al.data import DataError, RunFolder
from monai_al.data.files import read_json

__all__ = ["check_pairs"]

_OF_STRATEGY = {"strategy", "strategy_settings", "seed"}
_ALWAYS_SAME = {"empty_policy"}  # scores under two rules are no scores of one kind
_SCORES = ("dice_3d", "dice_2d", "hd95_3d")
_MISSING = object()


@dataclass
class _Found:
    """What is worth telling of pairs that are accepted."""

    own_training: dict[str, set[str]] = field(default_factory=dict)
    first_models: list[float] = field(default_factory=list)

    def notes(self) -> list[str]:
        told = [
            f"{name} trains in a way of its own ({', '.join(sorted(ids))}): it differs from the first round on."
            for name, ids in self.own_training.items()
        ]
        apart = [difference for difference in self.first_models if difference]
        if apart:
            told.append(
                f"The first models of {len(apart)} of {len(self.first_models)} runs are not those of their partners, "
                f"though they were trained alike (largest difference {max(apart):.1e}): a GPU may do that, a CPU not."
            )
        return told


class _Done:
    """A run that is done, with what is recorded of it."""

    def __init__(self, comparison: Comparison, run: PlannedRun) -> None:
        self.run = run
        self.path = run.folder
        self.folder = RunFolder(run.folder)
        self.record = read_json(run.folder / "run.json")
        self.is_everything = run.name == comparison.everything
        self.own = comparison.runs[run.name]
        self.labeled = [row["labeled"] for row in self.folder.curve()]
        self.settings = dict(_settings(self.record.get("config") or {}))

    @property
    def initial(self) -> tuple[str, ...]:
        query = self.folder.query(0)
        return query.ids if query else ()

    @property
    def on_cpu(self) -> bool:
        torch = str((self.record.get("versions") or {}).get("torch"))
        return str((self.record.get("places") or {}).get("device")) == "cpu" or torch.endswith("+cpu")

    @functools.cached_property
    def declared(self) -> set[str]:
        return _declared(self)


def check_pairs(comparison: Comparison, runs: Sequence[PlannedRun]) -> list[str]:
    """Hold the runs that are done to being pairs.

    Runs of one seed must have the same initial set, labeled items per round, pool (ids, splits and the content of its
    files), threads, versions and settings, except for settings that overlays or options of their own set. Where all
    settings of the training are the same, the model of round 0 must be, too: that of a CPU to the bit, that of a GPU is
    reported. The run on everything has an initial set, rounds and a first model of its own. All runs must have the
    same number of rounds.

    Args:
        comparison: what is compared.
        runs: those that are done.

    Returns:
        Sentences about what differs and may.

    Raises:
        DataError: two runs are no pair; the message names both folders and what differs.

    Example:
        >>> check_pairs(Comparison("a", "al.yaml"), [])
        []
    """
    found, by_seed = _Found(), {}
    first: _Done | None = None
    for run in runs:
        own = _Done(comparison, run)
        others: list[_Done] = by_seed.setdefault(run.seed, [])
        _check_seed(own)
        for what, other in _differences(own, others, found):
            raise DataError(
                f"{run.name} and {other.run.name} of seed {run.seed} differ in {what}, so they cannot be compared "
                f"({own.path} and {other.path})"
            )
        others.append(own)
        if own.is_everything:
            continue
        first = first or own
        if len(own.labeled) != len(first.labeled):
            raise DataError(
                f"{own.path} holds {len(own.labeled)} rounds and {first.path} {len(first.labeled)}: they must agree"
            )
    return found.notes()


def _check_seed(own: _Done) -> None:
    seed = own.record.get("seed", own.run.seed)
    if seed != own.run.seed:
        raise DataError(f"{own.path} holds a run of seed {seed}: it is no run of seed {own.run.seed}; move it away")


def _differences(own: _Done, others: Sequence[_Done], found: _Found) -> Iterator[tuple[str, _Done]]:
    """What makes a run no partner of those of its seed, the first thing of each."""
    for other in others[:1]:  # these are the same for all others
        for key in ("threads", "versions"):
            yield from ((what, other) for what in _of_record(own, other, key))
        difference = _of_pools(own.path / "pool.json", other.path / "pool.json")
        if difference:
            yield f"their pool: {difference}", other
    strategies = [other for other in others if not other.is_everything and not own.is_everything]
    for other in strategies[:1]:
        if own.initial != other.initial:
            yield "their initial set", other
        if own.labeled != other.labeled:
            yield "the labeled items of their rounds", other
    for other in others:
        yield from ((what, other) for what in _of_settings(own, other, found))
    twin = next((other for other in strategies if other.settings == own.settings), None)
    if twin is not None:
        yield from ((what, twin) for what in _of_first_models(own, twin, found))


def _of_record(own: _Done, other: _Done, key: str) -> Iterator[str]:
    ours, theirs = own.record.get(key), other.record.get(key)
    if ours == theirs:
        return
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        name = next(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
        yield f"their {key}: {name} {ours.get(name)} and {theirs.get(name)}"
    else:
        yield f"their {key}: {ours} and {theirs}"


# -- pools -------------------------------------------------------------------------------------------------------------


def _of_pools(own: Path, other: Path) -> str | None:
    if not (own.exists() and other.exists()) or filecmp.cmp(own, other, shallow=False):
        return None
    ours, theirs = read_json(own), read_json(other)
    for key in ("classes", "label_values"):
        if ours.get(key) != theirs.get(key):
            return f"{key} {ours.get(key)} and {theirs.get(key)}"
    ours, theirs = _items(ours), _items(theirs)
    for id in {**ours, **theirs}:
        if (id in ours) != (id in theirs):
            return f"only one of them holds the item {id!r}"
        for key, value in ours[id].items():
            if value != theirs[id][key]:
                return f"the {key} of the item {id!r}"
    return None if list(ours) == list(theirs) else "the order of its items"


def _items(pool: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Id -> what is told of an item, its files by their content."""
    files = pool.get("files", {})
    kept = ("volume", "patient", "slice", "split")
    return {
        item["id"]: {key: item.get(key) for key in kept}
        | {f"content of the {key}": files.get(item.get(key), item.get(key)) for key in ("image", "label")}
        for item in pool["items"]
    }


# -- settings ----------------------------------------------------------------------------------------------------------


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    """(part, id) -> value, of all that decides a training and its evaluation."""
    for part in ("learner", "training"):
        yield from (((part, id), value) for id, value in config.get(part, {}).items() if id not in _OF_STRATEGY)


def _of_settings(own: _Done, other: _Done, found: _Found) -> Iterator[str]:
    apart = [
        key
        for key in {**own.settings, **other.settings}
        if own.settings.get(key, _MISSING) != other.settings.get(key, _MISSING)
    ]
    if not apart:
        return
    for key in apart:
        id = key[1].removesuffix("_settings")
        declaring = [run for run in (own, other) if id in run.declared]
        if id in _ALWAYS_SAME or not declaring:
            values = [_short(run.settings.get(key, _MISSING)) for run in (own, other)]
            why = "" if id in _ALWAYS_SAME else ", which neither's own overlays or options set"
            yield f"their {id} ({values[0]} and {values[1]}){why}"
            return
        for run in declaring:
            found.own_training.setdefault(run.run.name, set()).add(id)


def _declared(done: _Done) -> set[str]:
    """The ids that a run's own overlays and options set, in the loop's config or the training's."""
    from monai.bundle import ConfigParser

    from monai_al.bundle import RunningBundle
    from monai_al.bundle.knobs import targets_of

    def ids_in(file: str | Path) -> set[str]:
        return {_first(id) for id in ConfigParser.load_config_file(str(file))}

    ids = {_first(id) for id in done.own.get("options", ())}
    ids = ids.union(*(ids_in(file) for file in done.own.get("overlays", ())))
    command = done.record.get("command") or {}
    training = (done.record.get("config") or {}).get("training", {})
    parser, knobs = ConfigParser(dict(training)), command.get("train_map")
    knobs = knobs if isinstance(knobs, Mapping) else None
    ids |= {_first(id) for knob in tuple(ids) for id in targets_of(knob, parser, knobs)}
    if "train_overlays" in ids:
        bundle = RunningBundle(Path((done.record.get("places") or {}).get("bundle_root", ".")), {})
        files = [bundle.file(name) for name in command.get("train_overlays") or ()]
        is_there = all(file.is_file() for file in files)
        ids = ids.union(*map(ids_in, files)) if is_there else ids | set(training)
    return ids


def _first(id: str) -> str:
    """The top-level id that an override changes."""
    return id.lstrip("+~").replace("::", "#").split("#")[0]


def _short(value: Any) -> str:
    text = "nothing" if value is _MISSING else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- first models ------------------------------------------------------------------------------------------------------


def _of_first_models(own: _Done, other: _Done, found: _Found) -> Iterator[str]:
    """Models that were trained alike on the same items must be the same."""
    difference = _distance(own.folder, other.folder)
    if difference and (difference == float("inf") or own.on_cpu and other.on_cpu):
        yield "their first model, though they were trained alike: do both on the same machine, with the same code"
    found.first_models.append(difference)


def _distance(own: RunFolder, other: RunFolder) -> float:
    """The largest difference of two weights of round 0; of scores where models are not there."""
    ours, theirs = ({path.name: path for path in run.round_path(0).glob("model_*.pt")} for run in (own, other))
    if not ours or not theirs:
        scores = [{name: (run.metrics(0) or {}).get(name) for name in _SCORES} for run in (own, other)]
        return _largest(*scores)
    if ours.keys() != theirs.keys():
        return float("inf")
    return max(_between(path, theirs[name]) for name, path in ours.items())


def _between(own: Path, other: Path) -> float:
    import torch

    if filecmp.cmp(own, other, shallow=False):
        return 0.0
    ours, theirs = (torch.load(path, map_location="cpu", weights_only=True)["model"] for path in (own, other))
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        return float("inf")
    return max((float((ours[k].double() - theirs[k].double()).abs().max()) for k in ours if ours[k].numel()), default=0)


def _largest(ours: Any, theirs: Any) -> float:
    """The largest difference of two numbers at the same place, 1 where only one is defined, infinite elsewhere."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping) and ours.keys() == theirs.keys():
        return max((_largest(ours[key], theirs[key]) for key in ours), default=0.0)
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return float(abs(ours - theirs))
    if None in (ours, theirs):
        return float(ours is not theirs)
    return 0.0 if ours == theirs else float("inf")
