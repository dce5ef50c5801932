# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Items of low, high and middling uncertainty, and pseudo labels where it is most common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_al.records import Query, Round
from monai_al.selection import check_quotas, largest_remainder, lowest_highest_middle, modal_bin
from monai_al.strategies.base import Strategy, ranked_reasons
from monai_al.strategies.pseudo_schedule import PseudoSchedule
from monai_al.uncertainty import ContourMeasure, Measure

__all__ = ["CEAL"]

NEED = "variance far from the contour"
PARTS = ("lowest", "highest", "middle")


class CEAL(Strategy):
    """CEAL: items of the lowest, the highest and middling uncertainty; others train with the network's own labels.

    M. Gorriz, A. Carlier, E. Faure, X. Giro-i-Nieto, "Cost-effective active learning for melanoma segmentation", 2017,
    with the numbers of their code. The score adds up the variance of several passes with dropout on, each pixel times
    its distance to the predicted contour, see :class:`~monai_al.uncertainty.ContourMeasure`; the query is that of
    :func:`~monai_al.selection.lowest_highest_middle`. Pseudo labels are for items drawn from the fullest bin of the
    scores of items in which the network finds foreground; where it holds fewer than the schedule says, there are fewer.

    Args:
        passes: how many with dropout on.
        quotas: the proportions of the items with the lowest, the highest and middling scores.
        pseudo: how many pseudo labels the first round with any has.
        pseudo_growth: how many more each round after it has.
        pseudo_from: that round, at least 1; all three see :class:`~monai_al.strategies.PseudoSchedule`.

    Raises:
        ValueError: a setting is out of range.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> scores = {"variance far from the contour": [0.0, 0.1, 5.0, 9.0, 10.0]}
        >>> round = Round(5, Pool([Item(i, i, i, i) for i in "abcde"]), labeled=[], seed=0, scores=scores)
        >>> query = CEAL().query(round, budget=3)
        >>> query.ids
        ('a', 'e', 'c')
        >>> CEAL().pseudo_items(round, query)
        ('b',)
    """

    def __init__(
        self,
        passes: int = 20,
        quotas: Sequence[int] = (10, 10, 15),
        pseudo: int = 20,
        pseudo_growth: int = 20,
        pseudo_from: int = 5,
    ) -> None:
        if len(quotas) != len(PARTS):
            raise ValueError(f"quotas must be three numbers, of {', '.join(PARTS)}, got {list(quotas)!r}")
        check_quotas(quotas)
        self.name = "ceal"
        self.quotas = tuple(quotas)
        self.measures = {NEED: ContourMeasure("variance", reduction="sum", passes=passes)}
        self.schedule = PseudoSchedule(pseudo, pseudo_growth, pseudo_from)

    @property
    def gives_pseudo_labels(self) -> bool:
        """See :attr:`Strategy.gives_pseudo_labels`."""
        return self.schedule.gives_any

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return dict(self.measures)

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        scores = self.scores(round, NEED)
        chosen = lowest_highest_middle(scores, budget, self.quotas, round.labeled, round.rng("middle"))
        ranked = int(np.isfinite(scores[chosen]).sum())
        parts = np.repeat(PARTS, largest_remainder(ranked, self.quotas)).tolist()
        reasons = ranked_reasons(NEED, scores, chosen, round.labeled, "no pixel counts")
        reasons[:ranked] = [f"{part}: {why}" for part, why in zip(parts, reasons[:ranked], strict=True)]
        return self.make_query(round, chosen, scores[chosen], reasons)

    def pseudo_labels(self, round: Round) -> np.ndarray:
        """See :meth:`Strategy.pseudo_labels`."""
        certain = np.intersect1d(modal_bin(self.scores(round, NEED)), round.unlabeled)
        return round.rng("pseudo labels").permutation(certain)[: self.schedule.of_round(round.number)]
