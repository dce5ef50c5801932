# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One central slice of every patient."""

from __future__ import annotations

from monai_al.records import Query, Round
from monai_al.selection import candidates
from monai_al.strategies.base import Strategy
from monai_al.strategies.groups import extents, fewest_first, labeled_of, nearest, unlabeled_of

__all__ = ["CentralStratified"]


class CentralStratified(Strategy):
    """One slice per patient, spread over the middle part of the volumes.

    Of b patients the j-th one, counted from 0, gives the slice at (1 - middle) / 2 + middle * (j + 0.5) / b of the
    length of one of its volumes, drawn at random; where that slice is taken, the nearest unlabeled one, of two the
    lower. Patients with the fewest labeled items come first, equal ones in a drawn order. When the budget is more than
    there are patients, it goes round again. A baseline: no network is needed, and the strategy chooses the initial set
    itself.

    Args:
        middle: share of a volume's length, around its centre, in (0, 1].

    Raises:
        ValueError: ``middle`` is out of range.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> pool = Pool([Item(f"v/{z}", "v", "v", "p", slice=z) for z in range(9)])
        >>> CentralStratified().query(Round(1, pool, labeled=[], seed=0), budget=1).items[0].reason
        'patient p, at 50 % of volume v'
    """

    def __init__(self, middle: float = 0.7) -> None:
        if isinstance(middle, bool) or not isinstance(middle, int | float) or not 0 < middle <= 1:
            raise ValueError(f"middle must lie in (0, 1], got {middle!r}")
        self.middle = middle
        self.name = "central stratified" if middle == 0.7 else f"central stratified (middle {100 * middle:g} %)"

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        _, budget = candidates(len(round.pool), budget, round.labeled)
        rng, counts = round.rng("random"), labeled_of(round, "patient")
        left, places = unlabeled_of(round, "patient"), extents(round.pool)
        chosen: list[int] = []
        reasons: list[str] = []
        while len(chosen) < budget:
            patients = fewest_first([patient for patient in left if left[patient]], counts, rng)
            patients = patients[: budget - len(chosen)]
            for j, patient in enumerate(patients):
                volumes = list(dict.fromkeys(round.pool[i].volume for i in left[patient]))
                volume = volumes[int(rng.integers(len(volumes)))]
                share = (1 - self.middle) / 2 + self.middle * (j + 0.5) / len(patients)
                first, length = places[volume]
                of_volume = [i for i in left[patient] if round.pool[i].volume == volume]
                i = nearest(round.pool, of_volume, first + share * length - 0.5)
                left[patient].remove(i)
                chosen.append(i)
                place = "a whole" if round.pool[i].slice is None else f"at {100 * share:.0f} % of volume"
                reasons.append(f"patient {patient}, {place} {volume}")
        return self.make_query(round, chosen, reasons=reasons)
