# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Strategies: say what you need, then choose the next query."""

from monai_al.strategies.base import Strategy
from monai_al.strategies.ceal import CEAL
from monai_al.strategies.central_stratified import CentralStratified
from monai_al.strategies.clasp_pe import ClaspPE
from monai_al.strategies.cluster_representatives import ClusterRepresentatives
from monai_al.strategies.core_gcn import CoreGCN
from monai_al.strategies.coreset import Coreset
from monai_al.strategies.dsal import DSAL
from monai_al.strategies.evenly_spaced import EvenlySpaced
from monai_al.strategies.foreground_aware_random import ForegroundAwareRandom
from monai_al.strategies.patient_stratified_random import PatientStratifiedRandom
from monai_al.strategies.predicted_loss import PredictedLoss
from monai_al.strategies.prob_cover import ProbCover
from monai_al.strategies.pseudo_schedule import PseudoSchedule
from monai_al.strategies.random import Random
from monai_al.strategies.selective import Selective
from monai_al.strategies.selector import SELECTORS, Selector
from monai_al.strategies.typiclust import TypiClust
from monai_al.strategies.uncertain_gcn import UncertainGCN
from monai_al.strategies.uncertainty import Uncertainty
from monai_al.strategies.vaal import VAAL

__all__ = [
    "CEAL",
    "DSAL",
    "SELECTORS",
    "VAAL",
    "CentralStratified",
    "ClaspPE",
    "ClusterRepresentatives",
    "CoreGCN",
    "Coreset",
    "EvenlySpaced",
    "ForegroundAwareRandom",
    "PredictedLoss",
    "PatientStratifiedRandom",
    "ProbCover",
    "PseudoSchedule",
    "Random",
    "Selective",
    "Selector",
    "Strategy",
    "TypiClust",
    "UncertainGCN",
    "Uncertainty",
]
