# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The pixels that a network gets of each slice: at one spacing, or of the whole view."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import MapTransform, Resize, ResizeWithPadOrCrop

__all__ = ["PlaneGridd"]

MUCH_LARGER, FIRST = 8, 4  # times the new side: above the one, pixels are first averaged to the other
MOST = 16384  # rows or columns of a whole view that is resampled: what is beyond is no spacing that anybody means


class PlaneGridd(MapTransform):
    """Bring the slices of every volume to one size, at one spacing where one is given.

    With a ``spacing`` a structure has the same size in pixels in all volumes, whatever the field of view: slices are
    resampled to it and cropped or padded around their centre. Without one the whole view is resized, which is all that
    can be done where files tell no spacing. No label is looked at. Slices are resampled within themselves, by MONAI's
    ``Resize``, and so keep their places; ``Spacing`` would turn the axes of a header whose directions are rounded, and
    mix neighbouring slices. Images are smoothed before they become smaller; of those that are more than eight times as
    large, such as photographs, whole blocks of pixels are averaged first, for the sake of memory.

    Args:
        keys: what is changed, each ``(C, H, W, D)`` with its affine; those that are absent are left out.
        size: rows and columns afterwards.
        spacing: mm between pixels of a row and of a column; None resizes the whole view.
        padding_value: around an image that is smaller than ``size`` at this spacing.
        label_keys: those of the keys that hold class numbers, which are not interpolated and padded with 0.

    Raises:
        ValueError: the size is no two positive whole numbers, or the spacing is not above 0; when called: a whole slice
            has more than 16384 rows or columns at the spacing.

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
        self.size = tuple(size)
        self.spacing = spacing
        self.padding_value = padding_value
        self.label_keys = tuple(label_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The data on the new grid.

        Args:
            data: ``MetaTensor`` of shape ``(C, H, W, D)``.
        """
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self._label(out[key]) if key in self.label_keys else self._image(out[key])
        return out

    def _image(self, image: Any) -> Any:
        size = self._resized(image)
        first = tuple(
            FIRST * side if stored > MUCH_LARGER * side else stored
            for side, stored in zip(size, image.shape[1:3], strict=True)
        )
        if first != tuple(image.shape[1:3]):
            image = Resize((*first, -1), mode="area")(image)
        return self._framed(Resize((*size, -1), mode="trilinear", anti_aliasing=True)(image), self.padding_value)

    def _label(self, label: Any) -> Any:
        return self._framed(Resize((*self._resized(label), -1), mode="nearest-exact")(label), 0)

    def _resized(self, array: Any) -> tuple[int, ...]:
        """Rows and columns of the whole view at the spacing asked for."""
        if self.spacing is None:
            return self.size
        sides = torch.linalg.norm(array.affine[:3, :2], dim=0) * torch.tensor(array.shape[1:3])
        rows, columns = (max(1, round(side / self.spacing)) for side in sides.tolist())
        if max(rows, columns) > MOST:
            raise ValueError(
                f"at a spacing of {self.spacing:g} mm a slice has {rows} x {columns} pixels: give a larger --spacing"
            )
        return rows, columns

    def _framed(self, array: Any, value: float) -> Any:
        return array if self.spacing is None else ResizeWithPadOrCrop((*self.size, -1), value=value)(array)
