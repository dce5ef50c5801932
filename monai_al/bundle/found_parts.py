# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a training in a config that was written without this package: as objects, and the ids that hold them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser

from monai_al.bundle.dataset_entries import inner_dataset, refuse_empty, uncached
from monai_al.bundle.engine_ids import TRAINER_ID, engine_ids, entries_under, may_train, run_entries
from monai_al.bundle.errors import BundleConfigError, failing_by_itself
from monai_al.bundle.loaded_weights import loaded_files, weights_watched
from monai_al.bundle.overrides import RUN_IDS, scratch_overrides
from monai_al.bundle.process_state import close_handlers, untouched_process
from monai_al.bundle.training_parts import TrainingParts, parts_of, unwrapped, with_named
from monai_al.options import literal

__all__ = ["ROLES", "FoundParts", "find_parts", "refuse_undeclared"]

# what can be named by its id where it is not found, or not the right one
ROLES = ("trainer", "network", "train_data", "evaluator", "test_data", "preprocessing", "postprocessing", "inferer")

_SEED = 914_823  # one that no bundle sets


@dataclass(frozen=True)
class FoundParts:
    """The parts of a training, as they are found.

    Args:
        parts: the objects.
        ids: role -> id of the config that holds it; None where it exists only inside of another object.
        weights: the files that the config loads into its network by itself; None where it loads nothing.
        listed: the lists of texts that the config holds, such as the paths of all images.
        seeds: whether the config seeds by itself before it trains.

    Example:
        >>> FoundParts(parts=None, ids={"trainer": "train::trainer"}, weights=None, listed=[]).ids["trainer"]
        'train::trainer'
    """

    parts: TrainingParts
    ids: dict[str, str | None]
    weights: list[dict[str, Any]] | None
    listed: list[list[str]]
    seeds: bool = False


class _Config(Protocol):
    """What is asked of a :class:`monai_al.bundle.TrainingConfig`."""

    name: str
    root: Path | None

    def raw(self) -> dict[str, Any]: ...
    def parser(self, overrides: Mapping[str, Any]) -> ConfigParser: ...
    def all_overrides(self, more: Mapping[str, Any] | None = None) -> dict[str, Any]: ...
    def importing(self) -> AbstractContextManager[None]: ...


def find_parts(training: _Config, given: Mapping[str, str] | None = None) -> FoundParts:
    """Build what a config runs, once, and see what it consists of. Nothing is trained, cached or left on the disk.

    Args:
        training: the config.
        given: role of :data:`ROLES` -> id, over what is found.

    Raises:
        BundleConfigError: it runs no trainer, or one without the parts that active learning needs.

    Example:
        >>> from monai_al.bundle import TrainingConfig
        >>> find_parts(TrainingConfig({"run": "$print(1)"}, name="train.json"))
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: train.json runs no trainer: ...
    """
    given = {role: id.replace("#", "::") for role, id in (given or {}).items()}
    with tempfile.TemporaryDirectory() as folder, untouched_process(_SEED), training.importing():
        places = scratch_overrides(training.raw(), literal(folder), training.root)
        parser = training.parser(training.all_overrides(places))
        refuse_undeclared(training.name, given, parser)
        with uncached(), weights_watched() as seen, failing_by_itself(training.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the first round tells the same
            _refuse_untrained(training.name, given, parser)
            _refuse_empty(training, given, parser)
            trainer = _trainer(training.name, given.get("trainer"), parser)
            _begin(parser)
            seeds = torch.initial_seed() != _SEED
            evaluator = parser.get_parsed_content(given["evaluator"]) if "evaluator" in given else None
            parts = parts_of(trainer, evaluator, usual=lambda: _usual_evaluator(parser), name=training.name)
        files = loaded_files(seen, trainer, parts.network)
        listed = [value for value in _resolved(parser).values() if _is_paths(value)]
        close_handlers(list(_resolved(parser).values()))
        return FoundParts(
            with_named(parts, given, parser.get_parsed_content), _ids(parts, given, parser), files, listed, seeds
        )


def _refuse_untrained(name: str, given: Mapping[str, str], parser: ConfigParser) -> None:
    if "trainer" not in given and not may_train(parser):
        raise BundleConfigError(
            f"{name} runs no trainer, it only applies a network: active learning needs the training config of a bundle"
        )


def _refuse_empty(training: _Config, given: Mapping[str, str], parser: ConfigParser) -> None:
    engines = engine_ids(parser)
    for role, part in (("train_data", "train"), ("test_data", "val")):
        id = given.get(role, f"{engines[f'{part}_dataset']}::data")
        entries = parser.get_parsed_content(id) if id in parser else None
        folder = parser.get_parsed_content("dataset_dir") if "dataset_dir" in parser else ""
        refuse_empty(training.name, id.replace("::", "#"), entries, folder)


def _trainer(name: str, given: str | None, parser: ConfigParser) -> Any:
    """The engine with an optimizer that the config runs."""
    id = given or engine_ids(parser)["trainer"]
    if id in parser:
        return parser.get_parsed_content(id)
    seen = _engines_in_run(parser)
    if len(seen) == 1:
        return seen[0]
    why = f"{len(seen)} engines" if seen else "no trainer"
    raise BundleConfigError(
        f"{name} runs {why}: active learning needs a training config whose 'run' starts one of MONAI's trainers; where "
        f"it does, name its id by --bundle_ids \"{{'trainer': ID}}\" (usual: {TRAINER_ID.replace('::', '#')})"
    )


def _usual_evaluator(parser: ConfigParser) -> Any:
    usual = engine_ids(parser)["evaluator"]
    return parser.get_parsed_content(usual) if usual in parser else None


def _begin(parser: ConfigParser) -> None:
    """Evaluate what the config does before it trains, where it may load weights."""
    before = {"initialize": len(entries_under("initialize", parser))}
    run_id = next((id for id in RUN_IDS if id in parser), "run")
    entries = entries_under(run_id, parser)
    before[run_id] = next((i for i, entry in enumerate(entries) if ".run(" in str(entry)), 0)
    for id, number in before.items():
        for i in range(number):
            parser.get_parsed_content(f"{id}::{i}" if isinstance(parser[id], list) else id)


def _engines_in_run(parser: ConfigParser) -> list[Any]:
    """The engines with an optimizer that any entry of ``run`` refers to."""
    found: dict[int, Any] = {}
    for entry in run_entries(parser):
        for name in parser.ref_resolver.match_refs_pattern(entry) if isinstance(entry, str) else ():
            value = parser.get_parsed_content(name) if name in parser else None
            if isinstance(value, Engine) and hasattr(value, "optimizer"):
                found[id(value)] = value
    return list(found.values())


def _ids(parts: TrainingParts, given: Mapping[str, str], parser: ConfigParser) -> dict[str, str | None]:
    """The ids of the parts that there are."""
    resolved = _resolved(parser)
    train, test = _id_of(parts.train_dataset, resolved), _id_of(parts.test_dataset, resolved)
    networks = {key: value for key, value in resolved.items() if isinstance(value, torch.nn.Module)}
    found = {
        "trainer": _id_of(parts.trainer, resolved),
        "network": _id_of(parts.network, {key: unwrapped(value) for key, value in networks.items()}),
        "train_data": _data_id(train, parts.train_dataset, resolved, parser),
    }
    if parts.evaluator is not None:
        found["evaluator"] = _id_of(parts.evaluator, resolved)
    if parts.test_dataset is not None:
        found["test_data"] = _data_id(test, parts.test_dataset, resolved, parser)
        found["preprocessing"] = _id_of(parts.preprocessing, resolved)
        if found["preprocessing"] is None and test is not None and f"{test}::transform" in parser:
            found["preprocessing"] = f"{test}::transform"
    for role in ("postprocessing", "inferer"):
        value = getattr(parts, role)
        if value is not None:
            found[role] = _id_of(value, resolved)
    return {**found, **given}


def _data_id(dataset_id: str | None, dataset: Any, resolved: Mapping[str, Any], parser: ConfigParser) -> str | None:
    """The id of a data set's entries, or of those that it reads another one's: its argument ``data``, else a list."""
    inner = inner_dataset(dataset)
    if inner is not None:
        return _data_id(_id_of(inner, resolved), inner, resolved, parser)
    argument = f"{dataset_id}::data"
    if dataset_id is not None and argument in parser:
        return argument
    return _id_of(getattr(dataset, "data", None), resolved)


def _id_of(value: Any, resolved: Mapping[str, Any]) -> str | None:
    """The id that holds an object, the shortest where several do."""
    held = [key for key, one in resolved.items() if one is value] if value is not None else []
    return min(held, key=lambda key: (key.count("::"), key != "network_def", len(key)), default=None)


def _resolved(parser: ConfigParser) -> dict[str, Any]:
    return {key: value for key, value in parser.ref_resolver.resolved_content.items() if key}


def _is_paths(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def refuse_undeclared(name: str, given: Mapping[str, str], parser: ConfigParser) -> None:
    """Refuse parts that there are not, and ids that a config does not hold.

    Args:
        name: what the message calls the config.
        given: role of :data:`ROLES` -> id.
        parser: of the config.

    Raises:
        BundleConfigError: names the first of them.

    Example:
        >>> refuse_undeclared("train.json", {"trainer": "engine"}, ConfigParser({}))
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: --bundle_ids: train.json declares no 'engine'
    """
    unknown = [role for role in given if role not in ROLES]
    if unknown:
        raise BundleConfigError(f"--bundle_ids: there is no part {unknown[0]!r}; the parts are {', '.join(ROLES)}")
    missing = [id for id in given.values() if id not in parser]
    if missing:
        raise BundleConfigError(f"--bundle_ids: {name} declares no {missing[0].replace('::', '#')!r}")
