# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loop fires in each round."""

from __future__ import annotations

from ignite.engine import EventEnum

__all__ = ["RoundEvents"]


class RoundEvents(EventEnum):
    """What an :class:`monai_al.engines.ActiveLearner` fires in each round, in this order, after a step that it did now.

    A run that goes on fires nothing for the steps it finds done, and the last round selects nothing.

    Example:
        >>> [event.value for event in RoundEvents][:2]
        ['query_annotated', 'round_trained']
    """

    QUERY_ANNOTATED = "query_annotated"
    ROUND_TRAINED = "round_trained"
    ROUND_EVALUATED = "round_evaluated"
    QUERY_SELECTED = "query_selected"
