# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Uncertainty from several predictions that are seen one after the other."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from monai_al.uncertainty import _pixel
from monai_al.uncertainty.check import check_probabilities, plain

__all__ = ["SAMPLE_MAPS", "RunningSamples"]

SAMPLE_MAPS = ("predictive_entropy", "mutual_information", "variance", "variance_ratio")


class RunningSamples:
    """Running statistics over T predictions of one batch; the memory does not depend on T.

    Sums are kept of the differences to the first prediction, so that many passes and small variances lose no digits:
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis and
    recommendations", The American Statistician 37 (1983), the shifted-data algorithm.

    Args:
        maps: names of the maps that will be asked for, of :data:`SAMPLE_MAPS`; only what they need is kept.
        multilabel: the channels are overlapping sigmoids; every map is the mean over their two-class maps.
        validate: check every prediction; switch off only for probabilities that come straight from an activation.

    Raises:
        ValueError: a name in ``maps`` is unknown.

    Example:
        >>> import torch
        >>> running = RunningSamples()
        >>> for p in (0.9, 0.1):
        ...     running.update(torch.full((1, 1), p))
        >>> running.mutual_information()
        tensor([0.3681])
    """

    def __init__(self, maps: Iterable[str] = SAMPLE_MAPS, *, multilabel: bool = False, validate: bool = True) -> None:
        self.maps = tuple(maps)
        unknown = [name for name in self.maps if name not in SAMPLE_MAPS]
        if unknown:
            raise ValueError(f"map {unknown[0]!r} is none of {', '.join(SAMPLE_MAPS)}")
        self.multilabel = multilabel
        self.validate = validate
        self.passes = 0
        self._first: Tensor | None = None
        self._change: Tensor | None = None
        self._squares: Tensor | None = None
        self._first_entropy: Tensor | None = None
        self._entropy_change: Tensor | None = None
        self._votes: Tensor | None = None

    def update(self, probs: Tensor) -> None:
        """Take in the next prediction.

        Args:
            probs: class probabilities ``(B, C, *spatial)``, the same shape in every pass.

        Raises:
            ValueError: ``probs`` are no probabilities, or their shape differs from the first pass.
        """
        probs = check_probabilities(probs, multilabel=self.multilabel) if self.validate else plain(probs)
        if self._first is None or self._change is None:
            self._start(probs)
        else:
            self._add(probs, self._first, self._change)
        self.passes += 1
        if self._votes is not None:
            self._vote(probs, self._votes)

    def _start(self, probs: Tensor) -> None:
        self._first = probs.clone()
        self._change = torch.zeros_like(probs)
        if "variance" in self.maps:
            self._squares = torch.zeros_like(probs)
        if "mutual_information" in self.maps:
            self._first_entropy = self._entropy(probs)
            self._entropy_change = torch.zeros_like(self._first_entropy)
        if "variance_ratio" in self.maps:
            self._votes = torch.zeros(probs.shape, dtype=torch.int32, device=probs.device)

    def _add(self, probs: Tensor, first: Tensor, total: Tensor) -> None:
        if probs.shape != first.shape:
            raise ValueError(f"pass {self.passes} has the shape {tuple(probs.shape)}, pass 0 had {tuple(first.shape)}")
        change = probs - first
        total += change
        if self._squares is not None:
            self._squares.addcmul_(change, change)
        if self._entropy_change is not None and self._first_entropy is not None:
            self._entropy_change += self._entropy(probs) - self._first_entropy

    def _entropy(self, probs: Tensor) -> Tensor:
        return _pixel.map_classes(_pixel.entropy, probs, self.multilabel)

    def _vote(self, probs: Tensor, votes: Tensor) -> None:
        if self._two_class(probs):
            votes += probs > 0.5
        else:
            label = probs.argmax(1, keepdim=True)
            votes.scatter_add_(1, label, torch.ones_like(label, dtype=votes.dtype))

    def _two_class(self, probs: Tensor) -> bool:
        return self.multilabel or probs.shape[1] == 1

    @property
    def all_equal(self) -> bool:
        """Whether there were several predictions, equal bit for bit."""
        return self.passes > 1 and self._change is not None and not bool(self._change.any())

    @property
    def mean(self) -> Tensor:
        """Mean probability over the passes so far, ``(B, C, *spatial)``.

        Raises:
            ValueError: there was no pass.
        """
        first, change = self._kept(self._first, "mean"), self._kept(self._change, "mean")
        return first.add(change, alpha=1 / self.passes).clamp_(0, 1)

    def predictive_entropy(self) -> Tensor:
        """Entropy of the mean probability, ``(B, *spatial)``; see :func:`monai_al.uncertainty.predictive_entropy`."""
        return self._entropy(self.mean)

    def mutual_information(self) -> Tensor:
        """``H(mean) - mean H``, never negative; see :func:`monai_al.uncertainty.mutual_information`."""
        first = self._kept(self._first_entropy, "mutual_information")
        change = self._kept(self._entropy_change, "mutual_information")
        return self._entropy(self.mean).sub_(first.add(change, alpha=1 / self.passes)).clamp_(min=0)

    def variance(self) -> Tensor:
        """Population variance, mean over the classes; see :func:`monai_al.uncertainty.variance`."""
        squares, change = self._kept(self._squares, "variance"), self._kept(self._change, "variance")
        return (squares / self.passes).sub_((change / self.passes).square_()).clamp_(min=0).mean(1)

    def variance_ratio(self) -> Tensor:
        """Share of the passes against the most frequent label; see :func:`monai_al.uncertainty.variance_ratio`."""
        votes, mean = self._kept(self._votes, "variance_ratio"), self.mean
        if self._two_class(mean):
            most = torch.maximum(votes, self.passes - votes).to(mean.dtype).mean(1)
        else:
            most = votes.amax(1).to(mean.dtype)
        return (1 - most / self.passes).masked_fill(mean.isnan().any(1), torch.nan)

    def _kept(self, statistic: Tensor | None, name: str) -> Tensor:
        if self.passes == 0:
            raise ValueError("no prediction yet: call update once per pass")
        if statistic is None:
            raise ValueError(f"{name} was not asked for: RunningSamples(maps={self.maps!r}) keeps nothing for it")
        return statistic
