# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How many items each round may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["round_sizes"]


def round_sizes(budget: int | float | Sequence[int | float], rounds: int, n_items: int) -> list[int]:
    """Number of items of each round's query.

    Args:
        budget: ints: that many items in a round; floats in (0, 1]: the cumulative share of the pool labeled after the
            round, rounded down. One number stands for a list of one. A shorter list of ints repeats its last one.
        rounds: number of rounds.
        n_items: size of the pool.

    Returns:
        One size per round. The last round takes what is left, and rounds that would find nothing left are dropped.

    Raises:
        ValueError: ints and floats are mixed, a number is out of range, the list is too long, shares do not grow from
            round to round, or too few shares are given.

    Example:
        >>> round_sizes([20, 20, 40], rounds=4, n_items=100)
        [20, 20, 40, 20]
        >>> round_sizes([0.01, 0.02, 0.03], rounds=3, n_items=1454)
        [14, 15, 14]
    """
    values = list(budget) if isinstance(budget, Sequence) else [budget]
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ValueError(f"--rounds must be a whole number of at least 1, got {rounds!r}")
    if not values or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        raise ValueError(f"--budget must be a whole number, a share such as 0.1, or a list of either, got {budget!r}")
    if len(values) > rounds:
        raise ValueError(f"--budget {budget!r} has {len(values)} entries for {rounds} rounds: shorten it or add rounds")
    if len({type(v) for v in values}) > 1:
        raise ValueError(
            f"--budget {budget!r} mixes whole numbers (items per round) and shares (cumulative): use one kind"
        )
    if isinstance(values[0], int):
        return _sizes_of_counts([int(v) for v in values], rounds, n_items)
    return _sizes_of_shares([float(v) for v in values], rounds, n_items)


def _sizes_of_counts(counts: list[int], rounds: int, n_items: int) -> list[int]:
    if min(counts) < 1:
        raise ValueError(f"--budget {counts}: every round needs at least one item")
    sizes = []
    left = n_items
    for count in counts + counts[-1:] * (rounds - len(counts)):
        sizes.append(min(count, left))
        left -= sizes[-1]
    return [size for size in sizes if size]


def _sizes_of_shares(shares: list[float], rounds: int, n_items: int) -> list[int]:
    if not all(0 < share <= 1 for share in shares):
        raise ValueError(f"--budget {shares}: shares must lie in (0, 1]")
    if len(shares) < rounds:
        raise ValueError(
            f"--budget {shares} has {len(shares)} cumulative shares for {rounds} rounds: give one per round"
        )
    totals = [0, *(int(Fraction(repr(share)) * n_items) for share in shares)]  # exact: 0.29 of 100 is 29
    sizes = [later - earlier for earlier, later in zip(totals, totals[1:], strict=False)]
    for number, size in enumerate(sizes):
        if size < 1:
            raise ValueError(
                f"--budget {shares}: round {number} would get {size} of {n_items} items; shares must grow from round "
                "to round by at least one item"
            )
    return sizes
