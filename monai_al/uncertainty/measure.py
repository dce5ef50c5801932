# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A complete recipe from probabilities to one score per item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from monai_al.uncertainty import _pixel
from monai_al.uncertainty.augmentation import Augmentation
from monai_al.uncertainty.check import check_probabilities, rows
from monai_al.uncertainty.maps import MAPS
from monai_al.uncertainty.reduce import REDUCTIONS, reduce_map
from monai_al.uncertainty.regions import REGIONS, check_threshold, check_width, region_of
from monai_al.uncertainty.streaming import SAMPLE_MAPS, RunningSamples

__all__ = ["MEASURES", "SAMPLES", "ClassMeasure", "Measure", "of_class"]

SAMPLES = ("dropout", "augmentation", "members")
"""Where several predictions come from: passes with dropout on, augmented copies, or the members of an ensemble."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A map, the region it is reduced over, and the reduction.

    Args:
        map: ``entropy``, ``least_confidence`` or ``margin`` of one prediction, or ``predictive_entropy``,
            ``mutual_information``, ``variance`` or ``variance_ratio`` of several.
        region: ``"target"`` or ``"boundary"`` (for several predictions found on their mean), or None for all pixels.
        reduction: ``"mean"`` or ``"sum"``.
        threshold: of the target region, in [0, 1).
        width: of the boundary region, in (0, 0.5].
        passes: number of predictions for the maps that need several; the members of an ensemble are all taken.
        samples: where several predictions come from: ``"dropout"``, ``"augmentation"`` or ``"members"``.
        augmentation: how ``"augmentation"`` changes the images; None: as :class:`Augmentation` does by default.

    Raises:
        ValueError: a name is unknown, a number out of range, or an argument without a use.

    Example:
        >>> import torch
        >>> Measure("entropy", region="target", reduction="sum").score(torch.tensor([[[0.0, 0.5, 0.5]]]))
        tensor([1.3863])
    """

    per_class: ClassVar[bool] = False
    """Whether it gives one number per item and foreground class."""

    map: str = "entropy"
    region: str | None = None
    reduction: str = "mean"
    threshold: float = 0.2
    width: float = 0.1
    passes: int = 10
    samples: str = "dropout"
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        known = (*MAPS, *SAMPLE_MAPS)
        if self.map not in known:
            raise ValueError(f"map {self.map!r} is none of {', '.join(known)}")
        if self.region is not None and self.region not in REGIONS:
            raise ValueError(f"region {self.region!r} is none of {', '.join(REGIONS)}, None")
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"reduction {self.reduction!r} is none of {', '.join(REDUCTIONS)}")
        check_threshold(self.threshold)
        check_width(self.width)
        least = 2 if self.stochastic and self.map != "predictive_entropy" else 1
        if isinstance(self.passes, bool) or not isinstance(self.passes, int) or self.passes < least:
            raise ValueError(f"passes must be an integer of at least {least} for {self.map}, got {self.passes!r}")
        if self.samples not in SAMPLES:
            raise ValueError(f"samples {self.samples!r} is none of {', '.join(SAMPLES)}")
        if self.samples != "dropout" and not self.stochastic:
            raise ValueError(f"{self.map} needs one prediction, so samples={self.samples!r} has no use")
        if self.augmentation is not None and self.samples != "augmentation":
            raise ValueError(f"an augmentation has no use where the predictions come from {self.samples}")

    @classmethod
    def of(cls, measure: str | Measure, **settings: Any) -> Measure:
        """A measure from a name in :data:`MEASURES` or of a map; a measure is returned as it is.

        Args:
            measure: the name, or a measure.
            settings: other arguments of :class:`Measure`, only with a name.

        Raises:
            ValueError: the name is unknown.

        Example:
            >>> Measure.of("bald", passes=20).map
            'mutual_information'
        """
        if isinstance(measure, Measure):
            return measure
        if measure in MEASURES:
            return replace(MEASURES[measure], **settings)
        if measure in (*MAPS, *SAMPLE_MAPS):
            return cls(measure, **settings)
        raise ValueError(f"measure {measure!r} is none of {', '.join({**MEASURES, **dict.fromkeys(SAMPLE_MAPS)})}")

    @property
    def stochastic(self) -> bool:
        """Whether several predictions are needed."""
        return self.map in SAMPLE_MAPS

    def score(self, probs: Tensor | RunningSamples, *, valid: Tensor | None = None, multilabel: bool = False) -> Tensor:
        """One number per item, higher = more uncertain.

        Args:
            probs: class probabilities ``(B, C, *spatial)``, or the running statistics of several predictions.
            valid: boolean ``(B, *spatial)``; other pixels never count.
            multilabel: the channels are overlapping sigmoids (running statistics know this themselves).

        Returns:
            ``(B,)``; ``-inf`` where no pixel counts.

        Raises:
            ValueError: no probabilities, one prediction where several are needed or the reverse, or a mask of another
                shape.
        """
        if isinstance(probs, RunningSamples):
            return self.score_unchecked(probs, valid=valid)
        return self.score_unchecked(
            check_probabilities(probs, multilabel=multilabel), valid=valid, multilabel=multilabel
        )

    def score_unchecked(
        self, probs: Tensor | RunningSamples, *, valid: Tensor | None = None, multilabel: bool = False
    ) -> Tensor:
        """:meth:`score` for the output of an activation: an item with a probability that is not finite scores NaN."""
        self._check_predictions(probs)
        if isinstance(probs, RunningSamples):
            region = self.region_of(probs.mean, valid=valid, multilabel=probs.multilabel)
            return self.reduce(getattr(probs, self.map)(), region)
        pixels = _pixel.map_classes(_pixel.FORMULAS[self.map], probs, multilabel)
        return self.reduce(pixels, self.region_of(probs, valid=valid, multilabel=multilabel))

    def named(self, name: str, scores: Tensor) -> dict[str, Tensor]:
        """Scores ``(B,)`` under the names that a strategy finds them by, those of a measure of this name."""
        return {name: scores}

    def _check_predictions(self, probs: Tensor | RunningSamples) -> None:
        if isinstance(probs, RunningSamples) != self.stochastic:
            raise ValueError(
                f"{self.map} needs several predictions: pass RunningSamples"
                if self.stochastic
                else f"{self.map} needs one prediction (B, C, *spatial), got RunningSamples"
            )

    def region_of(self, probs: Tensor, *, valid: Tensor | None = None, multilabel: bool = False) -> Tensor | None:
        """The pixels that count, boolean ``(B, *spatial)``, or None for all; ``probs`` must be valid."""
        if self.region is None:
            return valid
        limit = self.threshold if self.region == "target" else self.width
        region = region_of(self.region, probs, limit, multilabel)
        if valid is None:
            return region
        if valid.shape != region.shape:
            raise ValueError(f"the mask has the shape {tuple(valid.shape)}, the map {tuple(region.shape)}")
        return region & valid

    def reduce(self, pixels: Tensor, region: Tensor | None) -> Tensor:
        """Scores ``(B,)`` from a map; a NaN makes its item's score NaN, also outside the region."""
        scores = reduce_map(pixels, region, self.reduction)
        if region is None:
            return scores
        finite = torch.isfinite(rows(pixels).sum(1))
        return scores.masked_fill(~finite, torch.nan)


CLASS_MAPS = (*MAPS, "predictive_entropy")


@dataclass(frozen=True, slots=True)
class ClassMeasure(Measure):
    """One number per item and foreground class: the map times the probability of the class, reduced.

    How many classes there are shows in the network's output, so that nobody has to tell. A strategy that asks for such
    a measure under a name finds ``round.scores[of_class(name, c)]``, ``(N,)``, for c = 1, 2, ... All classes take one
    pass, and the map is computed once. One sigmoid channel is one class; of overlapping sigmoids each channel is one,
    with a map of its own.

    Args:
        map: ``entropy``, ``least_confidence`` or ``margin`` of one prediction, or ``predictive_entropy`` of several;
            the other arguments are those of :class:`Measure`.

    Raises:
        ValueError: another map, or see :class:`Measure`.

    Example:
        >>> import torch
        >>> ClassMeasure("entropy").score(torch.tensor([[0.5, 0.3, 0.2]]))
        tensor([[0.3089, 0.2059]])
    """

    per_class: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Measure.__post_init__(self)
        if self.map not in CLASS_MAPS:
            raise ValueError(f"map {self.map!r} cannot be weighted by classes: take one of {', '.join(CLASS_MAPS)}")

    def score_unchecked(
        self, probs: Tensor | RunningSamples, *, valid: Tensor | None = None, multilabel: bool = False
    ) -> Tensor:
        """Scores ``(B, K)`` of the K foreground classes, see :meth:`Measure.score_unchecked`."""
        self._check_predictions(probs)
        formula = _pixel.FORMULAS["entropy" if self.stochastic else self.map]
        if isinstance(probs, RunningSamples):
            probs, multilabel = probs.mean, probs.multilabel
        weighted = _pixel.class_weighted(formula, probs, multilabel)
        region = self.region_of(probs, valid=valid, multilabel=multilabel)
        return torch.stack([self.reduce(pixels, region) for pixels in weighted.unbind(1)], dim=1)

    def named(self, name: str, scores: Tensor) -> dict[str, Tensor]:
        """See :meth:`Measure.named`."""
        return {of_class(name, number): column for number, column in enumerate(scores.unbind(1), start=1)}


def of_class(name: str, number: int) -> str:
    """The name of a foreground class's scores.

    Args:
        name: of the :class:`ClassMeasure`.
        number: the class, counted from 1, the first one after the background.

    Example:
        >>> of_class("entropy", 2)
        'entropy of class 2'
    """
    return f"{name} of class {number}"


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "entropy": Measure("entropy"),
        "least_confidence": Measure("least_confidence"),
        "margin": Measure("margin"),
        "mc_dropout": Measure("predictive_entropy"),
        "bald": Measure("mutual_information"),
        "tta": Measure("mutual_information", passes=8, samples="augmentation"),
        "tta_entropy": Measure("predictive_entropy", passes=8, samples="augmentation"),
        "ensemble_entropy": Measure("predictive_entropy", samples="members"),
        "ensemble_mutual_information": Measure("mutual_information", samples="members"),
        "ensemble_variance": Measure("variance", samples="members"),
        "ensemble_variance_ratio": Measure("variance_ratio", samples="members"),
    }
)
"""Names that users know -> measures."""
