# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a round asks an annotator for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["TEST", "Query", "QueryItem", "round_name", "round_numbers", "round_title"]

TEST = -1  # in place of a round's number: the test set that people annotate


def round_name(round: int) -> str:
    """The name of a round's folders, and of those of the test set.

    Example:
        >>> round_name(3), round_name(TEST)
        ('round_03', 'test')
    """
    return "test" if round == TEST else f"round_{round:02d}"


def round_numbers(folder: Path) -> list[int]:
    """Numbers of the rounds that have a folder there, in order.

    Args:
        folder: that of a run, or its ``annotate``.

    Example:
        >>> round_numbers(Path("no/such/run"))
        []
    """
    names = (path.name.removeprefix("round_") for path in folder.glob("round_*") if path.is_dir())
    return sorted(int(name) for name in names if name.isdecimal())


def round_title(round: int) -> str:
    """A round, or the test set, in words.

    Example:
        >>> round_title(3), round_title(TEST)
        ('round 3', 'the test set')
    """
    return "the test set" if round == TEST else f"round {round}"


@dataclass(frozen=True, slots=True)
class QueryItem:
    """One chosen item.

    Args:
        id: the item's id.
        score: the score that led to it, or None where there is none (random, an empty region).
        reason: a few words for people, or None.
        place: where editors show it, as :meth:`monai_al.annotators.places.Place.to_json` tells, or None.

    Example:
        >>> QueryItem("case_1/0007", 12.5, "boundary region").to_json()
        {'id': 'case_1/0007', 'score': 12.5, 'reason': 'boundary region'}
    """

    id: str
    score: float | None = None
    reason: str | None = None
    place: Mapping[str, Any] | None = field(default=None, hash=False)

    def to_json(self) -> dict[str, Any]:
        """The item as it stands in ``query.json``; an undefined score is null, other missing things are left out."""
        more = {"reason": self.reason, "place": None if self.place is None else dict(self.place)}
        return {"id": self.id, "score": self.score} | {key: value for key, value in more.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Query:
    """The items chosen in one round, in order.

    Args:
        round: the round that is to annotate them, or :data:`TEST`.
        strategy: name of the strategy that chose them.
        seed: the experiment's seed.
        items: the chosen items in pick order.

    Example:
        >>> Query(1, "random", 0, (QueryItem("a"), QueryItem("b"))).ids
        ('a', 'b')
    """

    round: int
    strategy: str
    seed: int
    items: tuple[QueryItem, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids in pick order."""
        return tuple(item.id for item in self.items)

    def to_json(self) -> dict[str, Any]:
        """The content of ``query.json``."""
        return {
            "round": self.round,
            "strategy": self.strategy,
            "seed": self.seed,
            "items": [item.to_json() for item in self.items],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Query:
        """The query that :meth:`to_json` wrote."""
        items = tuple(QueryItem(e["id"], e.get("score"), e.get("reason"), e.get("place")) for e in content["items"])
        return cls(content["round"], content["strategy"], content["seed"], items)
