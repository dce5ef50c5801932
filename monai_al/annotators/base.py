# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Who answers a query with labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from monai_al.records import Pool, Query

__all__ = ["Answer", "Annotator"]


@dataclass(frozen=True)
class Answer:
    """What came back for a query.

    Args:
        labeled: ids that have their label now.
        waiting: ids that are still waited for.
        kind: ``"full"`` or ``"weak"``.

    Example:
        >>> Answer(labeled=("a",)).waiting
        ()
    """

    labeled: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    kind: str = "full"


class Annotator(ABC):
    """Answers a query with labels, or says which items are still waiting.

    Example:
        >>> from monai_al.annotators import Oracle
        >>> isinstance(Oracle(), Annotator)
        True
    """

    name: str

    @abstractmethod
    def annotate(self, query: Query, pool: Pool) -> Answer:
        """Label the items of a query.

        Args:
            query: what is asked.
            pool: the pool that the items belong to.
        """
