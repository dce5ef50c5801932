# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One entry to all ways of several predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monai.inferers import Inferer
from torch import Tensor, nn

from monai_al.inferers.mc_dropout import MCDropoutInferer
from monai_al.inferers.members import MembersInferer
from monai_al.inferers.tta import TTAInferer
from monai_al.uncertainty import SAMPLES, probabilities

__all__ = ["several_predictions"]


def several_predictions(
    kind: str,
    inputs: Tensor,
    network: nn.Module,
    *,
    passes: int = 10,
    inferer: Inferer | None = None,
    activation: str = "softmax",
    seed: int | None = None,
    augmentation: Mapping[str, Any] | None = None,
    numbers: Sequence[int] | None = None,
    first: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Several predictions of one batch, one after the other.

    Args:
        kind: ``"dropout"``: :class:`MCDropoutInferer`; ``"augmentation"``: :class:`TTAInferer`; ``"members"``:
            :class:`MembersInferer`.
        inputs: a batch ``(B, C, *spatial)``.
        network: the network; for ``"members"`` a :class:`~monai_al.networks.MeanOfMembers`.
        passes: number of predictions; members are all asked.
        inferer: how one prediction is made; default: one call of the network.
        activation: from the output to probabilities: ``"softmax"``, ``"sigmoid"``, ``"multilabel"`` or ``"none"``;
            members have their own.
        seed: of the dropout or the augmentation; None: draw from PyTorch's random state.
        augmentation: ``rotation``, ``noise``, ``flips`` and ``quarter_turns`` of :class:`TTAInferer`.
        numbers: the items' numbers, from which each derives its augmentation with ``seed``; default: 0 to B - 1.
        first: the network's output for ``inputs`` where it is known already, for ``"augmentation"``.

    Returns:
        An iterator over probabilities ``(B, C, *spatial)``, each with a bool mask ``(B, *spatial)`` of the pixels it
        holds for, or None for all.

    Raises:
        ValueError: the kind is unknown, or the network or a setting does not fit.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout(0.5))
        >>> predictions = several_predictions("dropout", torch.zeros(3, 1, 8, 8), network, passes=4)
        >>> [tuple(probs.shape) for probs, valid in predictions]
        [(3, 2, 8, 8), (3, 2, 8, 8), (3, 2, 8, 8), (3, 2, 8, 8)]
    """
    if kind == "dropout":
        outputs = MCDropoutInferer(passes, inferer, seed=seed).samples(inputs, network)
        return ((probabilities(output, activation), None) for output in outputs)
    if kind == "augmentation":
        tta = TTAInferer(passes, inferer, activation=activation, seed=seed, **(augmentation or {}))
        return tta.samples(inputs, network, numbers=numbers, first=first)
    if kind == "members":
        return ((probs, None) for probs in MembersInferer(inferer).samples(inputs, network))
    raise ValueError(f"kind {kind!r} is none of {', '.join(SAMPLES)}")
