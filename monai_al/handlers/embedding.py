# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Embed every item that passes through a MONAI evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.utils import CommonKeys
from torch import nn

from monai_al.handlers.growing_rows import GrowingRows
from monai_al.handlers.item_ids import ItemIds
from monai_al.handlers.named_embeddings import BOTTLENECK, bottleneck_of, is_pixels, layer_and_grid, pixel_rows
from monai_al.handlers.result_files import of_this_process, result_path
from monai_al.handlers.watched_call import WatchedCall, find_layer
from monai_al.records.files import write_file

__all__ = ["EmbeddingHandler"]


class EmbeddingHandler:
    """Keep one vector per item of an evaluator's run: a layer's output, averaged over the image, or the image itself.

    Attach it to any ``SupervisedEvaluator``. After the run the vectors are in :attr:`embeddings` and :attr:`ids`, and
    in ``engine.state.embeddings`` (name -> vectors) and ``engine.state.embedding_ids``. An item is called as
    :class:`~monai_al.handlers.ItemIds` says. Each process keeps the items it saw itself.

    With MONAI's ``SlidingWindowInferer`` and ``SliceInferer`` an item's vector is the mean over its windows, each with
    the same weight, whatever items share a call of the network. With any other inferer the layer must give one row per
    item; where a batch is one item it may give any number, and they are averaged. Only the evaluator's own forward pass
    counts, never those of an :class:`~monai_al.handlers.UncertaintyHandler` beside it.

    Args:
        layer: path of the layer, as in ``network.named_modules()``; ``"bottleneck"`` for the network's deepest layer;
            either with ``":2"`` for its output averaged over each half of every side of the image instead of all of it,
            by adaptive average pooling, so that an image has 4 times as many numbers and a volume 8 times as many;
            ``"pixels"`` for the image itself as one long vector, ``"pixels:64"`` for the image resized to 64 pixels.
        name: key in ``engine.state.embeddings``; default: the layer.
        channel_dim: which dimension of the layer's output holds the channels, all others are averaged; default: the
            first after the batch. Layers of transformers often hold them last: -1.
        image_key: the network's input in ``engine.state.output``.
        id_key: optional ids in the batch.
        path: a ``.npz`` file to write after each run, with ``ids`` and ``embeddings``; of several processes each writes
            its own, ``<stem>.rank<number>.npz``.

    Raises:
        ValueError: ``path`` is no ``.npz`` or ``channel_dim`` is 0; when the handler is attached or the run starts: the
            network has no such layer (the message names near ones); during the run: the layer gives no tensor or an
            unclear one, its outputs cannot be told apart by item, or they are not finite (the message names the id).

    Example:
        >>> from monai.engines import SupervisedEvaluator
        >>> network = nn.Sequential(nn.Conv2d(1, 5, 3), nn.Conv2d(5, 2, 1))
        >>> evaluator = SupervisedEvaluator("cpu", [{"image": torch.zeros(3, 1, 8, 8)}], network, decollate=False)
        >>> handler = EmbeddingHandler("0")
        >>> handler.attach(evaluator)
        >>> evaluator.run()
        >>> handler.ids, handler.embeddings.shape
        (['0', '1', '2'], (3, 5))
    """

    def __init__(
        self,
        layer: str,
        *,
        name: str | None = None,
        channel_dim: int | None = None,
        image_key: str = CommonKeys.IMAGE,
        id_key: str = "id",
        path: str | Path | None = None,
    ) -> None:
        if channel_dim == 0:
            raise ValueError("channel_dim 0 is the batch: give 1, or -1 for the last dimension")
        self.layer = layer
        self.name = layer if name is None else name
        self.channel_dim = channel_dim
        self.image_key = image_key
        self.path = result_path(path, ".npz")
        self._items = ItemIds(image_key, id_key)
        self._layer: nn.Module | None = None
        self._call: WatchedCall | None = None
        self.reset()

    @property
    def ids(self) -> list[Any]:
        """The items' ids in the order of the visit."""
        return self._items.seen

    @property
    def embeddings(self) -> np.ndarray:
        """float32 ``(N, D)`` in the order of the visit; memory-mapped from a temporary file where they are many."""
        return self._rows.array()

    def attach(self, engine: Engine) -> None:
        """Embed the items of every run of this evaluator; a run forgets the one before.

        Args:
            engine: a ``SupervisedEvaluator`` or another engine with its events, state, ``network`` and ``inferer``.
        """
        if isinstance(getattr(engine, "network", None), nn.Module):  # not yet there for an engine's own handlers
            self._find(engine)
        engine.add_event_handler(Events.STARTED, self._find)
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(Events.ITERATION_STARTED, self._watch)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.publish)

    def reset(self) -> None:
        """Forget all embeddings and ids."""
        self._items.reset()
        self._rows = GrowingRows()

    def publish(self, engine: Any) -> None:
        """Leave embeddings and ids in ``engine.state``, beside those of other such handlers, and in the file."""
        engine.state.embeddings = {**getattr(engine.state, "embeddings", {}), self.name: self.embeddings}
        engine.state.embedding_ids = self.ids
        if self.path is not None:
            content = {"ids": np.asarray(self.ids, dtype=str), "embeddings": self.embeddings}
            write_file(of_this_process(self.path), lambda file: np.savez(file, **content))
        self._layer = self._call = None

    def __call__(self, engine: Any) -> None:
        """Keep the embeddings of the batch that the engine has just predicted."""
        images = engine.state.output[self.image_key]
        ids = self._items.take(engine, len(images))
        rows = pixel_rows(images, self.layer) if self._call is None else self._call.embeddings(len(ids))
        self._check_size(rows.shape[1], ids[0])
        wrong = (~torch.isfinite(rows).all(1)).nonzero().flatten().tolist()
        if wrong:
            items = ", ".join(repr(ids[i]) for i in wrong)
            raise ValueError(
                f"layer {self.layer!r} gives embeddings that are not finite for item {items}: look for NaN in its "
                "image and in the network's weights"
            )
        self._rows.add(rows.cpu().numpy())

    def _check_size(self, size: int, id: Any) -> None:
        if self._rows.columns not in (None, size):
            raise ValueError(
                f"{self.layer!r} gives {size} numbers for item {id!r} and {self._rows.columns} for those before"
                + (
                    ": the images differ in size; take 'pixels:64' (of a coreset's start: --strategy#initial)"
                    if is_pixels(self.layer)
                    else ""
                )
            )

    def _find(self, engine: Any) -> None:
        while isinstance(engine.inferer, WatchedCall):  # of a run that failed before it predicted
            engine.inferer = engine.inferer.inferer
        layer, _ = layer_and_grid(self.layer)
        if not is_pixels(self.layer) and layer != BOTTLENECK:
            self._layer = find_layer(engine.network, layer)

    def _watch(self, engine: Any) -> None:
        if is_pixels(self.layer):
            return
        if self._layer is None:  # it takes an image to see which layer is the deepest
            image = engine.state.batch[self.image_key][:1].to(engine.state.device)
            self._layer = bottleneck_of(engine.network, engine.inferer, image)
        grid = layer_and_grid(self.layer)[1]
        self._call = WatchedCall(engine, self._layer, self.layer, self.channel_dim, grid)
