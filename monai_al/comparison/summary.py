# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One number per run, seed and metric, and the paired tests of their differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from monai_al.comparison.bootstrap import Spreads
from monai_al.comparison.config import Comparison
from monai_al.comparison.metric import METRICS, common_interval, summarized
from monai_al.metrics import PairedTests, holm, paired_tests, seeds_needed, smallest_p

__all__ = ["ALPHA", "MeanAndSpread", "PairTest", "mean_and_spread", "pair_tests", "seeds_warning", "summary_values"]

ALPHA = 0.05  # level of significance

Curves = Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]]  # name -> seed -> a row per round
Values = Mapping[str, Mapping[str, Mapping[int, float | None]]]  # metric -> name -> seed -> number


class MeanAndSpread(NamedTuple):
    """A mean and its standard deviation.

    Args:
        mean: None where a value is undefined, or there is none.
        sd: with ddof = 1; None for fewer than two values. With ``spread: bootstrap`` two of those of the bootstrap.
        n: number of values.

    Example:
        >>> MeanAndSpread(0.7, None, 1).n
        1
    """

    mean: float | None
    sd: float | None
    n: int


@dataclass(frozen=True)
class PairTest:
    """One run against another one in one metric, over the seeds that both have.

    Args:
        run: the run.
        against: the run it is tested against.
        metric: a key of :data:`monai_al.comparison.metric.METRICS`.
        seeds: those of the pairs.
        undefined: seeds where the number of one of the two is undefined.
        alone: seeds that only one of the two has.
        found: the tests of ``run - against``; None for fewer than two pairs.
        corrected: the p-value of the sign-flip test after Holm's correction over the tests of this metric.

    Example:
        >>> test = PairTest("entropy", "random", "hd95_3d", (0, 1), found=paired_tests([-2.0, -1.0]), corrected=0.5)
        >>> test.is_gain, test.is_significant
        (True, False)
    """

    run: str
    against: str
    metric: str
    seeds: tuple[int, ...]
    undefined: tuple[int, ...] = ()
    alone: tuple[int, ...] = ()
    found: PairedTests | None = None
    corrected: float | None = None

    @property
    def is_gain(self) -> bool:
        """Whether the run is better in the mean."""
        return self.found is not None and self.found.mean * (1 if METRICS[self.metric].higher_is_better else -1) > 0

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p-value is at most 0.05."""
        return self.corrected is not None and self.corrected <= ALPHA


def summary_values(comparison: Comparison, curves: Curves) -> dict[str, dict[str, dict[int, float | None]]]:
    """What number each curve becomes: metric -> name -> seed -> number, None where it is undefined.

    Example:
        >>> curves = {"random": {3: [{"labeled": 10, "dice_3d": 0.5}, {"labeled": 20, "dice_3d": 0.75}]}}
        >>> summary_values(Comparison("a", "al.yaml", summary="final"), curves)
        {'dice_3d': {'random': {3: 0.75}}}
    """
    kind, axis = comparison.summary or "mean", comparison.axis
    interval = common_interval((curve for of_seed in curves.values() for curve in of_seed.values()), axis)
    return {
        metric: {
            name: {seed: summarized(curve, metric, kind, axis, interval) for seed, curve in of_seed.items()}
            for name, of_seed in curves.items()
        }
        for metric in comparison.metrics
    }


def mean_and_spread(
    comparison: Comparison, curves: Curves, spreads: Spreads | None = None
) -> dict[str, dict[str, MeanAndSpread]]:
    """The cells of the summary: metric -> name -> mean and standard deviation over the seeds.

    With ``spread: all`` both are over all rounds of all seeds.

    Args:
        comparison: what is compared.
        curves: name -> seed -> a row per round.
        spreads: of the bootstrap, in place of the standard deviations.

    Example:
        >>> curves = {"random": {seed: [{"labeled": 10, "dice_3d": seed / 10}] for seed in (6, 8)}}
        >>> cell = mean_and_spread(Comparison("a", "al.yaml"), curves)["dice_3d"]["random"]
        >>> round(cell.mean, 3), round(cell.sd, 3)
        (0.7, 0.141)
    """
    if comparison.spread == "all":
        return {
            metric: {
                name: _cell(row[metric] for curve in of_seed.values() for row in curve)
                for name, of_seed in curves.items()
            }
            for metric in comparison.metrics
        }
    cells = {
        metric: {name: _cell(of_seed.values()) for name, of_seed in of_name.items()}
        for metric, of_name in summary_values(comparison, curves).items()
    }
    if spreads is None:
        return cells
    return {
        metric: {name: cell._replace(sd=spreads.summary[metric][name]) for name, cell in of_name.items()}
        for metric, of_name in cells.items()
    }


def pair_tests(comparison: Comparison, curves: Curves) -> list[PairTest]:
    """Test the runs against those that the comparison names, over the seeds that both have.

    Pairs are made by seed. One that lacks a partner or a defined number is left out and listed.

    Args:
        comparison: what is compared; ``baseline`` and ``against`` say what is tested.
        curves: name -> seed -> a row per round.

    Returns:
        One entry for each pair of runs and metric, by metric.

    Example:
        >>> scores = {"random": (0.5, 0.6, 0.7), "entropy": (0.6, 0.7, 0.8)}
        >>> curves = {n: {i: [{"labeled": 9, "dice_3d": x}] for i, x in enumerate(xs)} for n, xs in scores.items()}
        >>> comparison = Comparison("a", "al.yaml", runs=dict.fromkeys(scores, {}), baseline="random")
        >>> [(test.run, round(test.found.mean, 3), test.found.sign_flip) for test in pair_tests(comparison, curves)]
        [('entropy', 0.1, 0.25)]
    """
    values = summary_values(comparison, curves)
    found: list[PairTest] = []
    for metric, of_name in values.items():
        pairs = ((run, against, of_name.get(run, {}), of_name.get(against, {})) for run, against in comparison.tested)
        found += _corrected([_test(run, against, metric, ours, theirs) for run, against, ours, theirs in pairs])
    return found


def seeds_warning(comparison: Comparison, n_seeds: int) -> str | None:
    """Say so where so few seeds cannot make a difference significant.

    Args:
        comparison: what is compared.
        n_seeds: how many pairs there are, or will be.

    Returns:
        A sentence, or None where nothing is tested or there are enough.

    Example:
        >>> comparison = Comparison("a", "al.yaml", runs={"random": {}, "entropy": {}}, baseline="random")
        >>> seeds_warning(comparison, 3)[:56]
        'With 3 seeds no difference can be significant: the small'
        >>> seeds_warning(comparison, 6) is None
        True
    """
    n_tests = len(comparison.tested)
    if not n_tests or n_seeds >= seeds_needed(n_tests, ALPHA):
        return None
    smallest = smallest_p(max(n_seeds, 1))
    corrected = (
        f", and {min(1, smallest * n_tests):.3g} when {n_tests} tests of a metric are corrected" if n_tests > 1 else ""
    )
    return (
        f"With {n_seeds} seed{'s' * (n_seeds != 1)} no difference can be significant: the smallest p-value of the "
        f"exact tests is {smallest:.3g}{corrected}; take at least {seeds_needed(n_tests, ALPHA)} seeds."
    )


def _corrected(tests: Sequence[PairTest]) -> list[PairTest]:
    """The tests of one metric with Holm's correction."""
    p_values = iter(holm([test.found.sign_flip for test in tests if test.found]).tolist())
    return [replace(test, corrected=next(p_values)) if test.found else test for test in tests]


def _cell(values: Iterable[float | None]) -> MeanAndSpread:
    found = list(values)
    defined = [value for value in found if value is not None]
    if not found or len(defined) < len(found):
        return MeanAndSpread(None, None, len(found))
    return MeanAndSpread(
        float(np.mean(defined)), float(np.std(defined, ddof=1)) if len(found) > 1 else None, len(found)
    )


def _test(
    run: str, against: str, metric: str, ours: Mapping[int, float | None], theirs: Mapping[int, float | None]
) -> PairTest:
    both = [seed for seed in sorted(ours) if seed in theirs]
    pairs = {seed: (ours[seed], theirs[seed]) for seed in both}
    differences = {seed: a - b for seed, (a, b) in pairs.items() if a is not None and b is not None}
    return PairTest(
        run,
        against,
        metric,
        seeds=tuple(differences),
        undefined=tuple(seed for seed in both if seed not in differences),
        alone=tuple(sorted(set(ours) ^ set(theirs))),
        found=paired_tests(list(differences.values())) if len(differences) > 1 else None,
    )
