# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Random choice that knows where the foreground is."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np

from monai_al.records import Query, Round
from monai_al.selection import candidates
from monai_al.strategies.base import Strategy

__all__ = ["ForegroundAwareRandom"]


class ForegroundAwareRandom(Strategy):
    """Random choice that prefers items with foreground. It reads the ground truth of unlabeled items.

    With probability ``share`` a foreground class is drawn uniformly, and then an item uniformly among the unlabeled
    ones that contain it; else, and where no unlabeled item contains foreground, an item uniformly among all unlabeled
    ones. A baseline for simulations: in real annotation nobody knows what an item contains before it is annotated. No
    network is needed, and the strategy chooses the initial set itself.

    Args:
        share: probability of a draw among the items that contain a class, in [0, 1]; two thirds and one third are known
            as 66 % and 33 %.

    Raises:
        ValueError: ``share`` is out of range; in :meth:`select`: the round does not know what the items contain.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> pool = Pool([Item(i, i, i, i) for i in "abc"], classes=["background", "organ"])
        >>> present = np.array([[True, False], [True, True], [True, False]])
        >>> round = Round(1, pool, labeled=[], seed=0, present=present)
        >>> [(item.id, item.reason) for item in ForegroundAwareRandom(share=1).query(round, budget=1).items]
        [('b', 'drawn among the items with organ (ground truth)')]
    """

    uses_truth = True

    def __init__(self, share: float = 2 / 3) -> None:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"share must lie in [0, 1], got {share!r}")
        self.share = share
        self.name = f"foreground-aware random {int(100 * share + 1e-9)} % (uses the truth)"

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        unlabeled, budget = candidates(len(round.pool), budget, round.labeled)
        present, rng = self._present(round), round.rng("random")
        everything = iter(rng.permutation(unlabeled).tolist())
        holding = {c: _drawn_order(unlabeled, present[:, c], rng) for c in range(1, present.shape[1])}
        chosen: dict[int, str] = {}
        while len(chosen) < budget:
            found = _with_a_class(holding, chosen, rng) if rng.random() < self.share else None
            if found is None:
                chosen[next(i for i in everything if i not in chosen)] = "drawn among all items"
            else:
                i, c = found
                chosen[i] = f"drawn among the items with {_class_name(round, c)} (ground truth)"
        return self.make_query(round, list(chosen), reasons=list(chosen.values()))

    def _present(self, round: Round) -> np.ndarray:
        if round.present is None:
            raise ValueError(
                f"strategy {self.name!r} is only for simulations with ground truth: it must know which classes each "
                "item contains, and this round does not tell"
            )
        present = np.asarray(round.present)
        if present.dtype != bool or present.ndim != 2 or len(present) != len(round.pool):
            raise ValueError(
                f"strategy {self.name!r} needs one row of classes per item of the pool ({len(round.pool)}), bool, got "
                f"{present.dtype} of the shape {present.shape}"
            )
        return present


def _drawn_order(unlabeled: np.ndarray, holds: np.ndarray, rng: np.random.Generator) -> Iterator[int]:
    return iter(rng.permutation(unlabeled[holds[unlabeled]]).tolist())


def _with_a_class(
    holding: dict[int, Iterator[int]], chosen: Container[int], rng: np.random.Generator
) -> tuple[int, int] | None:
    """The next item of a class drawn at random, and the class; None where all items with foreground are chosen."""
    while holding:
        c = list(holding)[int(rng.integers(len(holding)))]
        i = next((i for i in holding[c] if i not in chosen), None)
        if i is not None:
            return i, c
        del holding[c]
    return None


def _class_name(round: Round, number: int) -> str:
    classes = round.pool.classes
    return classes[number] if number < len(classes) else f"class {number}"
