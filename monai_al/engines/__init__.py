# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Passes over items, and the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai_al.engines.passes import evaluate_volumes, run_pass, score_items

if TYPE_CHECKING:
    from monai_al.engines.active_learner import ActiveLearner, RoundEvents

__all__ = ["ActiveLearner", "RoundEvents", "evaluate_volumes", "run_pass", "score_items"]


def __getattr__(name: str) -> Any:
    """The learner stands above the strategies, so it is imported only when it is asked for."""
    if name in ("ActiveLearner", "RoundEvents"):
        from monai_al.engines import active_learner

        return getattr(active_learner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
