# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices at equal distances."""

from __future__ import annotations

from monai_al.data import Item, Query, Round
from monai_al.selection import candidates
from monai_al.strategies.base import Strategy
from monai_al.strategies.groups import extents, fewest_first, labeled_of, nearest, unlabeled_of

__all__ = ["EvenlySpaced"]


class EvenlySpaced(Strategy):
    """Volume by volume, the slices at the centres of equal parts of the volume.

    Volumes with the fewest labeled items come first, equal ones in a drawn order. Where the slice at a centre is taken,
    the nearest unlabeled one stands for it, of two the lower. When all volumes were visited and the budget is not full,
    it goes round again. A baseline: no network is needed.

    Args:
        slices_per_volume: number of parts, and of slices from a volume on each visit.

    Raises:
        ValueError: ``slices_per_volume`` is no whole number of at least 1.

    Example:
        >>> from monai_al.data import Item, Pool
        >>> pool = Pool([Item(f"v/{z}", "v", "v", "v", slice=z) for z in range(9)])
        >>> query = EvenlySpaced(3).query(Round(1, pool, labeled=[], seed=0), budget=3)
        >>> query.ids, query.items[0].reason
        (('v/1', 'v/4', 'v/7'), 'centre of part 1 of 3 of volume v')
    """

    def __init__(self, slices_per_volume: int = 1) -> None:
        whole = isinstance(slices_per_volume, int) and not isinstance(slices_per_volume, bool)
        if not whole or slices_per_volume < 1:
            raise ValueError(f"slices_per_volume must be a whole number of at least 1, got {slices_per_volume!r}")
        self.slices_per_volume = slices_per_volume
        self.name = "evenly spaced" if slices_per_volume == 1 else f"evenly spaced ({slices_per_volume} per volume)"

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        _, budget = candidates(len(round.pool), budget, round.labeled)
        rng, counts = round.rng("random"), labeled_of(round, "volume")
        left, places = unlabeled_of(round, "volume"), extents(round.pool)
        chosen: list[int] = []
        reasons: list[str] = []
        while len(chosen) < budget:
            for volume in fewest_first([volume for volume in left if left[volume]], counts, rng):
                for part in range(min(self.slices_per_volume, len(left[volume]), budget - len(chosen))):
                    first, length = places[volume]
                    centre = first + (part + 0.5) * length / self.slices_per_volume - 0.5
                    i = nearest(round.pool, left[volume], centre)
                    left[volume].remove(i)
                    counts[volume] += 1
                    chosen.append(i)
                    reasons.append(self._reason(round.pool[i], part))
        return self.make_query(round, chosen, reasons=reasons)

    def _reason(self, item: Item, part: int) -> str:
        if item.slice is None:
            return f"{item.volume} as a whole"
        of_parts = "" if self.slices_per_volume == 1 else f"part {part + 1} of {self.slices_per_volume} of "
        return f"centre of {of_parts}volume {item.volume}"
