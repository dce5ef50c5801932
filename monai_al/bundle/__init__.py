# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles: one standard training workflow per round, and the check of overrides."""

from monai_al.bundle.applied_run import AppliedRun, apply_to_part, apply_to_scans, evaluation_text, write_evaluation
from monai_al.bundle.encoder import EncoderTraining
from monai_al.bundle.errors import BundleConfigError, show_errors_briefly
from monai_al.bundle.members import Members
from monai_al.bundle.pool_data import pool_data
from monai_al.bundle.round_training import RoundTraining
from monai_al.bundle.running_bundle import RunningBundle, running_bundle
from monai_al.bundle.trained_run import TrainedRun, load_members
from monai_al.bundle.training_config import TrainedNetwork, TrainingConfig
from monai_al.bundle.training_options import infer_activation, load_best_weights, training_length

__all__ = [
    "AppliedRun",
    "BundleConfigError",
    "EncoderTraining",
    "Members",
    "RoundTraining",
    "RunningBundle",
    "TrainedNetwork",
    "TrainedRun",
    "TrainingConfig",
    "apply_to_part",
    "apply_to_scans",
    "evaluation_text",
    "infer_activation",
    "load_best_weights",
    "load_members",
    "pool_data",
    "running_bundle",
    "show_errors_briefly",
    "training_length",
    "write_evaluation",
]
