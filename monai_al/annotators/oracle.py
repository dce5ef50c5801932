# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The ground truth as annotator."""

from __future__ import annotations

from monai_al.annotators.base import Annotator, Answer
from monai_al.annotators.work import Work
from monai_al.records import ORACLE, DataError, Pool, Query

__all__ = ["Oracle"]


class Oracle(Annotator):
    """Answers every query at once with the ground truth that the pool's items name: a simulation.

    Example:
        >>> from monai_al.records import Item, Pool, Query, QueryItem
        >>> pool = Pool([Item("a", "a.png", "a", "a", label="a_mask.png")])
        >>> [label.id for label in Oracle().annotate(Query(0, "random", 0, (QueryItem("a"),)), pool).labels]
        ['a']
    """

    name = ORACLE

    def annotate(self, query: Query, pool: Pool, work: Work | None = None) -> Answer:
        """Label all items of a query.

        Args:
            query: what is asked.
            pool: the pool that the items belong to.
            work: not used.

        Raises:
            DataError: an item has no ground truth.
        """
        without = [id for id in query.ids if pool[pool.index(id)].label is None]
        if without:
            raise DataError(
                f"the oracle has no ground truth for {len(without)} of {len(query.ids)} items, such as {without[0]!r}: "
                "let people annotate them, with the overlay annotators/folder, or add their labels to the data set and "
                "run the same command again"
            )
        return Answer(query.ids)
