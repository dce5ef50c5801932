# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Selective uncertainty: count only the pixels of the target and of its boundary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from monai_al.records import Query, Round
from monai_al.strategies.base import Strategy, of_lists
from monai_al.strategies.selector import Selector
from monai_al.strategies.uncertainty import named_measure
from monai_al.uncertainty import REGIONS, Augmentation, Measure

__all__ = ["Selective"]


class Selective(Strategy):
    """The items that are most uncertain in their target region and in their boundary region, in turn.

    S. Ma, H. Wu, A. Lawlor, R. Dong, "Breaking the barrier: selective uncertainty-based active learning for medical
    image segmentation", 2024, eq. 1-5. An item whose region is empty ranks last in that region's list.

    Args:
        measure: as in :class:`~monai_al.strategies.Uncertainty`; those of several predictions find the regions on the
            mean probability.
        regions: ``"both"``, ``"target"`` (the paper's ablation) or ``"boundary"``.
        reduction: ``"sum"`` (as in the paper) or ``"mean"`` over the region.
        threshold: T of the target region, in [0, 1).
        width: B of the boundary region, in (0, 0.5].
        passes: number of predictions with dropout on, or of copies; None: 10 with dropout, 8 copies.
        selector: how the scores choose, as in :class:`~monai_al.strategies.Uncertainty`. None and ``"top_k"`` merge the
            two rankings, see :func:`~monai_al.selection.merge_alternating`. With ``"stratified"`` the two regions take
            turns, and each takes its best item of the patients with the fewest. Any other one chooses ceil(budget / 2)
            items by the target region, and then floor(budget / 2) of the rest by the boundary region; the query holds
            them in turn.
        augmentation: arguments of :class:`~monai_al.uncertainty.Augmentation`, for the measures of augmented copies.

    Raises:
        ValueError: an argument is unknown, out of range, or without a use.

    Example:
        >>> from monai_al.records import Item, Pool
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
        passes: int | None = None,
        selector: str | Callable[..., ArrayLike] | None = None,
        augmentation: Mapping[str, Any] | Augmentation | None = None,
    ) -> None:
        if regions != "both" and regions not in REGIONS:
            raise ValueError(f"regions {regions!r} is none of both, {', '.join(REGIONS)}")
        self.regions = REGIONS if regions == "both" else (regions,)
        common = {"reduction": reduction, "threshold": threshold, "width": width}
        self.measures = {
            f"{measure} {region}": named_measure(measure, passes, augmentation, region=region, **common)
            for region in self.regions
        }
        self.selector = Selector.of(selector)
        name = f"selective {measure}" if regions == "both" else f"selective {measure} ({regions})"
        self.name = self.selector.named(name)

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return dict(self.measures)

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        lists = [self.scores(round, name) for name in self.measures]
        if len(lists) == 2:
            chosen = self.selector.choose_in_turn(lists[0], lists[1], budget, round)
        else:
            chosen = self.selector.choose(lists[0], budget, round)
        named = {f"{region} region": values for region, values in zip(self.regions, lists, strict=True)}
        turns = np.arange(len(chosen)) % len(lists)
        scores, reasons = of_lists(named, turns, chosen, round.labeled, unranked="empty {}")
        return self.make_query(round, chosen, scores, self.selector.reasons(reasons))
