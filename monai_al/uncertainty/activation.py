# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""From a network's output to probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_al.uncertainty.check import plain

__all__ = ["ACTIVATIONS", "check_activation", "probabilities"]

ACTIVATIONS = ("softmax", "sigmoid", "multilabel", "none")


def probabilities(logits: Tensor, activation: str = "softmax") -> Tensor:
    """Class probabilities from a network's output.

    Args:
        logits: ``(B, C, *spatial)``; 16-bit numbers are widened first.
        activation: ``"softmax"`` (C > 1), ``"sigmoid"`` (C = 1), ``"multilabel"`` (one sigmoid per channel), or
            ``"none"`` where the output already is a probability.

    Returns:
        ``(B, C, *spatial)``.

    Raises:
        ValueError: the activation is unknown or does not fit the number of channels.

    Example:
        >>> import torch
        >>> probabilities(torch.zeros(1, 2), "softmax")
        tensor([[0.5000, 0.5000]])
    """
    check_activation(activation)
    if logits.ndim < 2:
        raise ValueError(f"a network's output must have the shape (B, C, *spatial), got {tuple(logits.shape)}")
    logits = plain(logits)
    channels = logits.shape[1]
    if activation == "softmax":
        if channels == 1:
            raise ValueError('a softmax over one channel is 1 everywhere: use activation="sigmoid"')
        return logits.softmax(1)
    if activation == "sigmoid" and channels > 1:
        raise ValueError(
            f'{channels} sigmoid channels are no class probabilities: use activation="multilabel" for overlapping '
            'classes or "softmax" for exclusive ones'
        )
    return logits if activation == "none" else torch.sigmoid(logits)


def check_activation(activation: str) -> None:
    """Refuse an unknown activation.

    Raises:
        ValueError: it is none of the four.

    Example:
        >>> check_activation("relu")
        Traceback (most recent call last):
        ...
        ValueError: activation 'relu' is none of softmax, sigmoid, multilabel, none
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is none of {', '.join(ACTIVATIONS)}")
