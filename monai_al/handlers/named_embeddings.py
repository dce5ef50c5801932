# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The names of embeddings: the pixels, the bottleneck of any network, and a layer that is averaged over a grid."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["BOTTLENECK", "PIXELS", "bottleneck_of", "is_pixels", "layer_and_grid", "pixel_rows"]

BOTTLENECK = "bottleneck"
PIXELS = "pixels"  # the embedding by the preprocessed image itself
_PIXELS = re.compile(rf"{PIXELS}(?::([1-9]\d*))?$")
_GRID = re.compile(r"(.*):([1-9]\d*)$")


def is_pixels(name: str) -> bool:
    """Whether an embedding is the image itself: ``"pixels"``, or ``"pixels:64"`` for one resized to 64 pixels.

    Example:
        >>> is_pixels("pixels"), is_pixels("pixels:64"), is_pixels("encoder.0")
        (True, True, False)
    """
    return _PIXELS.match(name) is not None


def layer_and_grid(name: str) -> tuple[str, int]:
    """A layer's path, or ``"bottleneck"``, and over how many parts of each side of the image its output is averaged.

    Args:
        name: ``"bottleneck"``, averaged over the whole image, or ``"bottleneck:2"``, over each quarter of an image and
            each eighth of a volume; likewise with the path of a layer.

    Example:
        >>> layer_and_grid("bottleneck:2"), layer_and_grid("model.1.submodule")
        (('bottleneck', 2), ('model.1.submodule', 1))
    """
    match = _GRID.match(name)
    return (name, 1) if match is None else (match[1], int(match[2]))


def pixel_rows(images: Tensor, name: str) -> Tensor:
    """Images as rows of numbers.

    Args:
        images: ``(B, C, *spatial)``.
        name: ``"pixels"``, or ``"pixels:<n>"`` to resize every spatial side to ``n``, by the means of areas.

    Returns:
        float32 ``(B, D)``, of ``pixels:n`` with D = C * n ** (number of spatial dimensions).

    Raises:
        ValueError: the name is another one.

    Example:
        >>> pixel_rows(torch.arange(16.0).reshape(1, 1, 4, 4), "pixels:2").tolist()
        [[2.5, 4.5, 10.5, 12.5]]
    """
    match = _PIXELS.match(name)
    if match is None:
        raise ValueError(f"{name!r} is not 'pixels' or 'pixels:<size>'")
    images = images.as_subclass(Tensor).to(torch.float32)
    if match[1]:
        size = [int(match[1])] * (images.ndim - 2)
        images = nn.functional.interpolate(images, size=size, mode="area")
    return images.flatten(1)


def bottleneck_of(network: nn.Module, inferer: Any, image: Tensor) -> nn.Module:
    """The deepest layer of a network: a part called ``bottleneck``, else the one with the smallest and widest output.

    Of layers with outputs of the fewest pixels those with most channels count, of these the last.

    Args:
        network: the network.
        inferer: called as ``inferer(image, network)``; the layers' outputs are watched while it runs.
        image: one image ``(1, C, *spatial)`` on the network's device.

    Raises:
        ValueError: no layer's output is smaller than the image.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> unet = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.Upsample(scale_factor=2))
        >>> bottleneck_of(unet, SimpleInferer(), torch.zeros(1, 1, 8, 8))
        ReLU()
    """
    named = getattr(network, BOTTLENECK, None)
    if isinstance(named, nn.Module):
        return named
    outputs: list[tuple[tuple[int, int], nn.Module]] = []
    modes = [(module, module.training) for module in network.modules()]
    hooks = [
        module.register_forward_hook(lambda module, given, output: _note(outputs, module, output, image.ndim))
        for module in network.modules()
    ]
    try:
        network.eval()
        with torch.no_grad():
            inferer(image, network)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    leaves = [shape for shape, module in outputs if not list(module.children())]
    deepest = min(leaves, default=(image[0, 0].numel(), 0))
    if deepest[0] >= image[0, 0].numel():
        raise ValueError(
            f"no layer of {type(network).__name__} has an output smaller than the image, so it has no bottleneck: name "
            "a layer by its path"
        )
    calls = Counter(module for _, module in outputs)
    deep = [module for shape, module in outputs if shape == deepest]
    fewest = min(calls[module] for module in deep)  # a layer that is used twice gives two outputs per image
    return [module for module in deep if calls[module] == fewest][-1]


def _note(outputs: list[tuple[tuple[int, int], nn.Module]], module: nn.Module, output: Any, ndim: int) -> None:
    if isinstance(output, Tensor) and output.ndim == ndim and output[0, 0].numel() > 1:
        outputs.append(((output[0, 0].numel(), -output.shape[1]), module))
