# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The most uncertain items."""

from __future__ import annotations

from monai_al.data import Query, Round
from monai_al.selection import top_k
from monai_al.strategies.base import Strategy, ranked_reasons
from monai_al.uncertainty import MEASURES, Measure

__all__ = ["Uncertainty", "check_measure"]


class Uncertainty(Strategy):
    """The items whose prediction is most uncertain over the whole image.

    Args:
        measure: ``"entropy"``, ``"least_confidence"``, ``"margin"``, ``"mc_dropout"`` (entropy of the mean) or
            ``"bald"`` (mutual information); the last two need a network with dropout.
        reduction: ``"mean"`` or ``"sum"`` over the pixels.
        passes: number of predictions of ``"mc_dropout"`` and ``"bald"``.

    Raises:
        ValueError: an argument is unknown or out of range.

    Example:
        >>> from monai_al.data import Item, Pool
        >>> pool = Pool([Item(i, i, i, i) for i in "abc"])
        >>> round = Round(1, pool, labeled=[0], seed=0, scores={"entropy": [float("-inf"), 0.1, 0.2]})
        >>> Uncertainty("entropy").query(round, budget=1).ids
        ('c',)
    """

    def __init__(self, measure: str = "entropy", reduction: str = "mean", passes: int = 10) -> None:
        check_measure(measure)
        self.name = measure
        self.measure = Measure(MEASURES[measure], reduction=reduction, passes=passes)

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return {self.name: self.measure}

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        scores = self.scores(round, self.name)
        chosen = top_k(scores, budget, round.labeled, round.rng("ties"))
        reasons = ranked_reasons(self.name, scores, chosen, round.labeled, f"no {self.name}: no pixel counts")
        return self.make_query(round, chosen, scores[chosen], reasons)


def check_measure(measure: str) -> None:
    """Refuse a measure that users have no name for.

    Raises:
        ValueError: it is none of :data:`~monai_al.uncertainty.MEASURES`.

    Example:
        >>> check_measure("bold")
        Traceback (most recent call last):
        ...
        ValueError: measure 'bold' is none of entropy, least_confidence, margin, mc_dropout, bald
    """
    if measure not in MEASURES:
        raise ValueError(f"measure {measure!r} is none of {', '.join(MEASURES)}")
