# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Uncertain items for each class, with less noise from round to round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_al.records import Query, Round
from monai_al.selection import candidates, check_share, class_shares
from monai_al.strategies.base import Strategy, of_lists
from monai_al.strategies.groups import level_of, stratified_by
from monai_al.strategies.selector import Selector
from monai_al.uncertainty import ClassMeasure, Measure

__all__ = ["ClaspPE"]


class ClaspPE(Strategy):
    """ClaSP PE: a share of the query for the foreground classes, the rest by entropy, with less and less noise.

    C. T. Lüth, J. Traub et al., "Finally outshining the random baseline: a simple and effective solution for active
    learning in 3D biomedical imaging", TMLR 2026. The classes have equal parts, see
    :func:`~monai_al.selection.class_shares`. Class after class chooses by its probability times the entropy, and at
    last plain entropy, each with :func:`~monai_al.selection.power_noise` among what those before left.

    Args:
        share: of the query that is for the classes, in [0, 1].
        beta: the power, or that of the first and of the last round, see :class:`~monai_al.strategies.Selector`.
        stratified: whether each item is drawn among the patients with the fewest labeled and chosen ones, whichever
            class chose those; or ``"volume"``: among the volumes.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> scores = {"entropy": [3, 2, 1], "weighted entropy of class 1": [1, 2, 3]}
        >>> round = Round(1, Pool([Item(i, i, i, i) for i in "abc"]), labeled=[], seed=0, scores=scores)
        >>> [(item.id, item.reason) for item in ClaspPE(share=0.5, beta=1e9).query(round, budget=2).items]
        [('c', 'class 1, rank 1 of 3, by power noise'), ('a', 'entropy, rank 1 of 3, by power noise')]
    """

    def __init__(
        self, share: float = 0.66, beta: float | Sequence[float] = (1, 100), stratified: bool | str = False
    ) -> None:
        check_share(share)
        self.share = share
        self.measures = {"entropy": Measure("entropy"), "weighted entropy": ClassMeasure("entropy")}
        self.selector = Selector.of("power_noise", beta=beta, groups=level_of(stratified))
        self.name = stratified_by("clasp pe", self.selector.level)

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return dict(self.measures)

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        _, budget = candidates(len(round.pool), budget, round.labeled)
        lists = {f"class {n}": one for n, one in enumerate(self.class_scores(round, "weighted entropy"), start=1)}
        shares = class_shares(budget, self.share, len(lists), round.rng("class shares"))
        lists["entropy"] = self.scores(round, "entropy")
        chosen = self.selector.choose_shares([*lists.values()], shares.tolist(), round)
        scores, reasons = of_lists(lists, np.repeat(np.arange(len(shares)), shares), chosen, round.labeled)
        return self.make_query(round, chosen, scores, self.selector.reasons(reasons))
