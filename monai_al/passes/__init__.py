# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Passes of networks over items: scoring, evaluating, and the small trainings of VAAL and graph networks."""

from monai_al.passes.answer_dice import answer_dice, answer_rows, dice_of_answers
from monai_al.passes.evaluating import evaluate_items, volume_scores
from monai_al.passes.graph_training import train_graph_encoder
from monai_al.passes.predicting import predict_volume
from monai_al.passes.run import run_pass
from monai_al.passes.scoring import score_items
from monai_al.passes.vaal_training import train_vaal

__all__ = [
    "answer_dice",
    "answer_rows",
    "dice_of_answers",
    "evaluate_items",
    "predict_volume",
    "run_pass",
    "score_items",
    "train_graph_encoder",
    "train_vaal",
    "volume_scores",
]
