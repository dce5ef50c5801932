# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Uncertainty of every pixel from one prediction."""

from __future__ import annotations

from torch import Tensor

from monai_al.uncertainty import _pixel
from monai_al.uncertainty.check import check_probabilities

__all__ = ["MAPS", "class_weighted_entropy", "entropy", "least_confidence", "margin"]

MAPS = ("entropy", "least_confidence", "margin")


def entropy(probs: Tensor, *, multilabel: bool = False) -> Tensor:
    """Entropy of the class probabilities, ``-sum_c p_c log p_c``, exactly 0 at p = 0 and 1.

    Args:
        probs: class probabilities ``(B, C, *spatial)``; C = 1 stands for the two classes p and 1-p.
        multilabel: the channels are overlapping sigmoids; the result is the mean of their two-class maps.

    Returns:
        ``(B, *spatial)`` in nats, from 0 to log C.

    Raises:
        ValueError: ``probs`` are no probabilities, see :func:`~monai_al.uncertainty.check_probabilities`.

    Example:
        >>> import torch
        >>> entropy(torch.tensor([[0.5, 0.3, 0.2]]))
        tensor([1.0297])
    """
    return _pixel.map_classes(_pixel.entropy, check_probabilities(probs, multilabel=multilabel), multilabel)


def least_confidence(probs: Tensor, *, multilabel: bool = False) -> Tensor:
    """How far the most probable class is from certain, ``1 - max_c p_c``.

    Args:
        probs: class probabilities ``(B, C, *spatial)``; C = 1 stands for the two classes p and 1-p.
        multilabel: the channels are overlapping sigmoids; the result is the mean of their two-class maps.

    Returns:
        ``(B, *spatial)``, from 0 to 1 - 1/C.

    Raises:
        ValueError: ``probs`` are no probabilities, see :func:`~monai_al.uncertainty.check_probabilities`.

    Example:
        >>> import torch
        >>> least_confidence(torch.tensor([[0.5, 0.3, 0.2]]))
        tensor([0.5000])
    """
    return _pixel.map_classes(_pixel.least_confidence, check_probabilities(probs, multilabel=multilabel), multilabel)


def margin(probs: Tensor, *, multilabel: bool = False) -> Tensor:
    """How close the two most probable classes are, ``1 - (p_first - p_second)``.

    Args:
        probs: class probabilities ``(B, C, *spatial)``; C = 1 stands for the two classes p and 1-p.
        multilabel: the channels are overlapping sigmoids; the result is the mean of their two-class maps.

    Returns:
        ``(B, *spatial)``, from 0 to 1.

    Raises:
        ValueError: ``probs`` are no probabilities, see :func:`~monai_al.uncertainty.check_probabilities`.

    Example:
        >>> import torch
        >>> margin(torch.tensor([[0.5, 0.3, 0.2]]))
        tensor([0.8000])
    """
    return _pixel.map_classes(_pixel.margin, check_probabilities(probs, multilabel=multilabel), multilabel)


def class_weighted_entropy(probs: Tensor, number: int, *, multilabel: bool = False) -> Tensor:
    """Entropy where a foreground class may be, ``p_c * H``: 0 where the class is out of the question.

    C. T. Lüth et al., "Finally outshining the random baseline: a simple and effective solution for active learning in
    3D biomedical imaging", TMLR 2026, take it to find items for each class.

    Args:
        probs: class probabilities ``(B, C, *spatial)``, channel 0 the background; C = 1 is the foreground.
        number: the class, counted from 1, the first one after the background.
        multilabel: the channels are overlapping sigmoids: class c is channel c - 1, and H its own two-class entropy.

    Returns:
        ``(B, *spatial)`` in nats.

    Raises:
        ValueError: there is no such class, or ``probs`` are no probabilities, see
            :func:`~monai_al.uncertainty.check_probabilities`.

    Example:
        >>> import torch
        >>> class_weighted_entropy(torch.tensor([[0.5, 0.3, 0.2]]), 1)
        tensor([0.3089])
    """
    weighted = _pixel.class_weighted(_pixel.entropy, check_probabilities(probs, multilabel=multilabel), multilabel)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= weighted.shape[1]:
        raise ValueError(f"number must be that of one of the {weighted.shape[1]} foreground classes, got {number!r}")
    return weighted[:, number - 1]
