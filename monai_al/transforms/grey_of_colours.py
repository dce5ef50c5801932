# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in colours as grey ones."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.transforms import MapTransform

from monai_al.data.colours import brightness

__all__ = ["GreyOfColoursd"]


class GreyOfColoursd(MapTransform):
    """The brightness of pictures in colours, one channel; images of one channel stay as they are.

    Args:
        keys: the images, each ``(C, ...)``; those that are absent are left out.

    Raises:
        ValueError: when called: an image has neither one channel nor three.

    Example:
        >>> import torch
        >>> GreyOfColoursd("image")({"image": torch.ones(3, 4, 5, 1)})["image"].shape
        torch.Size([1, 4, 5, 1])
    """

    def __init__(self, keys: Hashable | Sequence[Hashable]) -> None:
        super().__init__(keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The data with grey images."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = out[key] if len(out[key]) == 1 else brightness(out[key])
        return out
