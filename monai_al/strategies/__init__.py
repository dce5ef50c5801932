# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Strategies: say what you need, then choose the next query."""

from monai_al.strategies.base import Strategy
from monai_al.strategies.central_stratified import CentralStratified
from monai_al.strategies.evenly_spaced import EvenlySpaced
from monai_al.strategies.foreground_aware_random import ForegroundAwareRandom
from monai_al.strategies.patient_stratified_random import PatientStratifiedRandom
from monai_al.strategies.predicted_loss import PredictedLoss
from monai_al.strategies.random import Random
from monai_al.strategies.selective import Selective
from monai_al.strategies.selector import SELECTORS, Selector
from monai_al.strategies.uncertainty import Uncertainty

__all__ = [
    "SELECTORS",
    "CentralStratified",
    "EvenlySpaced",
    "ForegroundAwareRandom",
    "PredictedLoss",
    "PatientStratifiedRandom",
    "Random",
    "Selective",
    "Selector",
    "Strategy",
    "Uncertainty",
]
