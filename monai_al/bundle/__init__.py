# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Configs of bundles: the training config, one round's training, and the check of overrides."""

from __future__ import annotations

from monai_al.bundle.activation import infer_activation
from monai_al.bundle.distributed_training import distribute_training
from monai_al.bundle.errors import BundleConfigError, show_errors_briefly, shown_errors
from monai_al.bundle.python_training import PythonTraining
from monai_al.bundle.round_training import RoundTraining
from monai_al.bundle.running_bundle import RunningBundle, running_bundle
from monai_al.bundle.schedules import learning_rate_schedule
from monai_al.bundle.training_config import TrainingConfig
from monai_al.bundle.training_options import load_best_weights, training_length
from monai_al.moved import moved

__all__ = [
    "BundleConfigError",
    "PythonTraining",
    "RoundTraining",
    "RunningBundle",
    "TrainingConfig",
    "distribute_training",
    "infer_activation",
    "learning_rate_schedule",
    "load_best_weights",
    "running_bundle",
    "show_errors_briefly",
    "shown_errors",
    "training_length",
]

__getattr__ = moved(
    __name__,
    {
        "TrainedNetwork": "monai_al.inferers",
        **dict.fromkeys(("AppliedRun", "apply_to_part", "apply_to_scans", "evaluation_text"), "monai_al.engines"),
        **dict.fromkeys(("write_evaluation", "EncoderTraining", "Members", "TrainedRun"), "monai_al.engines"),
    },
)

show_errors_briefly()  # on MONAI's command line, where a config imports this before anything else
