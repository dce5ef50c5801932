# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Uncertainty: class probabilities -> a map -> one number per item. Tensors in, tensors out."""

from monai_al.uncertainty.activation import ACTIVATIONS, check_activation, probabilities
from monai_al.uncertainty.augmentation import Augmentation
from monai_al.uncertainty.check import check_probabilities, check_samples
from monai_al.uncertainty.contour import ContourMeasure, contour_distance
from monai_al.uncertainty.logits import entropy_from_logits, score_logits
from monai_al.uncertainty.maps import MAPS, class_weighted_entropy, entropy, least_confidence, margin
from monai_al.uncertainty.measure import MEASURES, SAMPLES, ClassMeasure, Measure, of_class
from monai_al.uncertainty.reduce import REDUCTIONS, reduce_map
from monai_al.uncertainty.regions import REGIONS, boundary_region, target_region
from monai_al.uncertainty.samples import mutual_information, predictive_entropy, variance, variance_ratio
from monai_al.uncertainty.streaming import SAMPLE_MAPS, RunningSamples

__all__ = [
    "ACTIVATIONS",
    "MAPS",
    "MEASURES",
    "REDUCTIONS",
    "REGIONS",
    "SAMPLES",
    "SAMPLE_MAPS",
    "Augmentation",
    "ClassMeasure",
    "ContourMeasure",
    "Measure",
    "RunningSamples",
    "boundary_region",
    "check_activation",
    "check_probabilities",
    "check_samples",
    "class_weighted_entropy",
    "contour_distance",
    "entropy",
    "entropy_from_logits",
    "least_confidence",
    "margin",
    "mutual_information",
    "of_class",
    "predictive_entropy",
    "probabilities",
    "reduce_map",
    "score_logits",
    "target_region",
    "variance",
    "variance_ratio",
]
