# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of a first round that runs of one seed train alike: trained once, and kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import torch

from monai_al.bundle import RoundTraining
from monai_al.bundle.run_record import results_of
from monai_al.data import VolumeCache, fingerprint
from monai_al.engines.shared_work import TrainingTask
from monai_al.networks import read_torch_file
from monai_al.records import DataError, Item, content_hash
from monai_al.records.files import new_folder, read_json, write_json

__all__ = ["SharedModels", "what_decides"]

MODEL, RECORD = "model.pt", "model.json"
_VERSIONS = ("monai_al", "monai", "torch", "pytorch-ignite", "numpy")

logger = logging.getLogger(__name__)


def what_decides(
    task: TrainingTask, training: RoundTraining, cache: VolumeCache, *, seed: int, processes: int = 1
) -> dict[str, Any]:
    """All that the weights of a training from new weights depend on, JSON-ready.

    Args:
        task: what is trained.
        training: the training config.
        cache: where the items' volumes lie.
        seed: the experiment's seed.
        processes: how many train together.

    Example:
        >>> from monai_al.assets import find_asset
        >>> training = RoundTraining(find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml")
        >>> cache = VolumeCache("cache", progress=False)
        >>> sorted(what_decides(TrainingTask(0, "train member 0", []), training, cache, seed=0))[:4]
        ['config', 'device', 'items', 'preprocessing']
    """
    device = training.resolve("device")[0] if training.declares("device") else "cpu"
    return {
        "config": results_of(training.raw()),
        "purpose": task.purpose,
        "round": task.round,
        "seed": seed,
        "items": [_identity(item, cache) for item in task.items],
        "validation": None if task.validation is None else [_identity(item, cache) for item in task.validation],
        "pretrained": None if task.pretrained is None else _hash_of(task.pretrained),
        "preprocessing": cache.recipe,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "device": torch.device(device).type,
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
    }


class SharedModels:
    """Trained networks in a cache, found by all that they depend on; see :func:`what_decides`.

    Each is an entry ``models/<key>`` of the cache, with the weights and how long their training took. Who asks for one
    that somebody else trains waits for it.

    Args:
        cache_dir: folder of the cache.
        asked: what decides each network; nothing: none is shared.

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

    def __init__(self, cache_dir: str | Path, asked: Sequence[Mapping[str, Any]]) -> None:
        self.asked = list(asked)
        self.folders = [Path(cache_dir) / "models" / fingerprint(dict(one))[:32] for one in asked]

    @contextlib.contextmanager
    def locked(self) -> Iterator[SharedModels]:
        """Inside the block nobody else trains these networks."""
        with contextlib.ExitStack() as stack:
            for folder in sorted(set(self.folders)):
                folder.parent.mkdir(parents=True, exist_ok=True)
                lock = filelock.FileLock(folder.with_name(f"{folder.name}.lock"))
                try:
                    lock.acquire(timeout=0)
                except filelock.Timeout:
                    logger.info("another run trains the same network of the first round: waiting for it")
                    lock.acquire()
                stack.callback(lock.release)
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


def _hash_of(weights: Mapping[str, torch.Tensor]) -> str:
    found = hashlib.sha256()
    for name, value in weights.items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
