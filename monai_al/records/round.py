# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a strategy gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from monai_al.records.pool import Pool
from monai_al.records.randomness import rng

__all__ = ["Round"]


@dataclass(frozen=True)
class Round:
    """The state of the pool after a round's training, as a strategy needs it for the next query.

    Args:
        number: the round whose query is to be chosen.
        pool: the items that may be annotated.
        labeled: positions in the pool of all items that are labeled or requested already.
        seed: the experiment's seed.
        scores: name -> ``(N,)`` scores in pool order, higher = more informative; labeled items hold ``-inf``.
        embeddings: name -> ``(N, D)`` embeddings in pool order.
        present: bool ``(N, C)``, which classes the ground truth of each item holds, in pool order; only for strategies
            that say ``uses_truth``, None for all others.
        rounds: how many rounds the run has, as it is planned now: a run that is extended has more; None where unknown.
        first_budget: how many items the initial set has; None where unknown.
        total_budget: how many items all rounds of the run ask for, as it is planned now; None where unknown.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> round = Round(1, Pool([Item(i, i, i, i) for i in "abc"]), labeled=[1], seed=0)
        >>> round.unlabeled.tolist()
        [0, 2]
    """

    number: int
    pool: Pool
    labeled: np.ndarray
    seed: int
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    embeddings: Mapping[str, np.ndarray] = field(default_factory=dict)
    present: np.ndarray | None = None
    rounds: int | None = None
    first_budget: int | None = None
    total_budget: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labeled", np.asarray(self.labeled, dtype=np.int64))

    @property
    def unlabeled(self) -> np.ndarray:
        """Positions of the items that may still be asked for, ascending, int64."""
        return np.setdiff1d(np.arange(len(self.pool), dtype=np.int64), self.labeled)

    def rng(self, purpose: str) -> np.random.Generator:
        """A fresh generator for one purpose of this round."""
        return rng(self.seed, self.number, purpose)
