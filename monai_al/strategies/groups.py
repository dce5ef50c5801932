# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Patients and volumes of a pool: what is left of them, and where their slices lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from monai_al.records import Item, Pool, Round
from monai_al.selection import check_groups

__all__ = [
    "LEVELS",
    "check_level",
    "extents",
    "fewest_first",
    "groups_of",
    "labeled_of",
    "level_of",
    "nearest",
    "number",
    "stratified_by",
    "turn_of",
    "unlabeled_of",
]

LEVELS = ("patient", "volume")
"""What items may be grouped by."""


def check_level(level: Any, name: str) -> str:
    """Refuse what items cannot be grouped by.

    Args:
        level: what should be one of :data:`LEVELS`.
        name: what the error calls it.

    Raises:
        ValueError: it is none.

    Example:
        >>> check_level("slice", "groups")
        Traceback (most recent call last):
        ...
        ValueError: groups must be patient or volume, got 'slice'
    """
    if not isinstance(level, str) or level not in LEVELS:
        raise ValueError(f"{name} must be {' or '.join(LEVELS)}, got {level!r}")
    return level


def level_of(stratified: bool | str) -> str | None:
    """What a strategy's setting ``stratified`` spreads its items over: True stands for patients, False for nothing.

    Raises:
        ValueError: it is neither a bool nor one of :data:`LEVELS`.

    Example:
        >>> level_of(True), level_of("volume"), level_of(False)
        ('patient', 'volume', None)
    """
    if isinstance(stratified, bool):
        return "patient" if stratified else None
    if stratified not in LEVELS:
        raise ValueError(f"stratified must be True, False, {' or '.join(LEVELS)}, got {stratified!r}")
    return stratified


def groups_of(pool: Pool, level: str | None) -> np.ndarray | None:
    """A number ``(N,)`` for the patient or the volume of each item, int64; None where nothing is grouped.

    Example:
        >>> groups_of(Pool([Item("v/0", "v", "v", "p"), Item("w/0", "w", "w", "p")]), "volume").tolist()
        [0, 1]
    """
    return None if level is None else check_groups(pool.items.numbers(level), len(pool))


def stratified_by(name: str, level: str | None) -> str:
    """The name of a strategy that spreads its items.

    Example:
        >>> stratified_by("entropy", "patient"), stratified_by("entropy", None)
        ('entropy, stratified by patient', 'entropy')
    """
    return name if level is None else f"{name}, stratified by {level}"


def turn_of(reason: str, level: str | None) -> str:
    """Why an item was chosen, where patients or volumes take turns.

    Example:
        >>> turn_of("entropy, rank 2 of 3", "patient")
        'entropy, rank 2 of 3, of a patient with the fewest items so far'
    """
    return reason if level is None else f"{reason}, of a {level} with the fewest items so far"


def unlabeled_of(round: Round, level: str) -> dict[str, list[int]]:
    """Positions of the unlabeled items of each group that has any, in the order of the pool.

    Args:
        round: the state of the pool.
        level: ``"patient"`` or ``"volume"``.

    Example:
        >>> pool = Pool([Item("v/0", "v", "v", "p", slice=0), Item("v/1", "v", "v", "p", slice=1)])
        >>> unlabeled_of(Round(1, pool, labeled=[0], seed=0), "patient")
        {'p': [1]}
    """
    names, numbers, unlabeled = round.pool.items.names(level), round.pool.items.numbers(level), round.unlabeled
    order = unlabeled[np.argsort(numbers[unlabeled], kind="stable")]
    starts = np.unique(numbers[order], return_index=True)[1]
    parts = sorted((part.tolist() for part in np.split(order, starts[1:]) if len(part)), key=lambda part: part[0])
    return {names[numbers[part[0]]]: part for part in parts}


def labeled_of(round: Round, level: str) -> Counter[str]:
    """How many items of each group are labeled or asked for, 0 for a group without.

    Args:
        round: the state of the pool.
        level: ``"patient"`` or ``"volume"``.

    Example:
        >>> labeled_of(Round(1, Pool([Item("a", "a", "a", "p")]), labeled=[0], seed=0), "patient")["p"]
        1
    """
    return Counter(getattr(round.pool[i], level) for i in round.labeled.tolist())


def fewest_first(names: Iterable[str], counts: Mapping[str, int], rng: np.random.Generator) -> list[str]:
    """Names by their counts, the fewest first; equal ones in a drawn order.

    Example:
        >>> fewest_first(["a", "b"], Counter(a=2, b=1), np.random.default_rng(0))
        ['b', 'a']
    """
    names = list(names)
    return sorted((names[i] for i in rng.permutation(len(names))), key=lambda name: counts[name])


def extents(pool: Pool) -> dict[str, tuple[int, int]]:
    """First slice number of each volume, and how many slices there are from it to the last one.

    A whole image or volume counts as one slice.

    Example:
        >>> extents(Pool([Item("v/2", "v", "v", "v", slice=2), Item("v/5", "v", "v", "v", slice=5)]))
        {'v': (2, 4)}
    """
    names, volumes = pool.items.names("volume"), pool.items.numbers("volume")
    numbers = np.maximum(pool.items.slices, 0)
    lowest, highest = np.full(len(names), np.iinfo(np.int32).max), np.zeros(len(names), dtype=np.int32)
    np.minimum.at(lowest, volumes, numbers)
    np.maximum.at(highest, volumes, numbers)
    return {name: (int(low), int(high - low + 1)) for name, low, high in zip(names, lowest, highest, strict=True)}


def nearest(pool: Pool, positions: Sequence[int], place: float) -> int:
    """The one of several items of a volume whose slice number is nearest to a place; of two, the lower.

    Args:
        pool: the pool.
        positions: positions in the pool.
        place: in slice numbers: 2.5 lies between the slices 2 and 3.

    Example:
        >>> pool = Pool([Item(f"v/{z}", "v", "v", "v", slice=z) for z in range(4)])
        >>> nearest(pool, [3, 1, 0], 2.0)
        1
    """
    return min(positions, key=lambda i: (round(abs(number(pool[i]) - place), 6), number(pool[i]), i))


def number(item: Item) -> int:
    """An item's slice number; a whole image or volume has 0.

    Example:
        >>> number(Item("v/7", "v", "v", "v", slice=7))
        7
    """
    return 0 if item.slice is None else item.slice
