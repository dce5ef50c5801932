# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Selective uncertainty: count only the pixels of the target and of its boundary."""

from __future__ import annotations

import numpy as np

from monai_al.data import Query, Round
from monai_al.selection import merge_alternating, top_k
from monai_al.strategies.base import Strategy, ranked_reasons
from monai_al.strategies.uncertainty import check_measure
from monai_al.uncertainty import MEASURES, REGIONS, Measure

__all__ = ["Selective"]


class Selective(Strategy):
    """The items that are most uncertain in their target region and in their boundary region, in turn.

    S. Ma, H. Wu, A. Lawlor, R. Dong, "Breaking the barrier: selective uncertainty-based active learning for medical
    image segmentation", 2024, eq. 1-5. An item whose region is empty ranks last in that region's list.

    Args:
        measure: ``"entropy"``, ``"least_confidence"``, ``"margin"``, ``"mc_dropout"`` or ``"bald"``; the last two need
            a network with dropout, and find the regions on the mean probability.
        regions: ``"both"``, ``"target"`` (the paper's ablation) or ``"boundary"``.
        reduction: ``"sum"`` (as in the paper) or ``"mean"`` over the region.
        threshold: T of the target region, in [0, 1).
        width: B of the boundary region, in (0, 0.5].
        passes: number of predictions of ``"mc_dropout"`` and ``"bald"``.

    Raises:
        ValueError: an argument is unknown or out of range.

    Example:
        >>> from monai_al.data import Item, Pool
        >>> scores = {"entropy target": [3.0, 2.0, 1.0], "entropy boundary": [3.0, 1.0, 2.0]}
        >>> round = Round(1, Pool([Item(i, i, i, i) for i in "abc"]), labeled=[], seed=0, scores=scores)
        >>> [(item.id, item.reason) for item in Selective("entropy").query(round, budget=2).items]
        [('a', 'target region, rank 1 of 3'), ('c', 'boundary region, rank 2 of 3')]
    """

    def __init__(
        self,
        measure: str = "entropy",
        regions: str = "both",
        reduction: str = "sum",
        threshold: float = 0.2,
        width: float = 0.1,
        passes: int = 10,
    ) -> None:
        check_measure(measure)
        if regions != "both" and regions not in REGIONS:
            raise ValueError(f"regions {regions!r} is none of both, {', '.join(REGIONS)}")
        self.name = f"selective {measure}" if regions == "both" else f"selective {measure} ({regions})"
        self.regions = REGIONS if regions == "both" else (regions,)
        self.measures: dict[str, Measure] = {
            f"{measure} {region}": Measure(
                MEASURES[measure], region=region, reduction=reduction, threshold=threshold, width=width, passes=passes
            )
            for region in self.regions
        }

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return dict(self.measures)

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        lists = [self.scores(round, name) for name in self.measures]
        rng = round.rng("ties")
        if len(lists) == 2:
            chosen = merge_alternating(lists[0], lists[1], budget, round.labeled, rng)
        else:
            chosen = top_k(lists[0], budget, round.labeled, rng)
        turns = np.arange(len(chosen)) % len(lists)
        scores = np.stack(lists)[turns, chosen]
        told = [
            ranked_reasons(f"{region} region", values, chosen, round.labeled, f"empty {region} region")
            for region, values in zip(self.regions, lists, strict=True)
        ]
        return self.make_query(round, chosen, scores, [told[turn][place] for place, turn in enumerate(turns)])
