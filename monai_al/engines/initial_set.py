# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Who chooses the first query, before any network is trained."""

from __future__ import annotations

from monai_al.engines.settings import INITIAL_SETS
from monai_al.handlers.needs import ENCODER, initial_needs_of
from monai_al.strategies import CentralStratified, ClusterRepresentatives, Coreset, Strategy

__all__ = ["first_strategy"]


def first_strategy(strategy: Strategy, initial_set: str = "strategy", *, labels: bool = True) -> Strategy | None:
    """The strategy that chooses the first query; None where chance does.

    Args:
        strategy: chooses all other queries.
        initial_set: see :class:`monai_al.engines.LoopSettings`.
        labels: whether an item of the pool has a label of the data set. Where none has, chance gives way to a central
            slice of each patient: people are not to begin with what may show nothing.

    Example:
        >>> from monai_al.strategies import Random
        >>> first_strategy(Random()) is None, first_strategy(Random(), labels=False).name
        (True, 'central stratified')
    """
    assert initial_set in INITIAL_SETS
    if initial_set == "coreset":
        return Coreset(embedding=ENCODER)
    if initial_set == "cluster_representatives":
        return ClusterRepresentatives(embedding=ENCODER)
    if initial_set == "random":
        return None
    if initial_set == "strategy" and initial_needs_of(strategy) is not None:
        return strategy
    return CentralStratified() if initial_set == "central_stratified" or not labels else None
