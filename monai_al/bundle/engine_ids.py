# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which ids of a training config hold its engines and what these are built from, as the text of the config tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from monai_al.bundle.overrides import RUN_IDS

__all__ = ["TRAINER_ID", "engine_ids", "entries_under", "followed", "may_train", "run_entries", "started_ids"]

TRAINER_ID, EVALUATOR_ID, NETWORK_ID = "train::trainer", "validate::evaluator", "network_def"
_STARTED = re.compile(r"@((?:\w|::|#)+)\.run\(")
_REFERENCE = re.compile(r"\$?@((?:\w|::|#)+)$")


def run_entries(config: Any) -> list[Any]:
    """What the config runs, entry by entry.

    Args:
        config: a parser, or a mapping from ids to their unresolved values.

    Example:
        >>> run_entries({"training": "$@trainer.run()"})
        ['$@trainer.run()']
    """
    return next((entries_under(id, config) for id in RUN_IDS if id in config), [])


def entries_under(id: str, config: Any) -> list[Any]:
    """The entries of a list of expressions, which may also be a single one or missing.

    Example:
        >>> entries_under("initialize", {"initialize": "$print(1)"}), entries_under("finalize", {})
        (['$print(1)'], [])
    """
    entries = config.get(id, None) or []
    return list(entries) if isinstance(entries, (list, tuple)) else [entries]


def started_ids(config: Any) -> list[str]:
    """The ids whose ``run`` is called by what the config runs.

    Args:
        config: a parser, or a mapping from ids to their unresolved values.

    Example:
        >>> started_ids({"run": ["$print(@seed)", "$@train#trainer.run()"]})
        ['train::trainer']
    """
    found = [id for entry in run_entries(config) if isinstance(entry, str) for id in _STARTED.findall(entry)]
    return list(dict.fromkeys(id.replace("#", "::") for id in found))


def may_train(config: Any) -> bool:
    """Whether what the config runs may be a trainer: it is not only engines that read data to validate on.

    Args:
        config: a parser, or a mapping from ids on every level to their unresolved values.

    Example:
        >>> may_train({"run": "$@a.run()", "a": {"_target_": "SupervisedEvaluator", "val_data_loader": "@loader"}})
        False
        >>> may_train({"run": "$@a.run()", "a": {"_target_": "SupervisedTrainer", "train_data_loader": "@loader"}})
        True
    """
    started = [config[id] for id in (followed(id, config) for id in started_ids(config)) if id in config]
    return not started or not all(isinstance(one, Mapping) and "val_data_loader" in one for one in started)


def engine_ids(config: Any) -> dict[str, str]:
    """Ids of the trainer, the evaluator, their loaders and data sets, the optimizer and the network.

    References are followed from what the config runs. Where the text does not tell, as in an expression that builds an
    engine, MONAI's standard ids stand, or none.

    Args:
        config: a parser, or a mapping from ids on every level to their unresolved values.

    Example:
        >>> from monai.bundle import ConfigParser
        >>> config = ConfigParser({
        ...     "loader": {"_target_": "DataLoader", "dataset": {"_target_": "Dataset", "data": "@entries"}},
        ...     "trainer": {"_target_": "SupervisedTrainer", "train_data_loader": "@loader", "optimizer": "@adam"},
        ...     "adam": {"_target_": "torch.optim.Adam", "lr": 0.1},
        ...     "run": "$@trainer.run()",
        ... })
        >>> ids = engine_ids(config)
        >>> ids["trainer"], ids["train_loader"], ids["train_dataset"], ids["optimizer"]
        ('trainer', 'loader', 'loader::dataset', 'adam')
    """
    started = [id for id in started_ids(config) if id in config]
    trainer = followed(started[0] if len(started) == 1 else TRAINER_ID, config)
    network = followed(f"{trainer}::network", config)
    ids = {
        "trainer": trainer,
        "evaluator": _evaluator(trainer, config),
        "network": NETWORK_ID if NETWORK_ID in config or network not in config else network,
        "optimizer": followed(f"{trainer}::optimizer", config),
        "train_loader": _first(config, f"{trainer}::train_data_loader", "train::dataloader"),
        "val_loader": "",
    }
    ids["val_loader"] = _first(config, f"{ids['evaluator']}::val_data_loader", "validate::dataloader")
    for part in ("train", "val"):
        ids[f"{part}_dataset"] = followed(f"{ids[f'{part}_loader']}::dataset", config)
    return ids


def followed(id: str, config: Any) -> str:
    """The id that a mere reference names, or that one's; the id itself where it is none.

    Example:
        >>> followed("a", {"a": "@b", "b": "@c#d", "c": {"d": 1}, "c::d": 1})
        'c::d'
    """
    seen: set[str] = set()
    id = id.replace("#", "::")
    while id in config and id not in seen and (match := _REFERENCE.match(str(config[id]))):
        seen.add(id)
        id = match[1].replace("#", "::")
    return id


def _first(config: Any, *ids: str) -> str:
    return followed(next((id for id in ids if id in config), ids[0]), config)


def _evaluator(trainer: str, config: Any) -> str:
    """The engine that a handler of the trainer names as its ``validator``."""
    handlers = config[id] if (id := followed(f"{trainer}::train_handlers", config)) in config else ()
    listed = range(len(handlers)) if isinstance(handlers, Sequence) and not isinstance(handlers, str) else ()
    for handler in (followed(f"{id}::{number}", config) for number in listed):
        if handler in config and isinstance(config[handler], Mapping) and "validator" in config[handler]:
            return followed(f"{handler}::validator", config)
    return next((one for one in (EVALUATOR_ID, "evaluator") if one in config), EVALUATOR_ID)
