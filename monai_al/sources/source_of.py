# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The data behind a training config: its own pool and cache, or the datalists of a bundle that knows of neither."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.found_parts import FoundParts
from monai_al.bundle.other_tasks import of_entries
from monai_al.bundle.python_training import PythonTraining
from monai_al.bundle.training_config import CACHE_ID, POOL_ID, TrainingConfig
from monai_al.datasets.plane_grid import FIT, PlaneGrid
from monai_al.sources.base import Source
from monai_al.sources.entry_settings import USUAL, EntrySettings
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.slice_source import SliceSource

__all__ = ["source_of"]

logger = logging.getLogger(__name__)

GRID_ID, DERIVED = "grid", {"image_size": None, "spacing": FIT}  # what asks for numbers from the files


def source_of(
    training: TrainingConfig | PythonTraining,
    classes: Sequence[str] | None = None,
    entries: EntrySettings = USUAL,
    *,
    score_inside: bool = False,
    found: FoundParts | None = None,
) -> Source:
    """The data of a training config.

    A config that declares ``pool`` and ``cache`` gives its items itself. Of any other, the pool is what the trainer
    reads that its ``run`` starts, and the test set what the engine reads that validates it; see
    :func:`monai_al.bundle.found_parts.find_parts`.

    Args:
        training: the config.
        classes: names of a foreign bundle's classes, where they are known already.
        entries: what is said of the entries of a foreign bundle.
        score_inside: score a foreign bundle on what its network sees alone.
        found: the parts of a foreign bundle, where they are found already.

    Raises:
        BundleConfigError: the config lacks a part that is needed, or something is said of a foreign bundle that it is
            none.
        DataError: the data cannot be used.

    Example:
        >>> source_of(TrainingConfig({}, name="train.json"))
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: train.json runs no trainer: ...
    """
    if isinstance(training, TrainingConfig) and training.has_pool:
        _refuse(entries)
        if score_inside:
            raise BundleConfigError(
                "--score_inside true is for bundles of others, whose own preprocessing may crop: leave it out. What "
                f"{training.name} crops, --image_size and --spacing say, and a warning tells what of the labels that is"
            )
        grid_ids = [GRID_ID] if training.declares(GRID_ID) else []
        data, cache, *grids = training.resolve(POOL_ID, CACHE_ID, *grid_ids)
        training.share(**{POOL_ID: data, CACHE_ID: cache})  # read once, not once per round
        for grid in grids:
            _settle(training, grid)
        return SliceSource(data, cache)
    found = found or training.find()
    parts = found.parts
    other = of_entries(parts.train_entries, entries.label_key)
    if other is not None:
        raise BundleConfigError(f"{training.name}: {other}")
    if parts.test_entries is None:
        raise BundleConfigError(
            f"{training.name} has no validation: active learning needs its transforms without randomness and its list "
            "of entries to test on; where an engine validates, name it by --bundle_ids \"{'evaluator': ID}\""
        )
    return EntrySource(
        parts.train_entries,
        parts.test_entries,
        preprocessing=parts.preprocessing or [],
        postprocessing=parts.postprocessing,
        names=_channel_names(training.root),
        classes=classes,
        score_inside=score_inside,
        settings=entries,
        others=found.listed,
    )


def _refuse(entries: EntrySettings) -> None:
    """Refuse what is said of entries where items come from a pool."""
    said = [f"--{name}" for name in entries.results()]
    if said:
        raise BundleConfigError(
            f"{' and '.join(said)}: only for bundles that were written without monai_al, whose lists hold entries; a "
            "data set takes the patient by --datalist#patient"
        )


def _settle(training: TrainingConfig, grid: PlaneGrid) -> None:
    """Put numbers in place of what was derived from this pool, for new images are to be seen on the same grid."""
    raw = training.raw()
    if any(id in raw and raw[id] == asks for id, asks in DERIVED.items()):
        training.overrides |= {"image_size": list(grid.size), "spacing": grid.spacing}
        logger.info("note: slices become %s, which fits the files; --spacing and --image_size set others", grid)


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
