# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How much a mean over test volumes depends on which volumes they are: a bootstrap over them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["bootstrap_means", "bootstrap_spread"]

RESAMPLES = 1000


def bootstrap_means(values: Any, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Means over resampled volumes, of one draw with replacement for all runs, rounds and metrics alike.

    Args:
        values: ``(..., n)``, a score of each of n volumes (or slices), NaN where it is undefined.
        resamples: number of draws of n volumes.
        seed: fixes the draws; equal for equal n.

    Returns:
        ``(resamples, ...)``: the mean of what is defined, NaN where a draw holds nothing defined.

    Raises:
        ValueError: there is no volume, or fewer than two draws.

    Example:
        >>> bootstrap_means([[0.5, 0.5, 0.5], [0.9, 0.9, float("nan")]], resamples=2).round(3).tolist()
        [[0.5, 0.9], [0.5, 0.9]]
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim < 1 or not values.shape[-1]:
        raise ValueError(f"a bootstrap needs the scores of one or more volumes, got the shape {values.shape}")
    if resamples < 2:
        raise ValueError(f"resamples must be at least 2, got {resamples}")
    n = values.shape[-1]
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    times = np.stack([np.bincount(draw, minlength=n) for draw in drawn]).astype(np.float64)
    defined = ~np.isnan(values)
    total = np.tensordot(times, np.where(defined, values, 0.0), axes=(1, -1))
    number = np.tensordot(times, defined.astype(np.float64), axes=(1, -1))
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def bootstrap_spread(values: Any, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two standard deviations of the mean over runs when the test volumes are drawn anew.

    S. Vepa et al., "Integrating Deep Metric Learning with Coreset for Active Learning in 3D Segmentation", NeurIPS
    2024, arXiv:2411.15763, print it behind a plus-minus sign. It tells how much the choice of the test volumes matters,
    and nothing of the luck of seeds and training.

    Args:
        values: ``(runs, n)``, a score of each of n test volumes (or slices) in each run, NaN where it is undefined.
        resamples: number of draws of n volumes, each for all runs alike.
        seed: fixes the draws.

    Returns:
        Twice the standard deviation (ddof = 1) of the ``resamples`` means over the runs; NaN where one is undefined.

    Raises:
        ValueError: as :func:`bootstrap_means`.

    Example:
        >>> bootstrap_spread([[0.5, 0.5, 0.5], [1.0, 1.0, 1.0]])
        0.0
        >>> round(bootstrap_spread([[0.6, 0.7, 0.8, 0.9]]), 2)
        0.11
    """
    return float(2 * bootstrap_means(values, resamples, seed).reshape(resamples, -1).mean(axis=1).std(ddof=1))
