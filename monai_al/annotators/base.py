# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Who answers a query with labels."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from monai_al.annotators.work import Work
from monai_al.records import FULL, Label, Pool, Query
from monai_al.sources import Source

__all__ = ["Annotator", "Answer", "ask"]


@dataclass(frozen=True)
class Answer:
    """What came back for a query.

    Args:
        labeled: the labels that are there now; an id alone stands for the data set's own label of that item. The file
            that a label names holds it on the grid of the item's image; it is copied into the run folder. Where that
            file was made from one that came back, ``returned`` of the label names this one, which is kept in its place.
        waiting: ids that are still waited for; those that the answer does not mention are, too.
        kind: what the labels that are given as ids are taken for; what counts in the run is what they annotate.
        refused: id -> why the item has no label; it is not asked for again.
        problems: id -> why an item that something came back for is still waiting, in words for people.
        annotator: who answered, where that is a person; None: the annotator by its name.
        extra: ids of labels that nobody asked for, and that are to count all the same.
        notes: what else is to be told of what came back.

    Example:
        >>> [(label.id, label.kind) for label in Answer(labeled=("a", Label("b", "weak"))).labels]
        [('a', 'full'), ('b', 'weak')]
    """

    labeled: tuple[str | Label, ...] = ()
    waiting: tuple[str, ...] = ()
    kind: str = FULL
    refused: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    annotator: str | None = None
    extra: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels that are there now."""
        return tuple(one if isinstance(one, Label) else Label(one, self.kind) for one in self.labeled)


class Annotator(ABC):
    """Answers a query with labels, or says which items are still waiting.

    Example:
        >>> from monai_al.annotators import Oracle
        >>> isinstance(Oracle(), Annotator)
        True
    """

    name: str

    def check(self, source: Source) -> None:  # noqa: B027
        """Say before anything is written why it cannot answer for these data; most have nothing to say.

        Args:
            source: the data, prepared.

        Raises:
            ValueError: it cannot.
            DataError: what it answers with is not there.
        """

    @abstractmethod
    def annotate(self, query: Query, pool: Pool, work: Work | None = None) -> Answer:
        """Label the items of a query.

        Args:
            query: what is asked.
            pool: the pool that the items belong to.
            work: the run folder, the images, the labels so far and predictions; a subclass may leave it out.
        """


def ask(annotator: Annotator, query: Query, pool: Pool, work: Work) -> Answer:
    """Call an annotator, with the work where it takes it.

    Example:
        >>> class Two(Annotator):
        ...     name = "two arguments"
        ...     def annotate(self, query, pool):
        ...         return Answer(query.ids)
        >>> from pathlib import Path
        >>> from monai_al.sources import SliceSource
        >>> work = Work(Path("runs/a"), SliceSource(Pool([]), cache=None))
        >>> ask(Two(), Query(0, "random", 0, ()), Pool([]), work).labels
        ()
    """
    parameters = list(inspect.signature(annotator.annotate).parameters.values())
    kinds = [one.kind for one in parameters]
    in_place = [k for k in kinds if k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    if len(in_place) > 2 or inspect.Parameter.VAR_POSITIONAL in kinds:
        return annotator.annotate(query, pool, work)
    if inspect.Parameter.VAR_KEYWORD in kinds or any(one.name == "work" for one in parameters):
        return annotator.annotate(query, pool, work=work)
    return annotator.annotate(query, pool)
