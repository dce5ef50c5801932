# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches of different patients, drawn at random, as many as there can be."""

from __future__ import annotations

import numpy as np

__all__ = ["draw_patients", "most_batches"]


def most_batches(counts: np.ndarray, per_batch: int) -> int:
    """The largest number of batches of ``per_batch`` different patients each.

    In t batches a patient with c groups is at most ``min(c, t)`` times, so t is possible if and only if these numbers
    add up to ``per_batch * t``.

    Args:
        counts: ``(P,)``, number of groups of each patient.
        per_batch: number of patients in a batch.
    """
    low, high = 0, int(counts.sum()) // per_batch
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(counts, middle).sum() >= per_batch * middle:
            low = middle
        else:
            high = middle - 1
    return low


def draw_patients(counts: np.ndarray, per_batch: int, n_batches: int, rng: np.random.Generator) -> np.ndarray:
    """Fill one batch after the other: a random patient that still has groups and is not yet in the batch.

    With t batches left, a patient of at least t groups that is left out of a batch can never give one of them; more
    such losses than ``sum_i min(c_i, t) - per_batch * t`` would cost a batch. Only where this is at stake the patient
    is drawn from those with at least t groups alone.

    Args:
        counts: ``(P,)``, number of groups of each patient.
        per_batch: number of patients in a batch.
        n_batches: at most :func:`most_batches`.
        rng: source of the draws.

    Returns:
        int64 ``(n_batches, per_batch)``, numbers of patients.
    """
    left: list[int] = counts.tolist()
    abundant, scarce = _Bag(len(left)), _Bag(len(left))
    with_groups: list[list[int]] = [[] for _ in range(n_batches)]  # number of groups left -> scarce patients
    for patient, count in enumerate(left):
        if count >= n_batches:
            abundant.add(patient)
        elif count:
            scarce.add(patient)
            with_groups[count].append(patient)
    losses = int(np.minimum(counts, n_batches).sum()) - per_batch * n_batches
    chances = iter(rng.random(n_batches * per_batch).tolist())
    drawn: list[int] = []
    for batches_left in range(n_batches, 0, -1):
        scarce_at_most = per_batch - max(len(abundant.patients) - losses, 0)
        for _ in range(per_batch):
            choices = scarce.unpicked if len(scarce.picked) < scarce_at_most else 0
            place = int(next(chances) * (choices + abundant.unpicked))
            drawn.append(scarce.pick(place) if place < choices else abundant.pick(place - choices))
        losses -= abundant.unpicked
        for patient in abundant.put_back():
            left[patient] -= 1
        for patient in scarce.put_back():
            left[patient] -= 1
            if left[patient]:
                with_groups[left[patient]].append(patient)
            else:
                scarce.remove(patient)
        for patient in with_groups[batches_left - 1]:
            if left[patient] == batches_left - 1:
                scarce.remove(patient)
                abundant.add(patient)
    return np.array(drawn, dtype=np.int64).reshape(n_batches, per_batch)


class _Bag:
    """Patients in any order; those picked for the current batch lie at the end."""

    def __init__(self, n_patients: int) -> None:
        self.patients: list[int] = []
        self.picked: list[int] = []
        self.unpicked = 0
        self._places = [0] * n_patients

    def add(self, patient: int) -> None:
        self._places[patient] = len(self.patients)
        self.patients.append(patient)
        self.unpicked += 1

    def pick(self, place: int) -> int:
        """Take the patient that lies at a place, out of ``unpicked`` ones."""
        patient = self.patients[place]
        self.unpicked -= 1
        self._swap(place, self.unpicked)
        self.picked.append(patient)
        return patient

    def put_back(self) -> list[int]:
        """The patients that were picked for a batch, which can be picked again now."""
        picked, self.picked, self.unpicked = self.picked, [], len(self.patients)
        return picked

    def remove(self, patient: int) -> None:
        self._swap(self._places[patient], len(self.patients) - 1)
        self.patients.pop()
        self.unpicked -= 1

    def _swap(self, one: int, other: int) -> None:
        patients, places = self.patients, self._places
        patients[one], patients[other] = patients[other], patients[one]
        places[patients[one]], places[patients[other]] = one, other
