# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What was asked of a run, so that another start can be told from the same one."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib.metadata
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from monai_al.data import fingerprint
from monai_al.options import literal, literal_of

__all__ = ["EXECUTED", "plain", "results_of", "run_record", "training_of"]

SCHEMA_VERSION = 1
EXECUTED = ("config", "places")  # what of a record is executed when a run is read again
# where and how fast a run works may differ from its start without making it another run
_FOLDER_IDS = {"output_dir", "ckpt_dir", "cache_dir", "dataset_dir", "bundle_root"}
_PLACE_IDS = _FOLDER_IDS | {"device", "num_workers", "progress"}
_PACKAGES = ("monai_al", "monai", "torch", "pytorch-ignite", "numpy")


class _Named(Protocol):
    name: str


def run_record(
    strategy: _Named, annotator: _Named, training: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The part of ``run.json`` that tells what the results depend on, where things lie, and the versions.

    Args:
        strategy: the strategy with its settings.
        annotator: who labels.
        training: the training config, unresolved; keys that only say where things lie or how fast, on any level, go
            to ``places`` by their ids.
        settings: those of the loop.

    Example:
        >>> from monai_al.annotators import Oracle
        >>> from monai_al.strategies import Random
        >>> training = {"steps": 5, "device": "cpu", "loader": {"batch_size": 4, "num_workers": 2}}
        >>> record = run_record(Random(), Oracle(), training, {"seed": 0})
        >>> record["config"]["training"], record["places"]
        ({'steps': 5, 'loader': {'batch_size': 4}}, {'device': 'cpu', 'loader#num_workers': 2})
    """
    places: dict[str, Any] = {}
    results = _without_places(training, (), places)
    config = {
        "learner": {
            "strategy": strategy.name,
            "strategy_settings": results_of(vars(strategy)),
            "annotator": annotator.name,
            "annotator_settings": plain(vars(annotator)),
            **settings,
        },
        "training": plain(results),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "config": config,
        "places": plain(places),
        "strategy": strategy.name,
        "annotator": annotator.name,
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def results_of(config: Mapping[str, Any]) -> Any:
    """A config, JSON-ready, without the keys that only say where things lie or how fast.

    Example:
        >>> results_of({"steps": 5, "device": "cpu"})
        {'steps': 5}
    """
    return plain(_without_places(config, (), {}))


def training_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The training config that a record tells of, with its places where they were.

    Args:
        record: of :func:`run_record`, also as it is read again.

    Example:
        >>> training_of({"config": {"training": {"a": [{"b": 1}]}}, "places": {"a#0#device": "cpu", "device": "cuda"}})
        {'a': [{'b': 1, 'device': 'cpu'}], 'device': 'cuda'}
    """
    training = copy.deepcopy(record["config"]["training"])
    for id, value in record.get("places", {}).items():
        *path, key = id.split("#")
        place = functools.reduce(lambda part, name: part[int(name) if isinstance(part, list) else name], path, training)
        place[key] = value
    return training


def _without_places(config: Any, path: tuple[str, ...], places: dict[str, Any]) -> Any:
    """A config without the keys of places, which are added to ``places`` by their ids."""
    if isinstance(config, (list, tuple)):
        return [_without_places(part, (*path, str(i)), places) for i, part in enumerate(config)]
    if not isinstance(config, Mapping):
        return config
    for key in (key for key in config if key in _PLACE_IDS):
        places["#".join((*path, key))] = _absolute(config[key]) if key in _FOLDER_IDS else config[key]
    return {k: _without_places(v, (*path, str(k)), places) for k, v in config.items() if k not in _PLACE_IDS}


def _absolute(value: Any) -> Any:
    """A path as it is found from any folder; expressions and references stay."""
    path = literal_of(str(value) if isinstance(value, Path) else value)
    return value if path is None else literal(str(Path(path).resolve()))


def plain(value: Any) -> Any:
    """JSON-ready content; an object that JSON does not know stands as its class and a fingerprint of its settings.

    Example:
        >>> from monai_al.uncertainty import Measure
        >>> plain({"a": (1, float("inf")), "b": Measure("margin")})["b"]["map"]
        'margin'
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, str)) or isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (float, Path, torch.dtype, torch.device)):
        return str(value)
    return f"{type(value).__qualname__} {fingerprint(value)[:16]}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
