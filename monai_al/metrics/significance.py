# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Paired tests of a few differences, such as one per seed, and how many of them a test needs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["PairedTests", "holm", "paired_tests", "seeds_needed", "sign_flip_p", "smallest_p", "wilcoxon_p"]

_EXACT_UP_TO = 40  # differences; a half has 2^20 sums then
_DRAWS = 100_000
_SAME = 1e-12  # sums that differ by less than this share of the sum of all sizes are the same


class PairedTests(NamedTuple):
    """What :func:`paired_tests` finds.

    Args:
        n: number of differences.
        mean: their mean.
        sd: their standard deviation, ddof = 1.
        wilcoxon: two-sided p-value of Wilcoxon's signed-rank test, see :func:`wilcoxon_p`.
        sign_flip: two-sided p-value of the sign-flip test, see :func:`sign_flip_p`.
        t: two-sided p-value of the one-sample t-test.

    Example:
        >>> PairedTests(2, 0.1, 0.0, 0.5, 0.5, 0.0).sign_flip
        0.5
    """

    n: int
    mean: float
    sd: float
    wilcoxon: float
    sign_flip: float
    t: float


def paired_tests(differences: Any) -> PairedTests:
    """Is the mean of paired differences other than zero?

    Where all differences are zero every p-value is 1; where they are all the same and not zero, that of the t-test is
    0. No number is ever NaN.

    Args:
        differences: ``(n,)``, one per pair, n >= 2.

    Raises:
        ValueError: fewer than two differences, or one that is not finite.

    Example:
        >>> found = paired_tests([0.02, 0.01, 0.03, 0.02, 0.04, 0.01])
        >>> found.sign_flip, found.wilcoxon, round(found.t, 3)
        (0.03125, 0.03125, 0.006)
    """
    values = _checked(differences)
    if len(values) < 2:
        raise ValueError("one difference tells nothing of the spread: at least two pairs are needed")
    scale = float(np.abs(values).max()) or 1.0  # so that no square under- or overflows
    unit = values / scale
    mean = float(unit.mean())
    sd = float(unit.std(ddof=1)) if np.ptp(unit) else 0.0
    return PairedTests(
        len(values), mean * scale, sd * scale, wilcoxon_p(values), sign_flip_p(values), _t_p(mean, sd, len(values))
    )


def sign_flip_p(differences: Any) -> float:
    """Two-sided p-value of the sign-flip (permutation) test of the mean.

    The share of all ``2^n`` ways to give the differences signs whose sum is at least as far from zero as the sum found.
    It is exact for up to 40 differences: both halves' sums are listed and joined by sorting. With more it is estimated
    from 100 000 ways, drawn with a fixed seed, as ``(hits + 1) / (draws + 1)``, which is never too small.

    Args:
        differences: ``(n,)``, one per pair, n >= 1.

    Raises:
        ValueError: no difference, or one that is not finite.

    Example:
        >>> sign_flip_p([1, 2, 3])
        0.25
        >>> sign_flip_p([0, 0, 0])
        1.0
    """
    values = _checked(differences)
    scale = np.abs(values).max()
    if not scale:
        return 1.0
    values = values / scale
    threshold = abs(values.sum()) - _SAME * np.abs(values).sum()
    if threshold <= 0:
        return 1.0
    if len(values) > _EXACT_UP_TO:
        draws = np.random.default_rng(0)
        sums = [
            abs((draws.choice((-1.0, 1.0), size=(1000, len(values))) * values).sum(1)) for _ in range(_DRAWS // 1000)
        ]
        return float((np.concatenate(sums) >= threshold).sum() + 1) / (_DRAWS + 1)
    middle = len(values) // 2
    first, second = _signed_sums(values[:middle]), np.sort(_signed_sums(values[middle:]))
    hits = len(second) * len(first) - int(np.searchsorted(second, threshold - first, side="left").sum())
    return 2 * hits / 2.0 ** len(values)  # those below -threshold are as many


def wilcoxon_p(differences: Any) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test.

    Differences of zero are left out (Wilcoxon's way), equal sizes share the mean of their ranks, and the distribution
    is that of the ranks as they are: exact with ties, too, for up to 40 differences, as :func:`sign_flip_p`.

    Args:
        differences: ``(n,)``, one per pair, n >= 1.

    Raises:
        ValueError: no difference, or one that is not finite.

    Example:
        >>> wilcoxon_p([0.5, 0.1, -0.2, 0.4, 0.3])
        0.1875
    """
    from scipy.stats import rankdata

    values = _checked(differences)
    values = values[values != 0]
    return sign_flip_p(rankdata(np.abs(values)) * np.sign(values)) if len(values) else 1.0


def smallest_p(n: int) -> float:
    """The smallest two-sided p-value that the exact tests of n differences can give, ``2^(1 - n)``.

    Args:
        n: number of differences, such as seeds, at least 1.

    Raises:
        ValueError: n < 1.

    Example:
        >>> smallest_p(5), smallest_p(6)
        (0.0625, 0.03125)
    """
    if n < 1:
        raise ValueError(f"n counts differences and must be at least 1, got {n}")
    return 2.0 ** (1 - n)


def seeds_needed(comparisons: int = 1, alpha: float = 0.05) -> int:
    """The smallest number of pairs with which an exact test can become significant, ``n >= 1 + log2(m / alpha)``.

    Args:
        comparisons: how many tests m are corrected together by :func:`holm`.
        alpha: level of significance, in (0, 1).

    Raises:
        ValueError: there is no comparison, or alpha is out of range.

    Example:
        >>> [seeds_needed(m) for m in (1, 3, 6, 10)]
        [6, 7, 8, 9]
    """
    if comparisons < 1 or not 0 < alpha < 1:
        raise ValueError(f"needs comparisons >= 1 and alpha in (0, 1), got {comparisons} and {alpha}")
    n = 1
    while smallest_p(n) * comparisons > alpha:
        n += 1
    return n


def holm(p_values: Any) -> np.ndarray:
    """Holm's correction of the p-values of several tests.

    The j-th smallest of m is multiplied by ``m - j + 1``, and none is smaller than the one before it. What is at most
    alpha then is significant at alpha over all tests together.

    Args:
        p_values: ``(m,)`` in [0, 1].

    Returns:
        ``(m,)`` corrected p-values in [0, 1], in the order given.

    Raises:
        ValueError: a p-value is not in [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"p-values must have one axis, got the shape {p.shape}")
    wrong = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if wrong.size:
        raise ValueError(f"p-value {wrong[0]} is {p[wrong[0]]}, which is not in [0, 1]")
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected


def _checked(differences: Any) -> np.ndarray:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"differences must have one axis and at least one entry, got the shape {values.shape}")
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise ValueError(f"difference {wrong[0]} is {values[wrong[0]]}: leave out pairs that are undefined")
    return values


def _signed_sums(values: np.ndarray) -> np.ndarray:
    """The sums ``(2^n,)`` of the values with all signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _t_p(mean: float, sd: float, n: int) -> float:
    from scipy.stats import t

    if sd == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / sd * np.sqrt(n), n - 1))
