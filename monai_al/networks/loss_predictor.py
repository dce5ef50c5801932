# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A network that also predicts how large its loss on each item is."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LossPredictor"]


class LossPredictor(nn.Module):
    """Any network, and beside it a small module that predicts each item's loss from the network's features.

    D. Yoo, I. S. Kweon, "Learning loss for active learning", CVPR 2019, section 3.2: each feature map is averaged over
    the image, mapped to ``width`` values and rectified; all of them together give one number. Only the order of the
    numbers means something: train with :class:`~monai_al.losses.LearningLoss`, and annotate the highest first.

    In training mode ``forward`` returns what the network returns and the predicted losses ``(B,)``, as a tuple; in
    evaluation mode only what the network returns. The predictions are the output of the layer ``loss_predictor``,
    ``(B, 1)``, in both modes. The network's own layers are found below ``network``.

    Args:
        network: becomes the child ``network``.
        layers: paths of the layers to look at, as in ``network.named_modules()``; each must run once per call and give
            ``(B, C, *spatial)``, of any spatial size.
        width: number of values that each layer is mapped to.
        channels: number of channels of each layer; None: a copy of the network is run once on an empty image to see
            them, which leaves the network and the random state as they are.
        in_channels: channels of that image.
        image_size: spatial size of that image.
        stop_gradient: whether the predicted losses leave the network's weights alone; may be set at any time, see
            :class:`~monai_al.handlers.StopFeatureGradient`. No part of the state dict.

    Raises:
        ValueError: there is no such layer (the message names near ones), ``channels`` does not fit ``layers``, or the
            network does not take the empty image; there or in a later call: a layer does not run exactly once, or does
            not give ``(B, C, *spatial)``.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 1))
        >>> network = LossPredictor(network, layers=["1", "2"], width=8)
        >>> output, predicted = network(torch.zeros(4, 1, 20, 30))
        >>> output.shape, predicted.shape
        (torch.Size([4, 2, 18, 28]), torch.Size([4]))
        >>> network.eval()(torch.zeros(4, 1, 20, 30)).shape
        torch.Size([4, 2, 18, 28])
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        width: int = 128,
        *,
        channels: Sequence[int] | None = None,
        in_channels: int = 1,
        image_size: Sequence[int] = (64, 64),
        stop_gradient: bool = False,
    ) -> None:
        super().__init__()
        _check_layers(network, layers)
        if channels is None:
            channels = _channels(network, layers, (1, in_channels, *image_size))
        if len(channels) != len(layers):
            raise ValueError(f"there are {len(layers)} layers but {len(channels)} numbers of channels: give one each")
        self.network = network
        self.layers = tuple(layers)
        self.stop_gradient = stop_gradient
        self.loss_predictor = _Predictor(channels, width)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The network's output; in training mode together with the predicted losses.

        Args:
            x: a batch of images ``(B, in_channels, *spatial)``.
            args: passed on to the network.
            kwargs: passed on to the network.
        """
        with _watched(self.network, self.layers, x) as seen:
            output = self.network(x, *args, **kwargs)
        features = [_only(seen[layer], layer) for layer in self.layers]
        self._check_channels(features)
        if self.stop_gradient:
            features = [feature.detach() for feature in features]
        predicted = self.loss_predictor(features)
        return (output, predicted[:, 0]) if self.training else output

    def _check_channels(self, features: list[Tensor]) -> None:
        for layer, feature, expected in zip(self.layers, features, self.loss_predictor.channels, strict=True):
            if feature.shape[1] != expected:
                raise ValueError(f"layer {layer!r} gives {feature.shape[1]} channels, not {expected}: correct channels")


class _Predictor(nn.Module):
    """Averaged features ``(B, C)`` of each layer -> ``(B, 1)``."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(number, width), nn.ReLU()) for number in channels)
        self.out = nn.Linear(width * len(channels), 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.out(torch.cat([branch(f) for branch, f in zip(self.branches, features, strict=True)], dim=1))


@contextmanager
def _watched(network: nn.Module, layers: Sequence[str], x: Tensor) -> Iterator[dict[str, list[Tensor]]]:
    """Within the context the layers' outputs are averaged and collected; they bear no hook afterwards."""
    seen: dict[str, list[Tensor]] = {layer: [] for layer in layers}

    def watch(layer: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            seen[layer].append(_averaged(output, layer, x))

        return network.get_submodule(layer).register_forward_hook(hook)

    hooks = [watch(layer) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _averaged(output: Any, layer: str, x: Tensor) -> Tensor:
    """A layer's output ``(B, C, *spatial)``, averaged over the image."""
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or output.ndim != x.ndim or len(output) != len(x):
        raise ValueError(
            f"layer {layer!r} gives {shape} for images {tuple(x.shape)}, not (B, C, *spatial): choose a layer within "
            "it or another one"
        )
    return output.as_subclass(Tensor).flatten(2).mean(2)


def _only(seen: list[Tensor], layer: str) -> Tensor:
    if len(seen) == 1:
        return seen[0]
    raise ValueError(
        f"layer {layer!r} ran {len(seen)} times in the network's forward pass, not once: choose another one"
        + ("" if seen else "; it may be unused, or part of a compiled or scripted network, which hides its layers")
    )


def _channels(network: nn.Module, layers: Sequence[str], shape: tuple[int, ...]) -> list[int]:
    """How many channels the layers have, from a run of a copy on an empty image."""
    probe = copy.deepcopy(network).eval()
    some = next((p for p in probe.parameters() if p.is_floating_point()), torch.empty(0))
    x = torch.zeros(shape, dtype=some.dtype, device=some.device)
    with torch.no_grad(), torch.random.fork_rng([x.device] if x.is_cuda else []), _watched(probe, layers, x) as seen:
        try:
            probe(x)
        except (RuntimeError, TypeError, AssertionError) as error:
            raise ValueError(
                f"{type(network).__name__} does not take an empty image of shape {shape}: give in_channels and "
                f"image_size that it takes, or the channels of the layers ({error})"
            ) from error
    return [_only(seen[layer], layer).shape[1] for layer in layers]


def _check_layers(network: nn.Module, layers: Sequence[str]) -> None:
    if isinstance(layers, str) or not layers or len(set(layers)) < len(layers):
        raise ValueError(f"layers must be a list of different paths of layers, at least one, got {layers!r}")
    names = [name for name, _ in network.named_modules(remove_duplicate=False) if name]
    for layer in layers:
        if layer not in names:
            children = [name for name, _ in network.named_children()]
            near = difflib.get_close_matches(str(layer), names, n=5, cutoff=0.5) or children
            raise ValueError(f"{type(network).__name__} has no layer {layer!r}; near it: {', '.join(near) or 'none'}")
