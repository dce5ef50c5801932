# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Selection: arrays in, indices out.

Every function has the form ``f(..., budget, labeled=(), rng=None)`` and returns exactly ``budget`` distinct int64
indices, none of them in ``labeled``, in pick order.
"""

from monai_al.selection.check import (
    candidates,
    check_budget,
    check_labeled,
    check_scores,
    tie_rng,
)
from monai_al.selection.merge_alternating import merge_alternating
from monai_al.selection.ranks import ranks
from monai_al.selection.stochastic_batches import stochastic_batches
from monai_al.selection.top_k import top_k

__all__ = [
    "candidates",
    "check_budget",
    "check_labeled",
    "check_scores",
    "merge_alternating",
    "ranks",
    "stochastic_batches",
    "tie_rng",
    "top_k",
]
