# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Random choice."""

from __future__ import annotations

from monai_al.records import Query, Round
from monai_al.selection import candidates
from monai_al.strategies.base import Strategy

__all__ = ["Random"]


class Random(Strategy):
    """Uniform choice without replacement, the baseline of every comparison.

    The initial set is the random one that most strategies of a seed share.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> round = Round(1, Pool([Item(i, i, i, i) for i in "abcd"]), labeled=[0], seed=0)
        >>> len(Random().query(round, budget=3).ids)
        3
    """

    name = "random"

    def initial_needs(self) -> None:
        """See :meth:`Strategy.initial_needs`."""

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        unlabeled, budget = candidates(len(round.pool), budget, round.labeled)
        return self.make_query(round, round.rng("random").permutation(unlabeled)[:budget])
