# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings whose distances mean something."""

from __future__ import annotations

import numpy as np

from monai_al.records import Round
from monai_al.strategies.base import Strategy

__all__ = ["finite_embeddings"]


def finite_embeddings(strategy: Strategy, round: Round, name: str) -> np.ndarray:
    """The embeddings ``(N, D)`` that a strategy asked for under this name, all of them finite.

    Args:
        strategy: is named in the errors.
        round: has them.
        name: of :meth:`Strategy.needs`.

    Raises:
        ValueError: there are none, not one row per item, or a number is NaN or infinite; the message names the item.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> from monai_al.strategies import Random
        >>> rows = np.array([[0.0, 1.0], [0.0, np.inf]])
        >>> round = Round(1, Pool([Item(i, i, i, i) for i in "ab"]), [], seed=0, embeddings={"pixels": rows})
        >>> finite_embeddings(Random(), round, "pixels")
        Traceback (most recent call last):
        ...
        ValueError: the embedding 'pixels' of item 'b' is inf in column 1: it must be finite
    """
    embeddings = strategy.embeddings(round, name)
    for i, row in enumerate(embeddings):
        if not np.isfinite(row).all():
            column = int(np.flatnonzero(~np.isfinite(row))[0])
            raise ValueError(
                f"the embedding {name!r} of item {round.pool[i].id!r} is {row[column]} in column {column}: it must be "
                "finite"
            )
    return embeddings
