# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How many items of a round train with a label that a strategy made."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PseudoSchedule"]


@dataclass(frozen=True)
class PseudoSchedule:
    """``number + growth * (t - start)`` items in round t, from round ``start`` on.

    Args:
        number: of the first such round; 0 and no growth: there are never any.
        growth: how many more in each round after it.
        start: the first such round, at least 1, as the network of the round before makes the labels.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> schedule = PseudoSchedule(number=20, growth=20, start=5)
        >>> [schedule.of_round(number) for number in (4, 5, 6)]
        [0, 20, 40]
    """

    number: int = 20
    growth: int = 20
    start: int = 5

    def __post_init__(self) -> None:
        for setting, value, least in (
            ("pseudo", self.number, 0),
            ("pseudo_growth", self.growth, 0),
            ("pseudo_from", self.start, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{setting} must be a whole number of at least {least}, got {value!r}")

    @property
    def gives_any(self) -> bool:
        """Whether there is a round with such labels."""
        return self.number > 0 or self.growth > 0

    def of_round(self, number: int) -> int:
        """How many items there are in a round."""
        return 0 if number < self.start else self.number + self.growth * (number - self.start)
