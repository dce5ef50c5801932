# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A random affine transform that knows what lies outside of an image is not annotated."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import RandAffined
from monai.utils import convert_to_tensor

from monai_al.records import NOT_ANNOTATED

__all__ = ["RandLabelAffined"]


class RandLabelAffined(RandAffined):
    """MONAI's ``RandAffined``, with labels filled by 255 (not annotated) where the image is left.

    Arguments are those of ``RandAffined``. Keys with mode ``"nearest"`` are labels ``(1, *spatial)`` of class numbers
    up to 255; give them padding mode ``"zeros"``. They come back as uint8.

    Raises:
        ValueError: a label has another padding mode, or the transform is lazy.

    Example:
        >>> shift = RandLabelAffined(["label"], prob=1.0, translate_range=[(2, 2), (0, 0)], mode="nearest",
        ...                          padding_mode="zeros")
        >>> shift({"label": torch.ones(1, 4, 4)})["label"][0, :, 0].tolist()
        [1, 1, 255, 255]
    """

    def __call__(self, data: Mapping[Hashable, torch.Tensor], lazy: bool | None = None) -> dict[Hashable, Any]:
        """Apply one draw of the transform to all keys."""
        if self.lazy if lazy is None else lazy:
            raise ValueError("labels cannot be filled by a lazy transform: take lazy=False")
        keys = self.key_iterator(dict(data), self.mode, self.padding_mode)
        paddings = {key: str(padding) for key, mode, padding in keys if str(mode) == "nearest"}
        for key, padding in paddings.items():
            if padding != "zeros":
                raise ValueError(f"label {key!r} has padding mode {padding!r}: give 'zeros', which is turned into 255")
        labels = list(paddings)
        # filling writes zeros; with labels counted down from 255 that zero stands for 255
        turned = {key: NOT_ANNOTATED - convert_to_tensor(data[key]).float() for key in labels}
        out: dict[Hashable, Any] = super().__call__({**data, **turned}, lazy=lazy)
        return {**out, **{key: (NOT_ANNOTATED - out[key]).round().to(torch.uint8) for key in labels}}
