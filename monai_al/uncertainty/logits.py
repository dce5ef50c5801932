# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores straight from a network's output, a few items at a time so that they stay in the cache."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from monai_al.uncertainty.activation import check_activation, probabilities
from monai_al.uncertainty.check import check_probabilities, plain
from monai_al.uncertainty.measure import Measure

__all__ = ["entropy_from_logits", "score_logits"]


def entropy_from_logits(logits: Tensor) -> Tensor:
    """Entropy of the softmax, without a logarithm per class.

    ``-sum_c exp(l_c) l_c`` with l the log-softmax: no term is negative, so nothing cancels and certain pixels give 0.
    It takes little more than half the time of :func:`~monai_al.uncertainty.entropy` of the probabilities.

    Args:
        logits: ``(B, C, *spatial)`` with C > 1; ``-inf`` stands for a class that cannot be.

    Returns:
        ``(B, *spatial)`` in nats; NaN where a logit is NaN or +inf.

    Raises:
        ValueError: fewer than two classes.

    Example:
        >>> import torch
        >>> entropy_from_logits(torch.tensor([[0.0, 0.0], [1e4, -1e4]]))
        tensor([0.6931, 0.0000])
    """
    if logits.ndim < 2 or logits.shape[1] < 2:
        raise ValueError(f"logits must have the shape (B, C, *spatial) with C > 1, got {tuple(logits.shape)}")
    log_probs = plain(logits).log_softmax(1)
    log_probs.clamp_(min=torch.finfo(log_probs.dtype).min)
    return 0 - log_probs.exp().mul_(log_probs).sum(1)


def score_logits(
    logits: Tensor,
    measures: Mapping[str, Measure],
    *,
    activation: str = "softmax",
    valid: Tensor | None = None,
    multilabel: bool = False,
    chunk: int = 8,
) -> dict[str, Tensor]:
    """Scores of a batch from a network's output, for measures that need one prediction.

    Args:
        logits: ``(B, C, *spatial)``.
        measures: name -> measure, none of them stochastic.
        activation: see :func:`~monai_al.uncertainty.probabilities`.
        valid: boolean ``(B, *spatial)``; other pixels never count.
        multilabel: with ``activation="none"``: the channels are overlapping sigmoids.
        chunk: how many items are worked on at a time.

    Returns:
        name -> scores ``(B,)``, of a :class:`ClassMeasure` ``(B, K)``. An item with a logit that is NaN or +inf scores
        NaN: look for it before ranking.

    Raises:
        ValueError: ``chunk`` is below 1, the activation does not fit, or ``"none"`` meets what are no probabilities.

    Example:
        >>> import torch
        >>> score_logits(torch.zeros(2, 2, 3), {"entropy": Measure()})
        {'entropy': tensor([0.6931, 0.6931])}
    """
    check_activation(activation)
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    multilabel = multilabel or activation == "multilabel"
    logits = logits.as_subclass(Tensor)
    if activation == "none":
        logits = check_probabilities(logits, multilabel=multilabel)
    chunks = logits.split(chunk)
    masks = [None] * len(chunks) if valid is None else valid.split(chunk)
    parts = [
        _score_chunk(part, measures, activation, mask, multilabel) for part, mask in zip(chunks, masks, strict=True)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in measures}


def _score_chunk(
    logits: Tensor, measures: Mapping[str, Measure], activation: str, valid: Tensor | None, multilabel: bool
) -> dict[str, Tensor]:
    fused = {name for name, measure in measures.items() if _fuses(measure, activation, logits)}
    pixels = entropy_from_logits(logits) if fused else logits
    probs = probabilities(logits, activation) if len(fused) < len(measures) else logits
    return {
        name: measure.reduce(pixels, valid)
        if name in fused
        else measure.score_unchecked(probs, valid=valid, multilabel=multilabel)
        for name, measure in measures.items()
    }


def _fuses(measure: Measure, activation: str, logits: Tensor) -> bool:
    plain_entropy = measure.map == "entropy" and measure.region is None and not measure.per_class
    return activation == "softmax" and logits.shape[1] > 1 and plain_entropy
