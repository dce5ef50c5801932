# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The ground truth as annotator."""

from __future__ import annotations

from monai_al.annotators.base import Annotator, Answer
from monai_al.annotators.work import Work
from monai_al.records import DataError, Label, Pool, Query

__all__ = ["Oracle"]

REFUSED = "its label annotates no pixel"


class Oracle(Annotator):
    """Answers every query at once with the ground truth that the pool's items name: a simulation.

    A label that annotates every pixel is full, one that annotates some, such as scribbles, is weak. An item whose label
    annotates none has none: it is refused.

    Example:
        >>> from monai_al.records import Item, Pool, Query, QueryItem
        >>> pool = Pool([Item("a", "a.png", "a", "a", label="a_mask.png")])
        >>> [label.id for label in Oracle().annotate(Query(0, "random", 0, (QueryItem("a"),)), pool).labels]
        ['a']
    """

    name = "oracle"

    def annotate(self, query: Query, pool: Pool, work: Work | None = None) -> Answer:
        """Label all items of a query.

        Args:
            query: what is asked.
            pool: the pool that the items belong to.
            work: reads the labels; without it all of them count as full.

        Raises:
            DataError: an item has no ground truth, or one that cannot be read.
        """
        items = [pool[pool.index(id)] for id in query.ids]
        without = [item.id for item in items if item.label is None]
        if without:
            raise DataError(
                f"the oracle has no ground truth for {len(without)} of {len(query.ids)} items, such as {without[0]!r}: "
                "add their labels to the data set and run the same command again, or leave these items out of the pool"
            )
        if work is None:
            return Answer(query.ids)
        kinds = {item.id: work.ground_truth_kind(item) for item in items}
        return Answer(
            labeled=tuple(Label(id, kind) for id, kind in kinds.items() if kind is not None),
            refused={id: REFUSED for id, kind in kinds.items() if kind is None},
        )
