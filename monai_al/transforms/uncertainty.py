# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Uncertainty maps as MONAI transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from monai_al.uncertainty import MAPS, Measure, check_probabilities, entropy, least_confidence, margin

__all__ = ["UncertaintyMap", "UncertaintyMapd"]

_MAPS = {"entropy": entropy, "least_confidence": least_confidence, "margin": margin}


class UncertaintyMap(Transform):
    """The uncertainty of every pixel, from the probabilities of one item.

    Args:
        measure: ``"entropy"``, ``"least_confidence"``, ``"margin"``, or a measure with one of these maps; of a measure
            with a region the pixels outside it become 0.
        multilabel: the channels are overlapping sigmoids.

    Raises:
        ValueError: the measure needs several predictions, or has a map for each class.

    Example:
        >>> UncertaintyMap("margin")(torch.tensor([[0.5, 0.9], [0.5, 0.1]]))
        tensor([[1.0000, 0.2000]])
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, measure: str | Measure = "entropy", *, multilabel: bool = False) -> None:
        self.measure = Measure.of(measure)
        self.multilabel = multilabel
        if self.measure.stochastic:
            raise ValueError(f"{self.measure.map} needs several predictions; a transform sees one: {', '.join(MAPS)}")

        if self.measure.per_class:
            raise ValueError(f"a ClassMeasure has a map for each class; a transform makes one: {', '.join(MAPS)}")

    def __call__(self, probs: NdarrayOrTensor) -> NdarrayOrTensor:
        """The map of one item.

        Args:
            probs: class probabilities ``(C, *spatial)``.

        Returns:
            ``(1, *spatial)`` in the input's kind of array and, for a MetaTensor, with its metadata.

        Raises:
            ValueError: ``probs`` are no probabilities.
        """
        batch = check_probabilities(convert_to_tensor(probs, track_meta=False)[None], multilabel=self.multilabel)
        pixels = _MAPS[self.measure.map](batch, multilabel=self.multilabel)
        region = self.measure.region_of(batch, multilabel=self.multilabel)
        if region is not None:
            pixels = torch.where(region, pixels, 0)
        return convert_to_dst_type(pixels, dst=probs, dtype=pixels.dtype)[0]


class UncertaintyMapd(MapTransform):
    """Dictionary form of :class:`UncertaintyMap`.

    Args:
        keys: entries with class probabilities ``(C, *spatial)``.
        measure: see :class:`UncertaintyMap`.
        multilabel: the channels are overlapping sigmoids.
        postfix: the map of ``"pred"`` is stored as ``"pred_<postfix>"``; None: it replaces the probabilities.
        allow_missing_keys: pass over entries that are not there.

    Example:
        >>> sorted(UncertaintyMapd("pred")({"pred": torch.full((2, 4, 4), 0.5)}))
        ['pred', 'pred_uncertainty']
    """

    backend = UncertaintyMap.backend

    def __init__(
        self,
        keys: KeysCollection,
        measure: str | Measure = "entropy",
        *,
        multilabel: bool = False,
        postfix: str | None = "uncertainty",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = UncertaintyMap(measure, multilabel=multilabel)
        self.postfix = postfix

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A shallow copy of ``data`` with the maps."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key if self.postfix is None else f"{key}_{self.postfix}"] = self.transform(data[key])
        return result
