# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What was asked of a run, so that another start can be told from the same one."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from monai_al.data import fingerprint

__all__ = ["plain", "run_record"]

SCHEMA_VERSION = 1
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
        training: the training config, unresolved; ids that only say where things lie are left out.
        settings: those of the loop.

    Example:
        >>> from monai_al.annotators import Oracle
        >>> from monai_al.strategies import Random
        >>> record = run_record(Random(), Oracle(), {"steps": 5, "device": "cpu"}, {"seed": 0})
        >>> record["strategy"], record["config"]["training"]
        ('random', {'steps': 5})
    """
    config = {
        "learner": {
            "strategy": strategy.name,
            "strategy_settings": plain(vars(strategy)),
            "annotator": annotator.name,
            "annotator_settings": plain(vars(annotator)),
            **settings,
        },
        "training": plain({key: value for key, value in training.items() if key not in _PLACE_IDS}),
    }
    places = {
        key: _absolute(value) if key in _FOLDER_IDS else value for key, value in training.items() if key in _PLACE_IDS
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "config": config,
        "places": plain(places),
        "strategy": strategy.name,
        "annotator": annotator.name,
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _absolute(value: Any) -> Any:
    """A path as it is found from any folder; expressions and references stay."""
    return str(Path(value).resolve()) if isinstance(value, (str, Path)) and str(value)[:1] not in "$@%" else value


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
