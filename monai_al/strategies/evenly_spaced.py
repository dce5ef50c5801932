# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices at equal distances."""

from __future__ import annotations

from collections import Counter

from monai_al.records import Item, Pool, Query, Round
from monai_al.selection import candidates
from monai_al.strategies.base import Strategy
from monai_al.strategies.groups import extents, fewest_first, nearest, number, unlabeled_of

__all__ = ["EvenlySpaced"]


class EvenlySpaced(Strategy):
    """Volume by volume, the slices at the centres of equal parts of the volume.

    Volumes with the fewest labeled items come first, equal ones in a drawn order. A volume has ``slices_per_volume``
    parts, twice as many when it has that many labeled slices already, then three times, and so on. Each slice is chosen
    in the part with the fewest labeled slices, of equal parts the lowest: the unlabeled slice nearest to its centre, of
    two the lower. When all volumes were visited and the budget is not full, it goes round again. A baseline: no network
    is needed, and the strategy chooses the initial set itself.

    Args:
        slices_per_volume: number of parts, and of slices from a volume on each visit.

    Raises:
        ValueError: ``slices_per_volume`` is no whole number of at least 1.

    Example:
        >>> from monai_al.records import Item, Pool
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
        rng, left, places = round.rng("random"), unlabeled_of(round, "volume"), extents(round.pool)
        taken = {volume: [i for i in round.labeled.tolist() if round.pool[i].volume == volume] for volume in left}
        chosen: list[int] = []
        reasons: list[str] = []
        while len(chosen) < budget:
            counts = {volume: len(of_volume) for volume, of_volume in taken.items()}
            for volume in fewest_first([volume for volume in left if left[volume]], counts, rng):
                for _ in range(min(self.slices_per_volume, len(left[volume]), budget - len(chosen))):
                    part, parts = self._emptiest_part(round.pool, taken[volume], *places[volume])
                    first, length = places[volume]
                    i = nearest(round.pool, left[volume], first + (part + 0.5) * length / parts - 0.5)
                    left[volume].remove(i)
                    taken[volume].append(i)
                    chosen.append(i)
                    reasons.append(_reason(round.pool[i], part, parts))
        return self.make_query(round, chosen, reasons=reasons)

    def _emptiest_part(self, pool: Pool, taken: list[int], first: int, length: int) -> tuple[int, int]:
        """A part of a volume, and how many parts there are."""
        parts = self.slices_per_volume * (len(taken) // self.slices_per_volume + 1)
        filled = Counter(int((number(pool[i]) - first + 0.5) * parts / length) for i in taken)
        return min(range(parts), key=lambda part: filled[part]), parts


def _reason(item: Item, part: int, parts: int) -> str:
    if item.slice is None:
        return f"{item.volume} as a whole"
    of_parts = "" if parts == 1 else f"part {part + 1} of {parts} of "
    return f"centre of {of_parts}volume {item.volume}"
