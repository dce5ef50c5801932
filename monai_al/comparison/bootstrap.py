# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How much a comparison's means depend on the test volumes: ``spread: bootstrap``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from monai_al.comparison.config import Comparison
from monai_al.comparison.metric import Interval, common_interval, summarized
from monai_al.metrics import bootstrap_means
from monai_al.records import DataError, RunFolder

__all__ = ["Spreads", "bootstrap_spreads"]

Folders = Mapping[str, Mapping[int, RunFolder]]  # name -> seed -> its folder


class Spreads(NamedTuple):
    """Two standard deviations of the bootstrap means over the seeds, None where they are undefined.

    Args:
        summary: metric -> name -> of the summary.
        rounds: name -> of the first metric after each round.

    Example:
        >>> Spreads({"dice_3d": {"random": 0.02}}, {"random": [0.03, 0.02]}).rounds["random"][0]
        0.03
    """

    summary: dict[str, dict[str, float | None]]
    rounds: dict[str, list[float | None]]


def bootstrap_spreads(comparison: Comparison, folders: Folders) -> Spreads:
    """Draw the test volumes anew, for all runs, seeds and rounds alike; see :func:`monai_al.metrics.bootstrap_means`.

    The score of a volume is the mean of its classes. What a draw gives is averaged over the volumes, summarized over
    the rounds, and averaged over the seeds.

    Args:
        comparison: what is compared.
        folders: of the runs that are done.

    Raises:
        DataError: a run does not hold the scores of single volumes, or was tested on other volumes.

    Example:
        >>> bootstrap_spreads(Comparison("a", "al.yaml"), {})
        Spreads(summary={'dice_3d': {}}, rounds={})
    """
    volumes = _volumes(folders)
    found = Spreads({metric: {} for metric in comparison.metrics}, {})
    interval = common_interval(
        (run.curve() for of_seed in folders.values() for run in of_seed.values()), comparison.axis
    )
    for name, of_seed in folders.items():
        for number, metric in enumerate(comparison.metrics):
            means = np.stack([bootstrap_means(_values(run, metric, volumes)) for run in of_seed.values()], axis=1)
            curves = [run.curve() for run in of_seed.values()]
            found.summary[metric][name] = _spread(_summaries(comparison, metric, means, curves, interval))
            if not number:
                found.rounds[name] = [_spread(means[:, :, round].mean(axis=1)) for round in range(means.shape[2])]
    return found


def _summaries(
    comparison: Comparison, metric: str, means: np.ndarray, curves: Sequence[Any], interval: Interval | None
) -> np.ndarray:
    """One number for each draw, from the means ``(draws, seeds, rounds)`` and the curves of the seeds."""
    kind, axis = comparison.summary or "mean", comparison.axis
    numbers = [
        [
            summarized(
                [row | {metric: _number(x)} for row, x in zip(curve, own, strict=True)], metric, kind, axis, interval
            )
            for curve, own in zip(curves, draw, strict=True)
        ]
        for draw in means
    ]
    return np.array(numbers, dtype=np.float64).mean(axis=1)


def _spread(means: np.ndarray) -> float | None:
    return None if np.isnan(means).any() else float(2 * means.std(ddof=1))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _volumes(folders: Folders) -> list[str]:
    """The test volumes, which all runs must share."""
    found: dict[tuple[str, ...], RunFolder] = {}
    for run in (run for of_seed in folders.values() for run in of_seed.values()):
        found.setdefault(tuple(sorted(_per_volume(run, 0, "dice_3d"))), run)
    if len(found) > 1:
        first, other, *_ = (run.path for run in found.values())
        raise DataError(f"{first} and {other} were tested on other volumes: spread: bootstrap draws the same for all")
    return list(next(iter(found), ()))


def _values(run: RunFolder, metric: str, volumes: Sequence[str]) -> np.ndarray:
    """Scores ``(rounds, volumes)``, NaN where undefined."""
    rounds = [_per_volume(run, round, metric) for round in range(len(run.curve()))]
    return np.array([[_mean_of_classes(scores[volume]) for volume in volumes] for scores in rounds])


def _mean_of_classes(scores: Mapping[str, float | None]) -> float:
    defined = [score for score in scores.values() if score is not None]
    return float(np.mean(defined)) if defined else float("nan")


def _per_volume(run: RunFolder, round: int, metric: str) -> Mapping[str, Mapping[str, float | None]]:
    scores = (run.metrics(round) or {}).get(metric, {}).get("per_volume")
    if not scores:
        raise DataError(
            f"{run.path}: round {round} holds no {metric} of single volumes, which spread: bootstrap needs; "
            "take spread: seeds"
        )
    return scores
