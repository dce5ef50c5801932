# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Uncertainty of every pixel from several predictions: stochastic passes or the members of an ensemble."""

from __future__ import annotations

from torch import Tensor

from monai_al.uncertainty.check import check_samples
from monai_al.uncertainty.streaming import RunningSamples

__all__ = ["mutual_information", "predictive_entropy", "variance", "variance_ratio"]


def predictive_entropy(samples: Tensor, *, multilabel: bool = False) -> Tensor:
    """Entropy of the mean probability, the usual score of MC-dropout.

    Args:
        samples: class probabilities of T predictions ``(T, B, C, *spatial)``.
        multilabel: the channels are overlapping sigmoids; the result is the mean of their two-class maps.

    Returns:
        ``(B, *spatial)`` in nats, from 0 to log C.

    Raises:
        ValueError: no prediction, or one that is not made of probabilities.

    Example:
        >>> import torch
        >>> predictive_entropy(torch.tensor([[[0.9, 0.1]], [[0.1, 0.9]]]))
        tensor([0.6931])
    """
    return _fold(samples, "predictive_entropy", multilabel).predictive_entropy()


def mutual_information(samples: Tensor, *, multilabel: bool = False) -> Tensor:
    """Mutual information of prediction and model (BALD), the Jensen-Shannon divergence of an ensemble.

    ``H(mean of p_t) - mean of H(p_t)``, clamped at 0. N. Houlsby et al., "Bayesian active learning for classification
    and preference learning", 2011, eq. 2.

    Args:
        samples: class probabilities of T predictions ``(T, B, C, *spatial)``.
        multilabel: the channels are overlapping sigmoids; the result is the mean of their two-class maps.

    Returns:
        ``(B, *spatial)`` in nats, from 0 to log C; 0 where all predictions agree.

    Raises:
        ValueError: no prediction, or one that is not made of probabilities.

    Example:
        >>> import torch
        >>> mutual_information(torch.tensor([[[0.9, 0.1]], [[0.1, 0.9]]]))
        tensor([0.3681])
    """
    return _fold(samples, "mutual_information", multilabel).mutual_information()


def variance(samples: Tensor, *, multilabel: bool = False) -> Tensor:
    """Variance of the probabilities over the predictions (divided by T), mean over the classes.

    Args:
        samples: class probabilities of T predictions ``(T, B, C, *spatial)``.
        multilabel: the channels are overlapping sigmoids, which need not sum to 1.

    Returns:
        ``(B, *spatial)``, from 0 to 0.25.

    Raises:
        ValueError: no prediction, or one that is not made of probabilities.

    Example:
        >>> import torch
        >>> variance(torch.tensor([[[0.9, 0.1]], [[0.1, 0.9]]]))
        tensor([0.1600])
    """
    return _fold(samples, "variance", multilabel).variance()


def variance_ratio(samples: Tensor, *, multilabel: bool = False) -> Tensor:
    """Share of the predictions whose label is not the most frequent one, ``1 - f_mode / T``.

    Args:
        samples: class probabilities of T predictions ``(T, B, C, *spatial)``. Among equally probable classes the
            first is the label.
        multilabel: the channels are overlapping sigmoids; the result is the mean of their two-class maps.

    Returns:
        ``(B, *spatial)``, from 0 to 1 - 1/T.

    Raises:
        ValueError: no prediction, or one that is not made of probabilities.

    Example:
        >>> import torch
        >>> variance_ratio(torch.tensor([[[0.9, 0.1]], [[0.8, 0.2]], [[0.7, 0.3]], [[0.1, 0.9]]]))
        tensor([0.2500])
    """
    return _fold(samples, "variance_ratio", multilabel).variance_ratio()


def _fold(samples: Tensor, name: str, multilabel: bool) -> RunningSamples:
    check_samples(samples)
    running = RunningSamples((name,), multilabel=multilabel)
    for probs in samples:
        running.update(probs)
    return running
