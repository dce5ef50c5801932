# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Passes over items, and the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai_al.engines.contrastive_batch import ContrastiveBatch
from monai_al.engines.graph_training import train_graph_encoder
from monai_al.engines.passes import evaluate_volumes, run_pass, score_items
from monai_al.engines.vaal_training import train_vaal

if TYPE_CHECKING:
    from monai_al.engines.active_learner import ActiveLearner, RoundEvents

__all__ = [
    "ActiveLearner",
    "ContrastiveBatch",
    "RoundEvents",
    "evaluate_volumes",
    "run_pass",
    "score_items",
    "train_graph_encoder",
    "train_vaal",
]


def __getattr__(name: str) -> Any:
    """The learner stands above the strategies, so it is imported only when it is asked for."""
    if name in ("ActiveLearner", "RoundEvents"):
        from monai_al.engines import active_learner

        return getattr(active_learner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
