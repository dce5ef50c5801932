# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loop, and the runs that it leaves: their networks, applied to new images or drawn for a report."""

from __future__ import annotations

from monai_al.engines.active_learner import ActiveLearner
from monai_al.engines.applied_run import AppliedRun, apply_to_part, apply_to_scans
from monai_al.engines.bundle_model import BundleModel
from monai_al.engines.encoder import EncoderTraining
from monai_al.engines.evaluation import evaluation_text, write_evaluation
from monai_al.engines.members import Members
from monai_al.engines.round_events import RoundEvents
from monai_al.engines.settings import LoopSettings
from monai_al.engines.trained_run import TrainedRun
from monai_al.moved import moved

__all__ = [
    "ActiveLearner",
    "AppliedRun",
    "BundleModel",
    "EncoderTraining",
    "LoopSettings",
    "Members",
    "RoundEvents",
    "TrainedRun",
    "apply_to_part",
    "apply_to_scans",
    "evaluation_text",
    "write_evaluation",
]

__getattr__ = moved(
    __name__,
    {
        "ContrastiveBatch": "monai_al.transforms",
        **dict.fromkeys(("run_pass", "score_items"), "monai_al.passes"),
        **dict.fromkeys(("train_graph_encoder", "train_vaal"), "monai_al.passes"),
    },
)
