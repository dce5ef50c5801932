# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Formulas at one pixel, for probabilities that are known to be valid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["FORMULAS", "class_weighted", "entropy", "least_confidence", "map_classes", "margin", "top_two"]


def entropy(probs: Tensor) -> Tensor:
    """``-sum p log p`` over dimension 1, with ``0 log 0 = 0``."""
    return torch.special.entr(probs).sum(1)


def least_confidence(probs: Tensor) -> Tensor:
    """``1 - max p`` over dimension 1."""
    return 1 - probs.amax(1)


def margin(probs: Tensor) -> Tensor:
    """``1 - (p_first - p_second)`` over dimension 1."""
    first, second = top_two(probs)
    return 1 - (first - second)


def top_two(probs: Tensor) -> tuple[Tensor, Tensor]:
    """The largest and second largest value over dimension 1, which holds at least two."""
    channels = probs.unbind(1)
    first = torch.maximum(channels[0], channels[1])
    second = torch.minimum(channels[0], channels[1])
    for channel in channels[2:]:
        second = torch.maximum(second, torch.minimum(first, channel))
        first = torch.maximum(first, channel)
    return first, second


def map_classes(formula: Callable[[Tensor], Tensor], probs: Tensor, multilabel: bool) -> Tensor:
    """A formula over the classes; over p and 1-p of each channel, then their mean, for sigmoid channels."""
    if probs.shape[1] > 1 and not multilabel:
        return formula(probs)
    per_channel = formula(torch.stack((1 - probs, probs), dim=1))
    return per_channel.squeeze(1) if probs.shape[1] == 1 else per_channel.mean(1)


def class_weighted(formula: Callable[[Tensor], Tensor], probs: Tensor, multilabel: bool) -> Tensor:
    """A formula times the probability of each foreground class, ``(B, K, *spatial)``.

    Each sigmoid channel is a class, and has the formula over its own p and 1-p.
    """
    if probs.shape[1] > 1 and not multilabel:
        return probs[:, 1:] * formula(probs).unsqueeze(1)
    return probs * formula(torch.stack((1 - probs, probs), dim=1))


FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "entropy": entropy,
    "least_confidence": least_confidence,
    "margin": margin,
}
