# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The pixels that a network gets of each slice: at one spacing, or of the whole view."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.transforms import Compose, MapTransform, Resized, ResizeWithPadOrCropd, Spacingd

__all__ = ["PlaneGridd"]


class PlaneGridd(MapTransform):
    """Bring the slices of every volume to one size, at one spacing where one is given.

    With a ``spacing`` a structure has the same size in pixels in all volumes, whatever the field of view: slices are
    resampled to it and cropped or padded around their centre. Without one the whole view is resized, which is all that
    can be done where files tell no spacing. No label is looked at, and the slice axis stays as it is.

    Args:
        keys: what is changed, each ``(C, H, W, D)`` with its affine; those that are absent are left out.
        size: rows and columns afterwards.
        spacing: mm between pixels of a row and of a column; None resizes the whole view.
        padding_value: around an image that is smaller than ``size`` at this spacing.
        label_keys: those of the keys that hold class numbers, which are not interpolated and padded with 0.

    Raises:
        ValueError: the size is no two positive whole numbers, or the spacing is not above 0.

    Example:
        >>> import torch
        >>> from monai.data import MetaTensor
        >>> image = MetaTensor(torch.ones(1, 40, 30, 5), affine=torch.diag(torch.tensor([2.0, 2.0, 8.0, 1.0])))
        >>> out = PlaneGridd("image", size=(64, 48), spacing=1.0)({"image": image})["image"]
        >>> tuple(out.shape), out.pixdim.tolist()
        ((1, 64, 48, 5), [1.0, 1.0, 8.0])
        >>> PlaneGridd("image", size=(80, 90))({"image": image})["image"].shape
        torch.Size([1, 80, 90, 5])
    """

    def __init__(
        self,
        keys: Hashable | Sequence[Hashable],
        size: Sequence[int],
        spacing: float | None = None,
        padding_value: float = 0.0,
        label_keys: Sequence[Hashable] = ("label",),
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        if len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
            raise ValueError(f"size must be two whole numbers of at least 1, rows and columns, got {size!r}")
        if spacing is not None and not spacing > 0:
            raise ValueError(f"spacing must be above 0 mm, or None, got {spacing!r}")
        shape = (*size, -1)
        parts: list[Any] = []
        for key in self.keys:
            label = key in label_keys
            if spacing is None:
                parts.append(Resized(key, shape, mode="nearest-exact" if label else "trilinear"))
            else:
                mode, outside = ("nearest", "zeros") if label else ("bilinear", "border")
                parts.append(Spacingd(key, (spacing, spacing, -1), mode=mode, padding_mode=outside))
                parts.append(ResizeWithPadOrCropd(key, shape, value=0 if label else padding_value))
        for part in parts:
            part.allow_missing_keys = True
        self.chain = Compose(parts)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The data on the new grid.

        Args:
            data: arrays ``(C, H, W, D)``.
        """
        return dict(self.chain(data))
