# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Refuse predictions that are to differ and never do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn

from monai_al.data.seeding import seeded
from monai_al.inferers.mc_dropout import active_dropout, dropout_enabled
from monai_al.inferers.several import several_predictions
from monai_al.networks import MeanOfMembers

__all__ = ["refuse_equal_predictions"]

TRIES = 16  # a dropout of few channels, or flips alone, may draw the same now and then
FUSED = (
    "have no effect on its output: a fused layer such as torch.nn.TransformerEncoderLayer leaves them out in "
    "evaluation (torch.backends.mha.set_fastpath_enabled(False) prevents that), or their branch is not used"
)


def refuse_equal_predictions(
    kind: str,
    images: Tensor,
    network: nn.Module,
    *,
    inferer: Inferer | None = None,
    augmentation: Mapping[str, Any] | None = None,
) -> None:
    """Raise where several predictions of a network are equal bit for bit on any image.

    What compares them would be 0 for every item, and would rank nothing. Passes are tried on noise, on which networks
    do not rest as they may on an empty image, and with a dropout rate of one half, so that a small one is no cause.
    The members of an ensemble are compared by their weights. PyTorch's random state stays untouched.

    Args:
        kind: see :func:`several_predictions`.
        images: ``(B, C, *spatial)``; only their shape, type and device count.
        network: the network, in evaluation mode.
        inferer: see :func:`several_predictions`.
        augmentation: see :func:`several_predictions`.

    Raises:
        ValueError: they are equal; the message says why, and what to do.

    Example:
        >>> class Unused(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.drop = nn.Dropout(0.5)
        ...     def forward(self, x):
        ...         return x
        >>> refuse_equal_predictions("dropout", torch.zeros(1, 1, 8, 8), nn.Dropout(0.5))
        >>> try:
        ...     refuse_equal_predictions("dropout", torch.zeros(1, 1, 8, 8), Unused())
        ... except ValueError as error:
        ...     print(str(error).split(": ")[1].split(";")[0])
        its dropout layers drop are not called in its forward pass
    """
    if kind == "members":
        _refuse_equal_members(network)
        return
    with torch.no_grad(), seeded(0, images.device):
        noise = torch.randn(images.shape, device=images.device).to(images.dtype)
        if not _are_equal(kind, noise, network, inferer, augmentation):
            return
        name = type(network).__name__
        if kind == "augmentation":
            raise ValueError(
                f"{name} predicts augmented copies of an image exactly like the image, so that they cannot be "
                "compared: give the measure a rotation or noise above 0, or choose one that needs one prediction"
            )
        raise ValueError(
            f"the passes of {name} with its dropout on are equal bit for bit, so that they cannot be compared: its "
            f"dropout layers {_cause(noise, network, inferer or SimpleInferer())}; or choose a measure that needs one "
            "prediction"
        )


def _are_equal(
    kind: str, images: Tensor, network: nn.Module, inferer: Inferer | None, augmentation: Mapping[str, Any] | None
) -> bool:
    """Whether even dropout rates of one half make no difference."""
    with _rates_of_one_half(network):
        tries = several_predictions(
            kind, images, network, passes=TRIES, inferer=inferer, activation="none", augmentation=augmentation
        )
        first, _ = next(tries)
        return all(torch.equal(first, other) for other, _ in tries)


def _cause(images: Tensor, network: nn.Module, inferer: Inferer) -> str:
    """The names of the dropout layers, and why they have no effect."""
    layers = active_dropout(network)
    names = ", ".join(name or "itself" for name, module in network.named_modules() if module in layers)
    called: list[nn.Module] = []
    hooks = [layer.register_forward_hook(lambda module, given, output: called.append(module)) for layer in layers]
    try:
        with dropout_enabled(network):
            inferer(images, network)  # fused layers give way to hooks
    finally:
        for hook in hooks:
            hook.remove()
    return f"{names} {FUSED}" if called else f"{names} are not called in its forward pass; call them there"


@contextmanager
def _rates_of_one_half(network: nn.Module) -> Iterator[None]:
    rates = {layer: layer.p for layer in active_dropout(network)}
    try:
        for layer in rates:
            layer.p = 0.5
        yield
    finally:
        for layer, rate in rates.items():
            layer.p = rate


def _refuse_equal_members(network: nn.Module) -> None:
    members = network.members if isinstance(network, MeanOfMembers) else []
    for (i, one), (k, other) in combinations(enumerate(members), 2):
        if _same_weights(one.state_dict(), other.state_dict()):
            raise ValueError(
                f"members {i} and {k} have the same weights, bit for bit, so that they cannot disagree: train each "
                "from a seed of its own"
            )


def _same_weights(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if not one or one.keys() != other.keys():
        return False
    return all(isinstance(one[name], Tensor) and torch.equal(one[name], other[name]) for name in one)
