# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What was asked of a run, so that another start can be told from the same one."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping
from typing import Any, Protocol

from monai_al.data import fingerprint

__all__ = ["plain", "run_record"]

SCHEMA_VERSION = 1
# where and how fast a run works may differ from its start without making it another run
_PLACE_IDS = {"output_dir", "ckpt_dir", "cache_dir", "dataset_dir", "bundle_root", "device", "num_workers", "progress"}
_PACKAGES = ("monai_al", "monai", "torch", "pytorch-ignite", "numpy")


class _Named(Protocol):
    name: str


def run_record(
    strategy: _Named, annotator: _Named, training: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The part of ``run.json`` that tells what the results depend on, and the versions.

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
            "strategy_settings": fingerprint(strategy),
            "annotator": annotator.name,
            **settings,
        },
        "training": plain({key: value for key, value in training.items() if key not in _PLACE_IDS}),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "config": config,
        "strategy": strategy.name,
        "annotator": annotator.name,
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def plain(value: Any) -> Any:
    """JSON-ready content; what JSON does not know stands as text.

    Example:
        >>> plain({"a": (1, float("inf"))})
        {'a': [1, 'inf']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    finite = not isinstance(value, float) or math.isfinite(value)
    return value if value is None or isinstance(value, (bool, int, str, float)) and finite else str(value)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
