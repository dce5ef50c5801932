# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Random choice with an equal share for every patient."""

from __future__ import annotations

import heapq

from monai_al.records import Query, Round
from monai_al.selection import candidates
from monai_al.strategies.base import Strategy
from monai_al.strategies.groups import labeled_of, unlabeled_of

__all__ = ["PatientStratifiedRandom"]


class PatientStratifiedRandom(Strategy):
    """Each item from a patient who has the fewest labeled items so far, uniformly within the patient.

    Patients with equally many stand in a drawn order; the initial set and the items chosen before in the same query
    count. A baseline: no network is needed, and the strategy chooses the initial set itself.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> pool = Pool([Item(f"{p}/{z}", p, p, p, slice=z) for p in "ab" for z in range(3)])
        >>> query = PatientStratifiedRandom().query(Round(1, pool, labeled=[0], seed=0), budget=1)
        >>> query.items[0].reason
        'patient b, who has the fewest items so far: 0'
    """

    name = "patient-stratified random"

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        _, budget = candidates(len(round.pool), budget, round.labeled)
        rng, counts = round.rng("random"), labeled_of(round, "patient")
        left = {patient: rng.permutation(found).tolist() for patient, found in unlabeled_of(round, "patient").items()}
        queue = [(counts[patient], rng.random(), patient) for patient in left]
        heapq.heapify(queue)
        chosen, reasons = [], []
        while len(chosen) < budget:
            count, _, patient = heapq.heappop(queue)
            chosen.append(left[patient].pop())
            reasons.append(f"patient {patient}, who has the fewest items so far: {count}")
            if left[patient]:
                heapq.heappush(queue, (count + 1, rng.random(), patient))
        return self.make_query(round, chosen, reasons=reasons)
