# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The encoder that is trained before the first round, once for all runs that ask for the same one."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events

from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.overrides import RUN_IDS
from monai_al.bundle.own_code import own_code
from monai_al.bundle.plain_texts import PlainTexts
from monai_al.bundle.references import reachable
from monai_al.bundle.round_training import RoundTraining
from monai_al.bundle.run_record import results_of
from monai_al.data import batches_of, fingerprint
from monai_al.distributed import Team, own_folder
from monai_al.engines.encoder_file import EncoderFile
from monai_al.handlers.needs import ENCODER
from monai_al.inferers import TrainedNetwork
from monai_al.options import literal
from monai_al.passes.run import run_pass
from monai_al.passes.scoring import score_items
from monai_al.passes.sharing import own_batches
from monai_al.records import DataError, Item, content_hash
from monai_al.records.files import copy_stored, new_folder, read_json, write_json
from monai_al.records.item import SLICE_AXIS
from monai_al.records.waiting import alone_with
from monai_al.sources import Source

__all__ = ["EncoderTraining"]

RECORD = "encoder.json"
VERSIONS = ("monai_al", "monai", "torch", "pytorch-ignite", "numpy")
EMBEDDING, HELD_OUT = "encoder_embedding", "held_out"  # ids of the config
FILES = {"sha256": "encoder.pt", "embeddings_sha256": "embeddings.npy"}  # by the keys of their hashes
PICTURES = "restoration.png"

USED = {"imports", "network_def", "train", "validate", "initialize", "pool", "cache", EMBEDDING, HELD_OUT, *RUN_IDS}

_AT_ONCE = 8192  # rows of embeddings that one process sends to another

logger = logging.getLogger(__name__)


class EncoderTraining:
    """Trains the encoder of a config, embeds the pool with it, and keeps both in the cache.

    The config is a standard MONAI training config that also runs alone; here it gets the loop's own ``pool``, ``cache``
    and seed, and no label is read. The embedding is what the part ``encoder`` of its ``network_def`` gives, one vector
    per image, or, where the config has an id ``encoder_embedding``, that layer of its network, as ``bottleneck:2``; see
    :class:`~monai_al.handlers.EmbeddingHandler`. The items of its id ``held_out``, where it has one, are validated
    on. The entry ``encoders/<key>`` of the cache is found by what the training uses of the config, the seed, the number
    of threads, the kind of device, the versions, the code that the config names, and the images with their patients and
    volumes; runs that ask for the same one at the same time wait for the first.

    Where the config declares ``encoder_file``, nothing is trained: its ``network_def`` brings weights from that file.
    The entry is then found by what the network depends on and by the file's content, for all seeds; ``encoder.json``
    tells which file it was.

    Args:
        config_file: the config and its overlays.
        overrides: id -> value, unresolved.

    Raises:
        BundleConfigError: the config is missing, is no training config, or names no file that is there.

    Example:
        >>> EncoderTraining(["no/pretrain.yaml"])
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: training config no/pretrain.yaml does not exist
    """

    def __init__(self, config_file: Sequence[str | Path], overrides: Mapping[str, Any] | None = None) -> None:
        self.training = RoundTraining(config_file, overrides)
        for id in ("pool", "cache"):
            if not self.training.declares(id):
                raise BundleConfigError(f"{self.training.name} has no {id}: an encoder is trained on the loop's own")
        self.file = EncoderFile.of(self.training)
        self._items: Sequence[Item] | None = None
        self._rows: _Rows | None = None
        self._kept = contextlib.ExitStack()
        self.processes: int | None = None

    def settings(self) -> Any:
        """What the encoder depends on, JSON-ready."""
        if self.file is not None:
            return self.file.settings()
        return results_of(reachable(self.training.raw(), USED))

    def join(self, team: Team) -> None:
        """Let the processes of a run share out the training and the embedding; each calls it, and sets ``source``.

        Args:
            team: the processes.
        """
        team.jobs |= {"pretrain": self._trained, "embed": self._embedded, "fetch embeddings": self._fetched}

    def entry(
        self,
        source: Source,
        items: Sequence[Item],
        *,
        seed: int,
        progress: bool = True,
        team: Team | None = None,
    ) -> Path:
        """The folder of the trained encoder and the embeddings, made now if it is not there.

        Args:
            source: where the items' volumes lie, in a cache.
            items: the pool, in order.
            seed: fixes first weights, order and augmentation.
            progress: show progress bars.
            team: the processes of the run, which this training has joined; None: this one alone. The entry is that of
                as many processes as ``processes`` says, those that a run was started with, where it is set.

        Returns:
            A folder with ``encoder.pt``, ``embeddings.npy`` (float32 ``(N, D)`` in pool order) and ``encoder.json``.
        """
        cache = source.cache
        assert cache is not None  # else the loop has refused it
        if team is None:
            self.join(team := Team())
        self.source = source
        together = self.processes or team.size
        asked = {
            "config": self.settings(),
            "seed": seed if self.file is None else None,
            "threads": torch.get_num_threads(),
            "preprocessing": cache.recipe,
            "items": [_identity(item, cache.hashes(item)[0]) for item in items],
            "device": self._device_type(),
            "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
            "code": self._own_code(),
            **({"processes": together} if together > 1 and self.file is None else {}),
        }
        folder = cache.cache_dir / "encoders" / fingerprint(asked)[:32]
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with alone_with(folder, "another process trains the same encoder"):
                if not folder.is_dir():
                    if self.file is None:
                        self._train(folder, team, items, seed, progress)
                    else:
                        self._take(self.file, folder, team, items, progress)
        shutil.rmtree(_under_way(folder), ignore_errors=True)  # of a process that died just before it was done
        return folder

    def hashes(self, entry: Path) -> dict[str, str]:
        """``sha256`` of the encoder and ``embeddings_sha256``, of the files as they lie in an entry now.

        Raises:
            DataError: a file is not as it was written.
        """
        recorded, found = read_json(entry / RECORD), _hashes(entry)
        for key, name in FILES.items():
            if key in recorded and recorded[key] != found[key]:
                raise DataError(
                    f"{entry / name} differs from what was written: restore it, or remove the folder {entry}, which is "
                    "then made again"
                )
        return found

    def _own_code(self) -> dict[str, Any]:
        """The code that the training, or the network alone, runs beside that of the versions."""
        used = USED if self.file is None else {"imports", "network_def", EMBEDDING}
        return own_code(reachable(PlainTexts(self.training.raw()).config, used), self.training.root)

    def _device_type(self) -> str:
        found = self.training.resolve("device")[0] if self.training.declares("device") else "cpu"
        return torch.device(found).type

    def _train(self, folder: Path, team: Team, items: Sequence[Item], seed: int, progress: bool) -> None:
        under_way = _under_way(folder)
        under_way.mkdir(exist_ok=True)
        start = time.perf_counter()
        logger.info("training the encoder of %s on %d items, without labels", self.training.name, len(items))
        self._items = items
        weights = team.together("pretrain", seed=seed, folder=under_way)
        bad = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
        if bad:
            raise ValueError(
                f"the training of the encoder diverged ({bad[0]} is not finite): lower --pretrain_learning_rate"
            )
        with new_folder(folder) as new:
            torch.save({"model": weights}, new / FILES["sha256"])
            shape = self._embed(team, weights, items, new / FILES["embeddings_sha256"], progress)
            record = {"config": self.settings(), "seed": seed, "embeddings": shape, **_hashes(new)}
            write_json(new / RECORD, record | {"train_s": round(time.perf_counter() - start, 2)})
            for file in (*under_way.glob("events.out.tfevents*"), *under_way.glob(PICTURES)):
                copy_stored(file, new / file.name)
        shutil.rmtree(under_way)

    def _trained(self, team: Team, seed: int, folder: Path) -> Mapping[str, torch.Tensor] | None:
        """Train once; what another than the first process writes nobody needs."""
        source = self._of_the_run()
        with contextlib.ExitStack() as stack:
            own = folder if team.first else stack.enter_context(own_folder())
            places = {id: literal(str(own)) for id in ("output_dir", "ckpt_dir") if self.training.declares(id)}
            seeds = {"seed": seed} if self.training.declares("seed") else {}
            train, validation = self._parts(self._items or source.data.part("train").items)
            weights = self.training.run(
                source.entries(train),
                seed=seed,
                validation=source.entries(validation) if validation else (),
                overrides={**places, **seeds},
            )
        return weights if team.first else None

    def _of_the_run(self) -> Source:
        """The data of the run, which the config is to take for its own."""
        self.training.share(pool=self.source.data, cache=self.source.cache)
        return self.source

    def _parts(self, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
        """The items to train on, and those to validate on."""
        if not self.training.declares(HELD_OUT):
            return items, ()
        return self.training.resolve(HELD_OUT)[0]

    def _embed(
        self, team: Team, state: Mapping[str, torch.Tensor] | None, items: Sequence[Item], path: Path, progress: bool
    ) -> list[int]:
        """Write one row per item; returns the shape."""
        self._items = items
        description = "embedding" if progress else None
        shapes = team.each("embed", state=state, description=description, path=path)
        columns = max(columns for _, columns in shapes)
        wrong = {shape[1] for shape in shapes if shape[0]} - {columns}
        if wrong:
            raise ValueError(f"the encoder gives embeddings of {columns} and of {min(wrong)} numbers: images differ")
        total = sum(rows for rows, _ in shapes)
        rows: Any = self._rows
        rows.open(columns)  # where the first process had no batch
        at = shapes[0][0]
        for rank in range(1, team.size):
            team.each("fetch embeddings", rank=rank, at=at, n=shapes[rank][0])
            at += shapes[rank][0]
        rows.array.flush()
        del rows.array
        return [total, columns]

    def _embedded(
        self, team: Team, state: Mapping[str, torch.Tensor] | None, description: str | None, path: Path
    ) -> tuple[int, int]:
        """Embed the items that are this process's; returns the shape of their rows."""
        source = self._of_the_run()
        trained = self.training.load(state, activation="none")
        items = self._items or source.data.part("train").items
        loader, _ = own_batches(source.loader(items), team.rank, team.size)
        n = sum(map(len, batches_of(loader)))
        if team.first:
            self._rows = _Rows(path, len(items))
        else:
            self._rows = _Rows(self._kept.enter_context(own_folder()) / "rows.npy", n)  # until they are fetched
        if self.training.declares(EMBEDDING):
            layer = self.training.resolve(EMBEDDING)[0]
            options = {"device": trained.device, "inferer": trained.inferer, "description": description}
            rows = score_items(trained.network, loader, {ENCODER: layer}, **options).get(ENCODER)
            if rows is not None:
                self._rows.add(rows)
        else:
            run_pass(_encoder_of(trained), loader, [self._rows], device=trained.device, description=description)
        return n, self._rows.array.shape[1] if n else 0

    def _fetched(self, team: Team, rank: int, at: int, n: int) -> None:
        """Bring the rows of one process to the first."""
        rows = self._rows
        assert rows is not None
        for start in range(0, n, _AT_ONCE) if team.rank in (0, rank) else ():
            stop = min(start + _AT_ONCE, n)
            if team.first:
                part = torch.empty(stop - start, rows.array.shape[1])
                dist.recv(part, src=rank, group=team.group)
                rows.array[at + start : at + stop] = part.numpy()
            else:
                dist.send(torch.from_numpy(np.array(rows.array[start:stop])), dst=0, group=team.group)
        if team.rank == rank:
            rows.__dict__.pop("array", None)
            self._kept.close()

    def _take(self, file: EncoderFile, folder: Path, team: Team, items: Sequence[Item], progress: bool) -> None:
        """Embed with the network as it is built, without training it."""
        start = time.perf_counter()
        logger.info("embedding %d items by the weights in %s", len(items), file.path)
        self._of_the_run()
        taken = self.training.load(None, activation="none")
        with new_folder(folder) as new:
            torch.save({"model": taken.network.state_dict()}, new / FILES["sha256"])
            shape = self._embed(team, None, items, new / FILES["embeddings_sha256"], progress)
            weights = {"file": str(file.path.resolve()), "sha256": file.sha256}
            record = {"config": self.settings(), "trained": False, "weights": weights, "embeddings": shape}
            write_json(new / RECORD, record | _hashes(new) | {"embed_s": round(time.perf_counter() - start, 2)})


def _identity(item: Item, content: str) -> tuple[Any, ...]:
    """What an item is, with the hash of its image."""
    told = (item.id, item.patient, item.volume, item.slice, content)
    return told if item.slice_axis == SLICE_AXIS else (*told, item.slice_axis)


def _hashes(folder: Path) -> dict[str, str]:
    return {key: content_hash(folder / name) for key, name in FILES.items()}


def _under_way(folder: Path) -> Path:
    """Where a training that was killed left what it goes on from."""
    return folder.with_name(f"{folder.name}.training")


def _encoder_of(trained: TrainedNetwork) -> torch.nn.Module:
    encoder = getattr(trained.network, ENCODER, None)
    if not isinstance(encoder, torch.nn.Module):
        raise BundleConfigError(f"network_def of the encoder's config has no part called {ENCODER!r}")
    return encoder


class _Rows:
    """Writes what a network gives for each item into an array on disk."""

    array: np.memmap

    def __init__(self, path: Path, n: int) -> None:
        self.path, self.n, self.seen = path, n, 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        found = engine.state.output["pred"].flatten(1).float().cpu().numpy()
        if not np.isfinite(found).all():
            raise ValueError("the encoder gives embeddings that are not finite: lower --pretrain_learning_rate")
        self.add(found)

    def add(self, found: np.ndarray) -> None:
        self.open(found.shape[1])
        self.array[self.seen : self.seen + len(found)] = found
        self.seen += len(found)

    def open(self, columns: int) -> None:
        if not self.seen:
            shape = (self.n, columns)
            self.array = np.lib.format.open_memmap(self.path, mode="w+", dtype=np.float32, shape=shape)
