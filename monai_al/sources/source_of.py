# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The data behind a training config: its own pool and cache, or the datalists of a bundle that knows of neither."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.training_config import TrainingConfig
from monai_al.datasets.plane_grid import FIT, PlaneGrid
from monai_al.sources.base import Source
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.slice_source import SliceSource

__all__ = ["source_of"]

logger = logging.getLogger(__name__)

POOL_ID, CACHE_ID = "pool", "cache"
GRID_ID, DERIVED = "grid", {"image_size": None, "spacing": FIT}  # what asks for numbers from the files
TRAIN_ID, TEST_ID = "train::dataset::data", "validate::dataset::data"
# what the workflow itself uses comes first
PREPROCESSING_IDS = ("validate::dataset::transform", "validate::preprocessing")
POSTPROCESSING_IDS = ("validate::evaluator::postprocessing", "validate::postprocessing")


def source_of(training: TrainingConfig, classes: Sequence[str] | None = None) -> Source:
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
        >>> source_of(TrainingConfig({}, name="train.json"))
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: train.json has no train#dataset#data, the pool of active learning
    """
    if training.declares(POOL_ID) and training.declares(CACHE_ID):
        grid_ids = [GRID_ID] if training.declares(GRID_ID) else []
        data, cache, *grids = training.resolve(POOL_ID, CACHE_ID, *grid_ids)
        training.share(**{POOL_ID: data, CACHE_ID: cache})  # read once, not once per round
        for grid in grids:
            _settle(training, grid)
        return SliceSource(data, cache)
    for id, what in ((TRAIN_ID, "the pool"), (TEST_ID, "the test set")):
        if not training.declares(id):
            raise BundleConfigError(f"{training.name} has no {id.replace('::', '#')}, {what} of active learning")
    before, after = (
        next((id for id in ids if training.declares(id)), None) for ids in (PREPROCESSING_IDS, POSTPROCESSING_IDS)
    )
    if before is None:
        raise BundleConfigError(
            f"{training.name} has no validate#preprocessing: active learning needs transforms without randomness"
        )
    # in one go, because an Invertd in the postprocessing refers to the very objects of the preprocessing
    preprocessing, *postprocessing = training.resolve(*([before] if after is None else [before, after]))
    train, test = training.resolve(TRAIN_ID, TEST_ID)
    return EntrySource(
        _listed(training, TRAIN_ID, train),
        _listed(training, TEST_ID, test),
        preprocessing=preprocessing or [],
        postprocessing=postprocessing[0] if postprocessing else None,
        names=_channel_names(training.root),
        classes=classes,
    )


def _settle(training: TrainingConfig, grid: PlaneGrid) -> None:
    """Put numbers in place of what was derived from this pool, for new images are to be seen on the same grid."""
    raw = training.raw()
    if any(id in raw and raw[id] == asks for id, asks in DERIVED.items()):
        training.overrides |= {"image_size": list(grid.size), "spacing": grid.spacing}
        logger.info("note: slices become %s, which fits the files; --spacing and --image_size set others", grid)


def _listed(training: TrainingConfig, id: str, data: Any) -> list[Any]:
    name = id.replace("::", "#")
    try:
        entries = list(data)
    except TypeError:
        raise BundleConfigError(f"{name} is {type(data).__name__}, not a list of dictionaries") from None
    if not entries:
        (folder,) = training.resolve("dataset_dir") if training.declares("dataset_dir") else ("",)
        raise BundleConfigError(
            f"{name} of {training.name} is empty: does "
            + (f"--dataset_dir {folder}" if folder else "the folder that it reads")
            + " hold the data in the layout that the bundle expects?"
        )
    return entries


def _channel_names(root: Path | None) -> dict[int, str]:
    """Number of an output channel -> its name, from the bundle's metadata."""
    path = None if root is None else root / "configs" / "metadata.json"
    if path is None or not path.is_file():
        return {}
    try:
        outputs = json.loads(path.read_text(encoding="utf-8"))["network_data_format"]["outputs"]
        channels = (outputs.get("pred") or next(iter(outputs.values()), {}))["channel_def"]
        return {int(number): str(name) for number, name in channels.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
