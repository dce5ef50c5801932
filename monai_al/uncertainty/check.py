# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What counts as class probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["check_probabilities", "check_samples"]

RANGE_TOLERANCE = 1e-4
SUM_TOLERANCE = 1e-3
HALF_SUM_TOLERANCE = 2e-2


def check_probabilities(probs: Tensor, *, multilabel: bool = False) -> Tensor:
    """Refuse what are not class probabilities, and return them as a plain tensor within [0, 1].

    Rounding errors are accepted: 1e-4 outside [0, 1] and 1e-3 (16-bit numbers: 0.02) in the sum over the classes.

    Args:
        probs: ``(B, C, *spatial)``; C = 1 is a sigmoid, C > 1 must sum to 1 unless ``multilabel``.
        multilabel: the channels are overlapping sigmoids.

    Returns:
        The same probabilities, ``(B, C, *spatial)``, in 32 or 64 bits.

    Raises:
        TypeError: ``probs`` is no tensor.
        ValueError: too few dimensions, no channel, NaN, a value outside [0, 1], or classes that do not sum to 1; the
            message says which item of the batch.

    Example:
        >>> import torch
        >>> check_probabilities(torch.tensor([[0.5, 0.7]]))
        Traceback (most recent call last):
        ...
        ValueError: item 0 of the batch: its 2 class probabilities sum to 1.2 somewhere, not to 1; ...
    """
    if not isinstance(probs, Tensor):
        raise TypeError(f"probabilities must be a torch.Tensor, got {type(probs).__name__}")
    if probs.ndim < 2 or probs.shape[1] == 0:
        raise ValueError(f"probabilities must have the shape (B, C, *spatial) with C >= 1, got {tuple(probs.shape)}")
    tolerance = HALF_SUM_TOLERANCE if probs.dtype in (torch.float16, torch.bfloat16) else SUM_TOLERANCE
    probs = plain(probs)
    if probs.numel() == 0:
        return probs
    low, high = rows(probs).aminmax(dim=1)
    _refuse(~((low >= -RANGE_TOLERANCE) & (high <= 1 + RANGE_TOLERANCE)), low, high)
    if probs.shape[1] > 1 and not multilabel:
        total = rows(probs.sum(1))
        worst = total.gather(1, (total - 1).abs().argmax(1, keepdim=True)).squeeze(1)
        wrong = (worst - 1).abs() > tolerance
        if wrong.any():
            i = int(wrong.nonzero()[0])
            raise ValueError(
                f"item {i} of the batch: its {probs.shape[1]} class probabilities sum to {float(worst[i]):.4g} "
                "somewhere, not to 1; apply a softmax first, or say multilabel=True for overlapping sigmoid channels"
            )
    return probs.clamp(0, 1)


def check_samples(samples: Tensor) -> None:
    """Refuse what cannot be several predictions ``(T, B, C, *spatial)``.

    Raises:
        ValueError: too few dimensions or no prediction.

    Example:
        >>> import torch
        >>> check_samples(torch.zeros(0, 2, 1))
        Traceback (most recent call last):
        ...
        ValueError: several predictions must have the shape (T, B, C, *spatial) with T >= 1, got (0, 2, 1)
    """
    if samples.ndim < 3 or len(samples) == 0:
        raise ValueError(
            f"several predictions must have the shape (T, B, C, *spatial) with T >= 1, got {tuple(samples.shape)}"
        )


def rows(tensor: Tensor) -> Tensor:
    """All values of an item in one row: ``(B, *any)`` -> ``(B, n)``."""
    return tensor.flatten(1) if tensor.ndim > 1 else tensor.unsqueeze(1)


def plain(tensor: Tensor) -> Tensor:
    """The tensor without a subclass, as 32- or 64-bit floating-point numbers."""
    tensor = tensor.as_subclass(Tensor)
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def _refuse(wrong: Tensor, low: Tensor, high: Tensor) -> None:
    if not wrong.any():
        return
    i = int(wrong.nonzero()[0])
    if torch.isnan(low[i]) or torch.isnan(high[i]):
        raise ValueError(f"item {i} of the batch: its probabilities hold NaN")
    raise ValueError(
        f"item {i} of the batch: probabilities from {float(low[i]):.4g} to {float(high[i]):.4g} lie outside [0, 1]; "
        "apply the activation first"
    )
