# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches of slices that belong together, for contrastive training, or of any slices where none do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from monai_al.data._patient_draw import draw_patients, most_batches
from monai_al.records.item import Item
from monai_al.records.randomness import rng

__all__ = ["GROUP_MEMBERS", "GroupBatchSampler", "slice_groups"]

GROUP_MEMBERS = ("slice", "volume", "patient")


class GroupBatchSampler(Sampler[list[int]]):
    """Batches of groups: a slice, and others that are adjacent to it, of its volume and of its patient.

    A. Vepa et al., "Integrating deep metric learning with coreset for active learning in 3D segmentation", NeurIPS
    2024, arXiv:2411.15763, Algorithm 1. Give it to a ``DataLoader`` as ``batch_sampler``. Every slice is the anchor l
    of one group ``[l, s, v, p]``:

    * s (``"slice"``): a neighbor, whose slice number differs by 1; where it has none, the nearest slice of its volume;
    * v (``"volume"``): a random other slice of the volume;
    * p (``"patient"``): a random other slice of the patient, of any volume.

    v and p avoid the slices that the group holds already, then the anchor alone; where there is no other slice the
    anchor is repeated. A batch holds whole groups, one after the other, each of another patient.

    Without members there are no groups, and these are the plain shuffled batches of SimCLR: every slice once, in random
    order, those that do not fill a batch left out. A batch may hold several slices of a patient, also neighbors, which
    NT-Xent is to push away.

    The groups are drawn anew in each epoch, from the seed and the epoch alone: call :meth:`set_epoch` before each, or
    attach :class:`~monai_al.handlers.EpochSeed`; without it every epoch is the same.

    Unlike Algorithm 1, where the number of batches is left to chance, all epochs have the largest number of batches
    that can be filled: an engine asks for the length once. To that end a patient with more groups than others is
    drawn where leaving it out once more would cost a batch; else every patient has the same chance, as in Algorithm 1.

    Args:
        patients: ``(N,)``, the patient of each slice: numbers or names.
        volumes: ``(N,)``, the volume of each slice; the same one of two patients are two volumes.
        slices: ``(N,)``, slice numbers; -1 for whole images.
        members: what stands in a group beside the anchor, any of ``"slice"``, ``"volume"`` and ``"patient"``, always in
            this order; nothing: plain shuffled batches.
        batch_size: slices in a batch, a multiple of the group's length; None: 9 for two members, otherwise 8.
        seed: the experiment's seed.
        rank: number of this process, of those that train together.
        num_replicas: number of processes that train together; they share an epoch's batches, each has the same number
            of them.

    Raises:
        ValueError: unknown members, lengths that differ, a batch size that is no multiple of the group's length, fewer
            patients than a batch has groups (fewer slices than it holds, without members), or fewer batches than
            processes.

    Example:
        >>> patients = [0, 0, 0, 0, 1, 1, 1, 1]
        >>> volumes = [0, 0, 1, 1, 2, 2, 2, 2]
        >>> sampler = GroupBatchSampler(patients, volumes, [0, 1, 0, 1, 0, 1, 2, 3], batch_size=6)
        >>> len(sampler), sampler.left_out
        (4, 0)
        >>> anchor, in_volume, in_patient, *other = next(iter(sampler))
        >>> volumes[anchor] == volumes[in_volume], patients[anchor] == patients[in_patient] != patients[other[0]]
        (True, True)
    """

    def __init__(
        self,
        patients: Sequence[Any],
        volumes: Sequence[Any],
        slices: Sequence[int],
        *,
        members: Collection[str] = ("volume", "patient"),
        batch_size: int | None = None,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
    ) -> None:
        self.members = _ordered(members)
        self.group_length = 1 + len(self.members)
        self.batch_size = (9 if len(self.members) == 2 else 8) if batch_size is None else batch_size
        self.seed, self.rank, self.num_replicas = seed, rank, num_replicas
        self.epoch = 0
        self._slices = _SortedSlices(patients, volumes, slices)
        _check_numbers(self.batch_size, self.group_length, rank, num_replicas)
        self._groups_in_batch = self.batch_size // self.group_length
        if self.members:
            _check_patients(len(self._slices.patient_lengths), self.batch_size, self.group_length)
            self._all_batches = most_batches(self._slices.patient_lengths, self._groups_in_batch)
        else:
            _check_slices(len(self._slices.positions), self.batch_size)
            self._all_batches = len(self._slices.positions) // self.batch_size
        if self._all_batches < num_replicas:
            raise ValueError(f"the slices fill {self._all_batches} batches, too few for {num_replicas} processes")

    @classmethod
    def of(cls, items: Sequence[Item], **options: Any) -> GroupBatchSampler:
        """The sampler of the items of a data set.

        Args:
            items: in the order of the data set.
            **options: the other arguments.

        Raises:
            ValueError: a batch is one slice, which a contrastive loss has nothing to compare with.
        """
        if options.get("batch_size") == 1:
            raise ValueError("a batch of one slice has no other to compare it with: --pretrain_batch_size 2 or more")
        slices = [-1 if item.slice is None else item.slice for item in items]
        return cls([item.patient for item in items], [item.volume for item in items], slices, **options)

    @property
    def left_out(self) -> int:
        """How many slices are the anchor of no group of an epoch, over all processes."""
        return len(self._slices.positions) - len(self) * self.num_replicas * self._groups_in_batch

    def set_epoch(self, epoch: int) -> None:
        """Draw what belongs to this epoch the next time the sampler is iterated."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of batches, the same in all epochs and processes."""
        return self._all_batches // self.num_replicas

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of the epoch that is set, lists of ``batch_size`` positions."""
        draws = rng(self.seed, self.epoch, "group batches")
        positions = self._grouped(draws) if self.members else draws.permutation(len(self._slices.positions))
        batches = positions[: self._all_batches * self.batch_size].reshape(self._all_batches, self.batch_size)
        return map(np.ndarray.tolist, batches[self.rank :: self.num_replicas][: len(self)])

    def _grouped(self, draws: np.random.Generator) -> np.ndarray:
        """The positions of all groups of an epoch, one after the other."""
        patients = draw_patients(self._slices.patient_lengths, self._groups_in_batch, self._all_batches, draws)
        anchors = self._slices.shuffled(patients.ravel(), draws)
        return self._slices.positions[self._slices.groups(anchors, self.members, draws)].ravel()


class _SortedSlices:
    """Slices sorted by patient, volume and slice number; "places" are numbers in this order."""

    def __init__(self, patients: Sequence[Any], volumes: Sequence[Any], slices: Sequence[int]) -> None:
        if not len(patients) == len(volumes) == len(slices):
            raise ValueError(
                f"patients, volumes and slices must have one length, got {len(patients)}, {len(volumes)}, {len(slices)}"
            )
        patient, volume, number = _numbered(patients), _numbered(volumes), np.asarray(slices, dtype=np.int64)
        self.positions = np.lexsort((number, volume, patient))
        self.numbers = number[self.positions]
        new_patient = _changes(patient[self.positions])
        self.patient_starts, self.patient_lengths = _segments(new_patient)
        self.volume_starts, self.volume_lengths = _segments(new_patient | _changes(volume[self.positions]))
        self.patient = np.repeat(np.arange(len(self.patient_lengths)), self.patient_lengths)
        self.volume = np.repeat(np.arange(len(self.volume_lengths)), self.volume_lengths)

    def shuffled(self, patients: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        """For each patient in a list a place of its own, at random and none twice."""
        shuffled = np.lexsort((draws.random(len(self.patient)), self.patient))
        used = np.bincount(patients, minlength=len(self.patient_lengths))
        nth = np.arange(len(patients)) - np.repeat(np.cumsum(used) - used, used)
        anchors = np.empty_like(patients)
        anchors[np.argsort(patients, kind="stable")] = shuffled[np.repeat(self.patient_starts, used) + nth]
        return anchors

    def groups(self, anchors: np.ndarray, members: Sequence[str], draws: np.random.Generator) -> np.ndarray:
        """The groups of some anchors, all of them places, ``(n, 1 + len(members))``."""
        group = anchors[:, None]
        for member in members:
            chance = draws.random(len(anchors))
            if member == "slice":
                new = self._nearest(anchors, chance)
            elif member == "volume":
                volume = self.volume[anchors]
                new = _another(self.volume_starts[volume], self.volume_lengths[volume], group, chance)
            else:
                patient = self.patient[anchors]
                new = _another(self.patient_starts[patient], self.patient_lengths[patient], group, chance)
            group = np.column_stack([group, new])
        return group

    def _nearest(self, anchors: np.ndarray, chance: np.ndarray) -> np.ndarray:
        """The slice of the volume whose number is nearest, either of two that are equally near."""
        first = self.volume_starts[self.volume[anchors]]
        last = first + self.volume_lengths[self.volume[anchors]] - 1
        below, above = np.maximum(anchors - 1, first), np.minimum(anchors + 1, last)
        gap_below, gap_above = np.abs(self.numbers[[below, above]] - self.numbers[anchors])
        go_below = np.where(gap_below == gap_above, chance < 0.5, gap_below < gap_above)
        return np.where((below < anchors) & (go_below | (above == anchors)), below, above)


def slice_groups(volumes: Sequence[int], slices: Sequence[int], group_length: int, adjacent: bool) -> np.ndarray:
    """Numbers of the slice groups of a batch: an anchor and the adjacent slice drawn for it share one.

    Every other slice has a number of its own, and a slice that stands in the batch again keeps the one it had.

    Args:
        volumes: ``(M,)``, the volume of each slice, unique over the data set.
        slices: ``(M,)``, the slice numbers.
        group_length: length of the batch's groups, each with its anchor first.
        adjacent: whether the second slice of each group is an adjacent one.

    Returns:
        int64 ``(M,)``, counted from 0.

    Raises:
        ValueError: the batch is no multiple of the group's length, or the groups have no second slice.

    Example:
        >>> slice_groups(volumes=[4, 4, 4, 7, 7, 7], slices=[8, 9, 2, 5, 4, 5], group_length=3, adjacent=True).tolist()
        [0, 0, 1, 2, 2, 2]
    """
    if len(volumes) % group_length or len(volumes) != len(slices):
        raise ValueError(f"{len(volumes)} volumes and {len(slices)} slices are not whole groups of {group_length}")
    if adjacent and group_length < 2:
        raise ValueError("groups of 1 hold no adjacent slice: give adjacent=False")
    groups: list[int] = []
    known: dict[tuple[int, int], int] = {}
    n_groups = 0
    for place, key in enumerate(zip(volumes, slices, strict=True)):
        if key not in known:
            shares = adjacent and place % group_length == 1
            known[key] = groups[-1] if shares else n_groups
            n_groups += not shares
        groups.append(known[key])
    return np.array(groups, dtype=np.int64)


def _another(starts: np.ndarray, lengths: np.ndarray, group: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """A place of each segment that is not in its group; else one that is not the anchor; else the anchor."""
    anchor = group[:, 0]
    unused, n_used = _outside(starts, lengths, group, chance)
    other, _ = _outside(starts, lengths, group[:, :1], chance)
    return np.where(n_used < lengths, unused, np.where(lengths > 1, other, anchor))


def _outside(
    starts: np.ndarray, lengths: np.ndarray, used: np.ndarray, chance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A place of each segment that is not among those used there, and how many are used."""
    used = np.sort(used, axis=1)
    first = np.ones_like(used, dtype=bool)
    first[:, 1:] = used[:, 1:] != used[:, :-1]
    n_used = first.sum(axis=1)
    places = starts + (chance * (lengths - n_used)).astype(np.int64)
    for column, is_first in zip(used.T, first.T, strict=True):
        places += (places >= column) & is_first
    return places, n_used


def _numbered(names: Any) -> np.ndarray:
    """Numbers in the order of first appearance."""
    numbers: dict[Any, int] = {}
    names = names.tolist() if hasattr(names, "tolist") else names
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _changes(values: np.ndarray) -> np.ndarray:
    """Where a sorted array holds another value than just before."""
    return np.diff(values, prepend=-1) != 0


def _segments(is_start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    starts = np.flatnonzero(is_start)
    return starts, np.diff(starts, append=len(is_start))


def _ordered(members: Collection[str]) -> tuple[str, ...]:
    wrong = [members] if isinstance(members, str) else [name for name in members if name not in GROUP_MEMBERS]
    if wrong:
        raise ValueError(f"members must be a list of {', '.join(map(repr, GROUP_MEMBERS))}, got {wrong[0]!r}")
    return tuple(name for name in GROUP_MEMBERS if name in members)


def _check_numbers(batch_size: int, group_length: int, rank: int, num_replicas: int) -> None:
    if batch_size < 1 or batch_size % group_length:
        raise ValueError(
            f"batch_size must be a multiple of {group_length}, the length of a group (the anchor and its members), "
            f"got {batch_size}"
        )
    if not 0 <= rank < num_replicas:
        raise ValueError(f"rank must be one of 0 to {num_replicas - 1}, got {rank}")


def _check_patients(n_patients: int, batch_size: int, group_length: int) -> None:
    if n_patients < batch_size // group_length:
        raise ValueError(
            f"a batch of {batch_size} slices holds {batch_size // group_length} groups of different patients, but "
            f"there are {n_patients} patients: give a smaller batch_size (pretrain_batch_size in a bundle), a "
            f"multiple of {group_length}"
        )


def _check_slices(n_slices: int, batch_size: int) -> None:
    if n_slices < batch_size:
        raise ValueError(
            f"a batch holds {batch_size} slices, but there are {n_slices}: give a smaller batch_size "
            "(pretrain_batch_size in a bundle)"
        )
