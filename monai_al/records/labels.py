# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The home of labels: for every labeled item, which file holds its label, of which kind, from whom, since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from monai_al.records.errors import DataError
from monai_al.records.item import CLASS_NUMBERS, STORED_CODES, Item

__all__ = [
    "FULL",
    "GROUND_TRUTH",
    "KINDS",
    "ORACLE",
    "PSEUDO",
    "UNANNOTATED",
    "WEAK",
    "Label",
    "LabelReturn",
    "Labels",
    "is_oracle",
    "kind_of",
]

FULL, WEAK, PSEUDO = KINDS = ("full", "weak", "pseudo")
GROUND_TRUTH = "ground truth"  # the label lies where the data set has it
ORACLE = "oracle"  # the annotator that is no person
UNANNOTATED = "its label annotates no pixel"


def is_oracle(annotator: str) -> bool:
    """Whether an annotator is no person, by its name.

    Example:
        >>> is_oracle("oracle"), is_oracle("oracle (scribbles)"), is_oracle("folder")
        (True, True, False)
    """
    return annotator == ORACLE or annotator.startswith(f"{ORACLE} (")


def kind_of(annotated_share: float) -> str | None:
    """The kind of a label by the share of the item's pixels that it annotates; None: that is no label.

    Example:
        >>> kind_of(1.0), kind_of(0.03), kind_of(0.0)
        ('full', 'weak', None)
    """
    return FULL if annotated_share == 1 else WEAK if annotated_share > 0 else None


@dataclass(frozen=True, slots=True)
class Label:
    """What answers an item.

    Args:
        id: the item's id.
        kind: ``"full"``, every pixel is annotated; ``"weak"``, some are; ``"pseudo"``, a strategy made it.
        where: :data:`GROUND_TRUTH`, or the file that holds it.
        slice: the slice of that file, which is the item's own; None for all of it.
        coding: what the file's values mean: ``"class numbers"``, 255 = not annotated, or the data set's own
            ``"stored codes"``.
        returned: the file as it came back, where ``where`` is a copy in class numbers.
        returned_coding: what the values of that file mean.
        annotator: who gave it.
        when: when it was recorded, ISO 8601.

    Raises:
        ValueError: the kind or a coding is unknown.

    Example:
        >>> Label("case_1/0007", "weak").where
        'ground truth'
    """

    id: str
    kind: str = FULL
    where: str = GROUND_TRUTH
    slice: int | None = None
    coding: str = CLASS_NUMBERS
    returned: str | None = None
    returned_coding: str | None = None
    annotator: str = ""
    when: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"label of {self.id!r}: kind {self.kind!r} is none of {', '.join(KINDS)}")
        for coding in (self.coding, self.returned_coding or CLASS_NUMBERS):
            if coding not in (CLASS_NUMBERS, STORED_CODES):
                raise ValueError(
                    f"label of {self.id!r}: coding {coding!r} is neither {CLASS_NUMBERS!r} nor {STORED_CODES!r}"
                )

    def to_json(self) -> dict[str, Any]:
        """The label as it stands in a file of ``labels/``."""
        entry: dict[str, Any] = {"id": self.id, "kind": self.kind, "where": self.where}
        if self.where != GROUND_TRUTH:
            entry |= {"slice": self.slice, "coding": self.coding}
        if self.returned is not None:
            entry |= {"returned": self.returned, "returned_coding": self.returned_coding}
        return entry

    def under(self, folder: Path) -> Label:
        """The same label, with its files found from a folder."""
        if self.where == GROUND_TRUTH:
            return self
        returned = None if self.returned is None else str(folder / self.returned)
        return replace(self, where=str(folder / self.where), returned=returned)


@dataclass(frozen=True, slots=True)
class LabelReturn:
    """What came back at once.

    Args:
        labels: the labels.
        refused: id -> why the item has none.
        annotator: who answered.
        when: when it was recorded, ISO 8601.
        extra: ids among the labels that the round's query did not ask for.

    Example:
        >>> LabelReturn((Label("a"),), annotator="oracle").to_json()["labels"]
        [{'id': 'a', 'kind': 'full', 'where': 'ground truth'}]
    """

    labels: tuple[Label, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    annotator: str = ""
    when: str = ""
    extra: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The content of a file of ``labels/``."""
        refused = [{"id": id, "reason": reason} for id, reason in self.refused.items()]
        return {
            "annotator": self.annotator,
            "when": self.when,
            "labels": [label.to_json() for label in self.labels],
            **({"refused": refused} if refused else {}),
            **({"extra": list(self.extra)} if self.extra else {}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LabelReturn:
        """The return that :meth:`to_json` wrote; also those of runs whose labels had no home yet."""
        annotator, when = content.get("annotator", ""), content.get("when", "")
        entries = content.get("labels")
        if entries is None:
            known: dict[str, Any] = {"kind": content.get("kind", FULL), "where": GROUND_TRUTH}
            entries = [{"id": id, **known} for id in content["items"]]
        labels = tuple(Label(**entry, annotator=annotator, when=when) for entry in entries)
        refused = {one["id"]: one["reason"] for one in content.get("refused", ())}
        return cls(labels, refused, annotator, when, tuple(content.get("extra", ())))

    def under(self, folder: Path) -> LabelReturn:
        """The same return, with its files found from a folder."""
        return replace(self, labels=tuple(label.under(folder) for label in self.labels))


class Labels(Mapping[str, Label]):
    """The labels of a run up to a round: id -> the last label that came back, in the order of the first ones.

    Args:
        returns: what came back, in order.

    Example:
        >>> returns = [LabelReturn((Label("b"), Label("a", "weak")), {"c": "annotates no pixel"})]
        >>> labels = Labels([*returns, LabelReturn((Label("a"),))])
        >>> list(labels), labels["a"].kind, labels.counts, labels.asked
        (['b', 'a'], 'full', {'full': 2}, ['b', 'a', 'c'])
    """

    def __init__(self, returns: Iterable[LabelReturn] = ()) -> None:
        self._labels: dict[str, Label] = {}
        self.refused: dict[str, str] = {}
        for one in returns:
            self._labels |= {label.id: label for label in one.labels}
            self.refused |= one.refused
        self.refused = {id: reason for id, reason in self.refused.items() if id not in self._labels}

    def __getitem__(self, id: str) -> Label:
        return self._labels[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def asked(self) -> list[str]:
        """Ids that need not be asked for again: those with a label, then those that were refused."""
        return [*self._labels, *self.refused]

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> number of items."""
        return dict(Counter(label.kind for label in self._labels.values()))

    def of_items(self, items: Iterable[Item]) -> list[Item]:
        """Items that name the files of their labels here, in place of the data set's.

        Raises:
            KeyError: one has no label.
        """
        return [self.of_item(item) for item in items]

    def of_item(self, item: Item) -> Item:
        """An item that names the file of its label here, in place of the data set's.

        Raises:
            KeyError: it has no label.
            DataError: its label was the data set's, which has none any more.
        """
        label = self[item.id]
        if label.where == GROUND_TRUTH:
            if item.label is None:
                raise DataError(f"{item.id}: its label was that of the data set, which has none any more; restore it")
            return item
        return replace(item, label=label.where, coding=label.coding)
