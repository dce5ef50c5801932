# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A network whose decoder is supervised at several depths, and that tells how far these agree."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

__all__ = ["DeeplySupervised"]

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


class DeeplySupervised(nn.Module):
    """Any network, and beside it predictions from its features at half and at a quarter of the image's size.

    Z. Zhao, Z. Zeng, K. Xu, C. Chen, C. Guan, "DSAL: deeply supervised active learning from strong and weak labelers
    for biomedical image segmentation", 2021. Each prediction is a 1x1 convolution of a layer's output, resized linearly
    to the size of the network's own output. In training mode ``forward`` returns all predictions as a tuple, the
    network's own first, as MONAI's ``DeepSupervisionLoss`` takes them; in evaluation mode only the network's own.

    In evaluation mode the layer ``agreement`` gives ``(B, 2)``: how far the predictions agree, and how sure the
    network's own one is. The agreement is the mean over the further predictions of their Dice with the network's own,
    on label maps; of several classes it is the mean over the foreground classes that either shows, and 1 where neither
    shows any. The confidence is the mean of ``|p - 0.5|`` over all pixels and foreground classes.

    Args:
        network: becomes the child ``network``; gives logits ``(B, C, *spatial)``, one channel for a sigmoid or several
            for a softmax.
        layers: paths of the layers to predict from, as in ``network.named_modules()``. None: the last ones that run
            with half and with a quarter of the image's size, as far as there are such: those of a U-Net's way up.
        in_channels: channels of an empty image that a copy of the network is run on to see the layers.
        image_size: its spatial size.

    Raises:
        ValueError: there is no such layer, or it or the network gives no ``(B, C, *spatial)``; the network does not
            take the empty image.

    Example:
        >>> from monai.networks.nets import UNet
        >>> network = DeeplySupervised(UNet(2, 1, 3, channels=(4, 8, 8), strides=(2, 2)))
        >>> [tuple(output.shape) for output in network(torch.zeros(2, 1, 32, 48))]
        [(2, 3, 32, 48), (2, 3, 32, 48), (2, 3, 32, 48)]
        >>> network.eval()(torch.zeros(2, 1, 32, 48)).shape
        torch.Size([2, 3, 32, 48])
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str] | None = None,
        *,
        in_channels: int = 1,
        image_size: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        seen, out_channels = _tried(network, (1, in_channels, *image_size))
        if layers is None:
            layers = _of_sizes(seen, image_size)
        wrong = [layer for layer in layers if layer not in seen]
        if wrong or not layers:
            what = f"no layer {wrong[0]!r} that gives" if wrong else "no layer of half the image's size that gives"
            raise ValueError(
                f"{type(network).__name__} has {what} (B, C, *spatial) where it is run on an empty image: name others "
                "by layers"
            )
        dims = len(image_size)
        self.network = network
        self.layers = tuple(layers)
        self.heads = nn.ModuleList(Conv[Conv.CONV, dims](seen[layer][0], out_channels, 1) for layer in layers)
        self.agreement = _Agreement()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits of a batch; in training mode those of all depths.

        Args:
            x: ``(B, in_channels, *spatial)``.
        """
        with _watched(self.network, self.layers) as seen:
            output = self.network(x)
        size, mode = output.shape[2:], MODES[output.ndim - 2]
        deeper = [
            F.interpolate(head(seen[layer]), size=size, mode=mode, align_corners=False)
            for head, layer in zip(self.heads, self.layers, strict=True)
        ]
        if self.training:
            return (output, *deeper)
        self.agreement(output, deeper)
        return output


class _Agreement(nn.Module):
    """Logits of all depths -> agreement and confidence, ``(B, 2)``."""

    def forward(self, main: Tensor, deeper: Sequence[Tensor]) -> Tensor:
        own = _masks(main)
        agreement = torch.stack([_dice(own, _masks(logits)) for logits in deeper]).mean(0)
        logits = main.as_subclass(Tensor).float()
        probs = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)[:, 1:]
        return torch.stack([agreement, (probs - 0.5).abs().flatten(1).mean(1)], dim=1)


def _masks(logits: Tensor) -> Tensor:
    """Masks of the foreground classes, boolean ``(B, K, pixels)``."""
    logits = logits.as_subclass(Tensor)
    if logits.shape[1] == 1:
        return logits.flatten(2) > 0
    labels = logits.argmax(1).flatten(1)
    return torch.stack([labels == number for number in range(1, logits.shape[1])], dim=1)


def _dice(first: Tensor, second: Tensor) -> Tensor:
    """Dice ``(B,)``, the mean over the classes that either shows; 1 where neither shows any."""
    total = first.sum(2) + second.sum(2)
    dice = 2 * (first & second).sum(2) / total.clamp(min=1)
    shown = total > 0
    return torch.where(shown.any(1), dice.sum(1) / shown.sum(1).clamp(min=1), 1.0)


@contextmanager
def _watched(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Within the context the layers' last outputs are collected; they bear no hook afterwards."""
    seen: dict[str, Tensor] = {}

    def keep(layer: str) -> Any:
        def hook(module: nn.Module, given: object, output: object) -> None:
            seen.pop(layer, None)  # so that the order is that in which they ended
            if isinstance(output, Tensor):
                seen[layer] = output

        return network.get_submodule(layer).register_forward_hook(hook)

    hooks = [keep(layer) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _tried(network: nn.Module, shape: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], int]:
    """Layer -> channels and size of what it gives for an empty image, in the order they end; channels of the output."""
    probe = copy.deepcopy(network).eval()
    some = next((p for p in probe.parameters() if p.is_floating_point()), torch.empty(0))
    x = torch.zeros(shape, dtype=some.dtype, device=some.device)
    with torch.no_grad(), _watched(probe, [name for name, _ in probe.named_modules() if name]) as seen:
        try:
            output = probe(x)
        except (RuntimeError, TypeError, AssertionError) as error:
            raise ValueError(
                f"{type(network).__name__} does not take an empty image of shape {shape}: give in_channels and "
                f"image_size that it takes ({error})"
            ) from error
    if not isinstance(output, Tensor) or output.ndim != len(shape):
        what = f"the shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ValueError(
            f"{type(network).__name__} must give logits (B, C, *spatial) of an image of shape {shape}, not {what}: "
            "have it give its own prediction alone"
        )
    return {name: tuple(one.shape[1:]) for name, one in seen.items() if one.ndim == len(shape)}, output.shape[1]


def _of_sizes(seen: dict[str, tuple[int, ...]], image_size: Sequence[int]) -> list[str]:
    """The last layers with half and with a quarter of a size, as far as there are such."""
    of_size = {shape[1:]: name for name, shape in seen.items()}
    wanted = [tuple(length // factor for length in image_size) for factor in (2, 4)]
    return [of_size[size] for size in wanted if size in of_size]
