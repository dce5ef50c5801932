# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of a first round that runs of one seed train alike: trained once, and kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from monai_al.bundle import RoundTraining
from monai_al.bundle.own_code import own_code
from monai_al.bundle.plain_texts import PlainTexts
from monai_al.bundle.run_record import results_of
from monai_al.data import VolumeCache, fingerprint
from monai_al.engines.encoder import VERSIONS
from monai_al.engines.shared_work import TrainingTask
from monai_al.networks import read_torch_file
from monai_al.options import literal_of
from monai_al.records import DataError, Item, content_hash
from monai_al.records.files import new_folder, read_json, write_json
from monai_al.records.waiting import alone_with
from monai_al.sources import Source

__all__ = ["SharedModels", "what_decides"]

MODEL, RECORD = "model.pt", "model.json"
_LONGEST = 1000  # characters of a path


def what_decides(
    task: TrainingTask, training: RoundTraining, source: Source, *, seed: int, processes: int = 1
) -> dict[str, Any]:
    """All that the weights of a training from new weights depend on, JSON-ready.

    Args:
        task: what is trained.
        training: the training config.
        source: where the items lie, in a cache.
        seed: the experiment's seed.
        processes: how many train together.

    Example:
        >>> from monai_al.assets import find_asset
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> training = RoundTraining(find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml")
        >>> source = SliceSource(Pool([]), VolumeCache("cache", progress=False))
        >>> sorted(what_decides(TrainingTask(0, "train member 0", []), training, source, seed=0))[:5]
        ['classes', 'code', 'coding', 'config', 'device']
    """
    device = training.resolve("device")[0] if training.declares("device") else "cpu"
    config, cache, pool = PlainTexts(training.raw()).config, source.cache, source.data
    assert cache is not None
    validation = source.validation_items if task.validation is None else task.validation
    return {
        "config": results_of(config),
        "code": own_code(config, training.root),
        "files": {name: content_hash(Path(name)) for name in sorted(_files_in(config))},
        "workers": sorted(str(value) for value in _values_of("num_workers", config)),
        "classes": list(pool.classes),
        "coding": [str(pool.label_values), str(pool.affine_tolerated), str(pool.sizes_tolerated)],
        "purpose": task.purpose,
        "round": task.round,
        "seed": seed,
        "items": [_identity(item, cache) for item in task.items],
        "validation": [_identity(item, cache) for item in validation],
        "pretrained": None if task.pretrained is None else _hash_of(task.pretrained),
        "preprocessing": cache.recipe,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "device": torch.device(device).type,
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }


class SharedModels:
    """Trained networks in a cache, found by all that they depend on; see :func:`what_decides`.

    Each is an entry ``models/<key>`` of the cache, with the weights and how long their training took. Who asks for one
    that somebody else trains waits for it.

    Args:
        cache_dir: folder of the cache; None: nothing is shared.
        asked: what decides each network.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as cache_dir:
        ...     for _ in range(2):
        ...         with SharedModels(cache_dir, [{"seed": 0}]).locked() as shared:
        ...             print(shared.found(0))
        ...             shared.keep(0, {"a": torch.zeros(1)}, seconds=3.0)
        None
        ({'a': tensor([0.])}, 3.0)
    """

    def __init__(self, cache_dir: str | Path | None, asked: Sequence[Mapping[str, Any]]) -> None:
        self.asked = list(asked)
        self.folders = (
            [] if cache_dir is None else [Path(cache_dir) / "models" / fingerprint(dict(one))[:32] for one in asked]
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[SharedModels]:
        """Inside the block nobody else trains these networks."""
        with contextlib.ExitStack() as stack:
            for folder in sorted(set(self.folders)):
                folder.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(alone_with(folder, "another run trains the same network of the first round"))
            yield self

    def found(self, number: int) -> tuple[Mapping[str, torch.Tensor], float] | None:
        """The weights of a network and how many seconds their training took; None where nobody has trained it.

        Raises:
            DataError: a file is not as it was written.
        """
        folder = self.folders[number] if self.folders else None
        if folder is None or not folder.is_dir():
            return None
        record = read_json(folder / RECORD)
        if content_hash(folder / MODEL) != record["sha256"]:
            raise DataError(f"{folder / MODEL} differs from what was written: remove the folder {folder}")
        return read_torch_file(folder / MODEL)["model"], record["train_s"]

    def keep(self, number: int, weights: Mapping[str, torch.Tensor], seconds: float) -> None:
        """Keep a trained network, where nobody has."""
        folder = self.folders[number] if self.folders else None
        if folder is None or folder.is_dir():
            return
        with new_folder(folder) as new:
            torch.save({"model": dict(weights)}, new / MODEL)
            record = {"sha256": content_hash(new / MODEL), "train_s": round(seconds, 2)}
            write_json(new / RECORD, record | {"of": self.asked[number]})


def _identity(item: Item, cache: VolumeCache) -> tuple[Any, ...]:
    """What a training sees of an item."""
    image, label = cache.hashes(item)
    return item.id, item.volume, item.patient, item.slice, item.slice_axis, item.coding, image, label


def _files_in(config: Any) -> set[str]:
    """Files that values of a config name, such as weights that a network starts from."""
    if isinstance(config, Mapping):
        return set().union(*map(_files_in, config.values()))
    if isinstance(config, (list, tuple)):
        return set().union(*map(_files_in, config))
    text = literal_of(config) if isinstance(config, str) else None
    return {text} if isinstance(text, str) and len(text) < _LONGEST and Path(text).is_file() else set()


def _values_of(key: str, config: Any) -> list[Any]:
    """The values of a key on any level."""
    if isinstance(config, Mapping):
        own = [config[key]] if key in config else []
        return own + [value for one in config.values() for value in _values_of(key, one)]
    return [value for one in config for value in _values_of(key, one)] if isinstance(config, (list, tuple)) else []


def _hash_of(weights: Mapping[str, torch.Tensor]) -> str:
    found = hashlib.sha256()
    for name, value in weights.items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
