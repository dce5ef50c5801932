# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The data behind a training config: its own pool and cache, or the datalists of a bundle that knows of neither."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.training_config import TrainingConfig
from monai_al.engines.entry_data import EntryData
from monai_al.engines.slice_data import SliceData

__all__ = ["pool_data"]

POOL_ID, CACHE_ID = "pool", "cache"
TRAIN_ID, TEST_ID = "train::dataset::data", "validate::dataset::data"


def pool_data(training: TrainingConfig, classes: Sequence[str] | None = None) -> SliceData | EntryData:
    """The data of a training config.

    A config that declares ``pool`` and ``cache`` gives its items itself. Any other is taken as a standard MONAI
    training bundle: the pool is its ``train#dataset#data``, the test set its ``validate#dataset#data``.

    Args:
        training: the config.
        classes: names of a foreign bundle's classes, where they are known already.

    Raises:
        BundleConfigError: the config lacks an id that is needed.
        DataError: the data cannot be used.

    Example:
        >>> pool_data(TrainingConfig({"train": {"dataset": {"data": []}}}))
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: the training config has no validate#dataset#data, the test set of active learning
    """
    if training.declares(POOL_ID) and training.declares(CACHE_ID):
        data, cache = training.resolve(POOL_ID, CACHE_ID)
        training.share(**{POOL_ID: data, CACHE_ID: cache})  # read once, not once per round
        return SliceData(data, cache)
    for id, what in ((TRAIN_ID, "the pool"), (TEST_ID, "the test set")):
        if not training.declares(id):
            raise BundleConfigError(f"{training.name} has no {id.replace('::', '#')}, {what} of active learning")
    preprocessing = _first(training, "validate::preprocessing", "validate::dataset::transform")
    if preprocessing is None:
        raise BundleConfigError(
            f"{training.name} has no validate#preprocessing: active learning needs transforms without randomness"
        )
    train, test = training.resolve(TRAIN_ID, TEST_ID)
    return EntryData(
        _listed(train, TRAIN_ID),
        _listed(test, TEST_ID),
        preprocessing=preprocessing,
        postprocessing=_first(training, "validate::postprocessing", "validate::evaluator::postprocessing"),
        names=_channel_names(training.root),
        classes=classes,
    )


def _first(training: TrainingConfig, *ids: str) -> Any:
    return next((training.resolve(id)[0] for id in ids if training.declares(id)), None)


def _listed(data: Any, id: str) -> list[Any]:
    try:
        return list(data)
    except TypeError:
        raise BundleConfigError(
            f"{id.replace('::', '#')} is {type(data).__name__}, not a list of dictionaries"
        ) from None


def _channel_names(root: Path | None) -> dict[int, str]:
    """Number of an output channel -> its name, from the bundle's metadata."""
    path = None if root is None else root / "configs" / "metadata.json"
    if path is None or not path.is_file():
        return {}
    try:
        outputs = json.loads(path.read_text(encoding="utf-8"))["network_data_format"]["outputs"]
        channels = (outputs.get("pred") or next(iter(outputs.values())))["channel_def"]
        return {int(number): str(name) for number, name in channels.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
