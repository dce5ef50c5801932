# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One call of an engine's inferer, during which a layer's outputs are collected."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer, SliceInferer, SlidingWindowInferer, SlidingWindowInfererAdapt
from torch import Tensor, nn

__all__ = ["WatchedCall", "find_layer", "pooled"]


# they predict all windows of the first item, then all of the second, and so on
SLIDING = (SlidingWindowInferer, SlidingWindowInfererAdapt, SliceInferer)
_POOLING: dict[int, Callable[[Tensor, int], Tensor]] = {
    1: nn.functional.adaptive_avg_pool1d,
    2: nn.functional.adaptive_avg_pool2d,
    3: nn.functional.adaptive_avg_pool3d,
}


class WatchedCall(Inferer):
    """Takes the place of an engine's inferer for its next call, and keeps what a layer gives in that call.

    The layer bears a hook only while the engine's own inferer runs, so no other use of the network is seen, and none is
    left behind after an error.

    Args:
        engine: its ``inferer`` is replaced until it is called.
        layer: the layer to watch, a part of the network.
        name: how messages call it.
        channel_dim: see :func:`pooled`.
        grid: see :func:`pooled`.

    Example:
        >>> from types import SimpleNamespace
        >>> engine = SimpleNamespace(inferer=SlidingWindowInferer((2, 2)))
        >>> network = nn.Sequential(nn.Identity())
        >>> call = WatchedCall(engine, network[0], "0")
        >>> _ = engine.inferer(torch.arange(32.0).reshape(2, 1, 4, 4), network)
        >>> call.embeddings(2).tolist()
        [[7.5], [23.5]]
    """

    def __init__(self, engine: Any, layer: nn.Module, name: str, channel_dim: int | None = None, grid: int = 1) -> None:
        self.engine = engine
        self.inferer: Inferer = engine.inferer
        self.layer = layer
        self.name = name
        self.channel_dim = channel_dim
        self.grid = grid
        self._outputs: list[Tensor] = []
        self._calls = 0
        engine.inferer = self

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the engine's inferer and give it back its place."""
        self.engine.inferer = self.inferer
        self._refuse_second_tries(inputs)
        hooks = [
            self.layer.register_forward_hook(lambda module, given, output: self._collect(output, inputs.ndim)),
            network.register_forward_hook(lambda module, given, output: self._count()),
        ]
        try:
            return self.inferer(inputs, network, *args, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    def embeddings(self, n: int) -> Tensor:
        """One row per item of the batch, float32 ``(n, D)``.

        Args:
            n: number of items in the batch.

        Raises:
            ValueError: the layer did not run, or its outputs cannot be told apart by item.
        """
        if not self._outputs:
            raise ValueError(
                f"layer {self.name!r} did not run in the network's forward pass: it may be unused in evaluation, or "
                "part of a compiled or scripted network, which hides its layers"
            )
        rows, inferer = torch.cat(self._outputs), type(self._innermost())
        in_order = inferer in SLIDING and len(self._outputs) == self._calls
        if len(rows) == n or n == 1 or (in_order and len(rows) % n == 0):
            return rows.reshape(n, -1, rows.shape[1]).mean(1)
        raise ValueError(
            f"layer {self.name!r} gave {len(rows)} embeddings in {self._calls} calls of the network for {n} items with "
            f"{inferer.__name__}, and it cannot be told which belong to which: choose a layer that runs once per call, "
            "or predict one item per batch"
        )

    def _refuse_second_tries(self, inputs: Tensor) -> None:
        inferer = self._innermost()
        if isinstance(inferer, SlidingWindowInfererAdapt) and inferer.device is None and inputs.is_cuda:
            raise ValueError(
                "SlidingWindowInfererAdapt predicts windows again where GPU memory runs out, so it cannot be told "
                "which count: set its device, or use SlidingWindowInferer"
            )

    def _innermost(self) -> Inferer:
        return self.inferer._innermost() if isinstance(self.inferer, WatchedCall) else self.inferer

    def _count(self) -> None:
        self._calls += 1

    def _collect(self, output: Any, image_ndim: int) -> None:
        self._outputs.append(pooled(output, self.name, image_ndim, self.channel_dim, self.grid))


def pooled(output: Any, name: str, image_ndim: int, channel_dim: int | None = None, grid: int = 1) -> Tensor:
    """A layer's output, averaged over all dimensions but the batch and the channels, or over parts of them.

    Args:
        output: ``(B, C, *spatial)`` or ``(B, D)``.
        name: how messages call the layer.
        image_ndim: number of dimensions of the network's input.
        channel_dim: which dimension holds the channels; None: the first after the batch.
        grid: into how many parts each spatial dimension is cut, as by adaptive average pooling; a part is averaged.

    Returns:
        float32 ``(B, C * grid ** (number of spatial dimensions))``, channel by channel.

    Raises:
        ValueError: it is no such tensor, or it is not clear where the channels are.

    Example:
        >>> pooled(torch.ones(2, 3, 8, 8), "bottom", image_ndim=4).shape
        torch.Size([2, 3])
        >>> pooled(torch.arange(16.0).reshape(1, 1, 4, 4), "bottom:2", image_ndim=4, grid=2).tolist()
        [[2.5, 4.5, 10.5, 12.5]]
    """
    if not isinstance(output, Tensor):
        raise ValueError(
            f"layer {name!r} gives a {type(output).__name__}, not a tensor: choose a layer within it or another one"
        )
    shape = tuple(output.shape)
    if output.ndim < 2:
        raise ValueError(f"layer {name!r} gives the shape {shape}, an embedding needs (B, C, *spatial) or (B, D)")
    if channel_dim is None and output.ndim == 3 != image_ndim:
        raise ValueError(
            f"layer {name!r} gives the shape {shape}: give channel_dim, 1 or 2, the dimension that holds the channels"
        )
    features = output.detach().as_subclass(Tensor).movedim(1 if channel_dim is None else channel_dim, 1)
    if grid > 1:
        return _cells(features, name, image_ndim, grid)
    if features.ndim == 2:
        return features.to(torch.float32, copy=True)  # later layers may work in place
    return features.flatten(2).mean(2, dtype=torch.float32)


def _cells(features: Tensor, name: str, image_ndim: int, grid: int) -> Tensor:
    spatial = features.ndim - 2
    if spatial not in _POOLING or (spatial == 1 and image_ndim != 3):
        raise ValueError(
            f"layer {name!r} gives the shape {tuple(features.shape)}, channels first, which has no places to average "
            f"over: take {name.rpartition(':')[0]!r}, which is averaged over all of it"
        )
    return _POOLING[spatial](features.to(torch.float32), grid).flatten(1)


def find_layer(network: nn.Module, path: str) -> nn.Module:
    """A layer by its path as in ``named_modules``, also within a network that is wrapped for several devices.

    Raises:
        ValueError: there is none, or the network is spread over several devices in one process.

    Example:
        >>> find_layer(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()), "1")
        ReLU()
    """
    if isinstance(network, nn.DataParallel) and len(network.device_ids) > 1:
        raise ValueError(
            "the order of a layer's outputs on several devices is not defined: use DistributedDataParallel, or the "
            "network itself instead of DataParallel"
        )
    inner = _unwrapped(network)
    for whole in (inner, network):
        try:
            if path:
                return whole.get_submodule(path)
        except AttributeError:
            continue
    names = [name for name, _ in inner.named_modules() if name]
    near = difflib.get_close_matches(str(path), names, n=5, cutoff=0.5) or [name for name, _ in inner.named_children()]
    raise ValueError(f"{type(inner).__name__} has no layer {path!r}; near it: {', '.join(near) or 'none'}")


def _unwrapped(network: nn.Module) -> nn.Module:
    while True:
        if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):  # torch.compile
            network = inner
        else:
            return network
