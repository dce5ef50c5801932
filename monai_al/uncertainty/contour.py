# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Uncertainty that counts more the farther it lies from the contour of what is predicted.

M. Gorriz, A. Carlier, E. Faure, X. Giro-i-Nieto, "Cost-effective active learning for melanoma segmentation", 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monai_al.uncertainty.check import check_probabilities
from monai_al.uncertainty.measure import Measure
from monai_al.uncertainty.streaming import RunningSamples

__all__ = ["ContourMeasure", "contour_distance"]


def contour_distance(probs: Tensor, valid: Tensor | None = None, *, multilabel: bool = False) -> Tensor:
    """How far each pixel lies from the contour of the predicted foreground, as a share of the farthest one.

    The foreground is where its probability is above 0.5: that of all foreground classes together, of a sigmoid channel,
    or of any of overlapping channels. So the borders between classes count for nothing. Its contour are those of its
    pixels that have a neighbor of the background, across a side and within the image; distances are Euclidean, in
    pixels.

    Args:
        probs: class probabilities ``(B, C, *spatial)`` of two or three dimensions, channel 0 the background; C = 1 is
            the foreground.
        valid: boolean ``(B, *spatial)``; other pixels are no part of the image.
        multilabel: the channels are overlapping sigmoids.

    Returns:
        ``(B, *spatial)`` in [0, 1]; 0 everywhere where there is no contour, because nothing or everything is
        foreground.

    Raises:
        ValueError: ``probs`` are no probabilities, or of other dimensions.

    Example:
        >>> probs = torch.tensor([[[[0.1, 0.9, 0.2, 0.2, 0.1]]]])
        >>> contour_distance(probs)
        tensor([[[0.3333, 0.0000, 0.3333, 0.6667, 1.0000]]])
    """
    return _distance(check_probabilities(probs, multilabel=multilabel), valid, multilabel)


def _distance(probs: Tensor, valid: Tensor | None, multilabel: bool) -> Tensor:
    from monai.transforms.utils import distance_transform_edt  # loads much that other measures do not need

    if probs.ndim not in (4, 5):
        raise ValueError(f"a contour needs images of two or three dimensions, got probabilities {tuple(probs.shape)}")
    contour = _contour(_foreground(probs, multilabel), valid)
    distance = torch.as_tensor(distance_transform_edt(~contour)).to(probs)
    if valid is not None:
        distance = distance.masked_fill(~valid, 0)
    found = contour.flatten(1).any(1)
    farthest = distance.flatten(1).amax(1).where(found, 1)
    each = (-1, *[1] * (probs.ndim - 2))
    return (distance / farthest.reshape(each)).where(found.reshape(each), 0)


def _foreground(probs: Tensor, multilabel: bool) -> Tensor:
    """Where the foreground is more probable than not, boolean ``(B, *spatial)``."""
    if multilabel or probs.shape[1] == 1:
        return probs.amax(1) > 0.5
    return probs[:, 1:].sum(1) > 0.5


def _contour(mask: Tensor, valid: Tensor | None) -> Tensor:
    """Pixels of a mask with a neighbor outside it, across a side and within the image."""
    outside = ~mask if valid is None else ~mask & valid
    touched = torch.zeros_like(mask)
    for dim in range(1, mask.ndim):
        length = mask.shape[dim] - 1
        touched.narrow(dim, 0, length).logical_or_(outside.narrow(dim, 1, length))
        touched.narrow(dim, 1, length).logical_or_(outside.narrow(dim, 0, length))
    return mask & touched if valid is None else mask & touched & valid


@dataclass(frozen=True, slots=True)
class ContourMeasure(Measure):
    """A measure of several predictions, each pixel of its map times the distance to the contour of their mean.

    Uncertainty along the contour is found in every image; far from it, it tells of what the network does not know.
    Where no contour is predicted the score is 0, the lowest one.

    Args:
        map: ``variance`` or another map of several predictions; the other arguments are those of
            :class:`Measure`, but that ``region`` has no use.

    Raises:
        ValueError: another map, a region, or see :class:`Measure`.

    Example:
        >>> running = RunningSamples(["variance"])
        >>> for p in (0.1, 0.3):
        ...     running.update(torch.tensor([[[[0.9, p, p]]]]))
        >>> ContourMeasure(reduction="sum").score(running)  # 0.01 at half the distance and at all of it
        tensor([0.0150])
    """

    map: str = "variance"

    def __post_init__(self) -> None:
        Measure.__post_init__(self)
        if not self.stochastic:
            raise ValueError(f"map {self.map!r} is of one prediction: take one of several, such as 'variance'")
        if self.region is not None:
            raise ValueError(f"region {self.region!r} has no use where the distance to the contour weighs all pixels")

    def score_unchecked(
        self, probs: Tensor | RunningSamples, *, valid: Tensor | None = None, multilabel: bool = False
    ) -> Tensor:
        """Scores ``(B,)``, see :meth:`Measure.score_unchecked`."""
        if not isinstance(probs, RunningSamples):
            raise ValueError(f"{self.map} needs several predictions: pass RunningSamples")
        distance = _distance(probs.mean, valid, probs.multilabel)
        return self.reduce(getattr(probs, self.map)() * distance, valid)
