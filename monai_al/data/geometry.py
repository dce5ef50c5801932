# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the voxels of a preprocessed volume lie on its stored grid, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from monai_al.data.grids import same_view

__all__ = ["VolumeGeometry"]

_SLICES_AT_ONCE = 16
_VOXELS_AT_ONCE = 2**18  # at least one slice; each takes about 75 bytes while it is mapped


@dataclass(frozen=True)
class VolumeGeometry:
    """The stored and the preprocessed grid of one volume; both are voxel indices ``(h, w, d)``.

    Any chain of deterministic resizes, crops, pads, flips and resamplings that keeps the affine right is covered,
    since only the two affines are used.

    Args:
        stored_shape: ``(H, W, D)`` of the file, its slice axis last.
        stored_affine: ``(4, 4)``, stored voxel index, in that order, -> millimetres.
        shape: ``(h, w, d)`` after preprocessing.
        affine: ``(4, 4)``, preprocessed voxel index -> millimetres.
        spacing: voxel size of the file in mm along ``(H, W, D)``.
        placeholder_spacing: the file's spacing is known to be a placeholder, so millimetres mean nothing.

    Example:
        >>> padded = np.eye(4)
        >>> padded[0, 3] = -1  # one row of padding in front
        >>> geometry = VolumeGeometry((2, 2, 1), np.eye(4), (4, 2, 1), padded, (1.0, 1.0, 1.0))
        >>> geometry.valid()[0].tolist()
        [[False, False], [True, True], [True, True], [False, False]]
        >>> geometry.to_stored(torch.arange(8.0).reshape(1, 1, 4, 2)).flatten().tolist()
        [2.0, 3.0, 4.0, 5.0]
        >>> geometry.seen().all()
        np.True_
    """

    stored_shape: tuple[int, int, int]
    stored_affine: np.ndarray
    shape: tuple[int, int, int]
    affine: np.ndarray
    spacing: tuple[float, float, float]
    placeholder_spacing: bool = False

    @cached_property
    def keeps_slices(self) -> bool:
        """Slice z of the preprocessed volume is slice z of the file."""
        m = self._stored_to_preprocessed()
        slice_axis = np.allclose(m[2], [0, 0, 1, 0], atol=1e-3) and np.allclose(m[:2, 2], 0, atol=1e-3)
        return bool(slice_axis) and self.shape[2] == self.stored_shape[2]

    def of_size(self, shape: Sequence[int]) -> VolumeGeometry:
        """The same for a file ``(H, W, D)`` of another size that shows the same view, edge to edge.

        A voxel of that file counts as large as one of this: of such files none says how large it is.
        """
        height, width, depth = (int(n) for n in shape)
        if (height, width, depth) == self.stored_shape:
            return self
        affine = same_view(self.stored_affine, self.stored_shape, (height, width, depth))
        return replace(self, stored_shape=(height, width, depth), stored_affine=affine)

    def _stored_to_preprocessed(self) -> np.ndarray:
        return np.linalg.inv(self.affine) @ self.stored_affine

    def valid(self) -> np.ndarray:
        """Which preprocessed voxels lie inside the stored grid.

        Returns:
            bool ``(d, h, w)``, or ``(1, h, w)`` where all slices are alike.
        """
        return self._common(np.linalg.inv(self._stored_to_preprocessed()), self.shape, self.stored_shape)

    def seen(self) -> np.ndarray:
        """Which stored voxels lie inside the preprocessed grid; what was cropped away does not.

        Returns:
            bool ``(D, H, W)``, or ``(1, H, W)`` where all slices are alike.
        """
        return self._common(self._stored_to_preprocessed(), self.stored_shape, self.shape)

    def _common(self, matrix: np.ndarray, shape: tuple[int, int, int], other: tuple[int, int, int]) -> np.ndarray:
        """Which voxels of a grid lie inside the other one, to which the matrix leads."""
        d = 1 if self.keeps_slices else shape[2]
        slices, rows, columns = np.ogrid[:d, : shape[0], : shape[1]]
        common = np.ones((d, *shape[:2]), dtype=bool)
        for (*steps, offset), n in zip(matrix[:3], other, strict=True):
            parts = zip(steps, (rows, columns, slices), strict=True)
            moving = (step * index for step, index in parts if abs(step) * index.size > 1e-9)  # else a rounding error
            common &= _within(offset + sum(moving), n)  # of axes that are not oblique a mere row of numbers
        return common

    def to_stored(self, volume: torch.Tensor) -> torch.Tensor:
        """Resample a preprocessed volume back to the stored grid, linearly; outside of it there are zeros.

        Args:
            volume: float ``(d, C, h, w)``.

        Returns:
            float ``(D, C, H, W)``.
        """
        m = self._stored_to_preprocessed()
        offset = np.rint(m[:3, 3]).astype(int)
        if np.allclose(m[:3, :3], np.eye(3), atol=1e-5) and np.allclose(m[:3, 3], offset, atol=1e-3):
            return _shifted(volume, offset, self.stored_shape)
        if self.keeps_slices:
            return self._planes_to_stored(volume, m)
        height, width, depth = self.stored_shape
        out = volume.new_empty(depth, volume.shape[1], height, width)
        source = volume.permute(1, 2, 3, 0)[None]
        for slices in _slabs(self.stored_shape):
            grid, inside = _sampling_grid(m, (height, width, slices), self.shape, volume.device)
            resampled = torch.nn.functional.grid_sample(
                source, grid[None].to(volume.dtype), padding_mode="border", align_corners=True
            )[0]
            out[slices.start : slices.stop] = (resampled * inside).permute(3, 0, 1, 2)
        return out

    def _planes_to_stored(self, volume: torch.Tensor, m: np.ndarray) -> torch.Tensor:
        plane = m[np.ix_([0, 1, 3], [0, 1, 3])]
        grid, inside = _sampling_grid(plane, self.stored_shape[:2], self.shape[:2], volume.device)
        grid = grid[None].to(volume.dtype)
        parts = [
            torch.nn.functional.grid_sample(
                part, grid.expand(len(part), -1, -1, -1), padding_mode="border", align_corners=True
            )
            for part in volume.split(_SLICES_AT_ONCE)
        ]
        return torch.cat(parts) * inside

    def to_json(self) -> dict[str, Any]:
        """The geometry as JSON types."""
        return {
            "stored_shape": list(self.stored_shape),
            "stored_affine": self.stored_affine.tolist(),
            "shape": list(self.shape),
            "affine": self.affine.tolist(),
            "spacing": list(self.spacing),
            "placeholder_spacing": self.placeholder_spacing,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> VolumeGeometry:
        """The geometry that :meth:`to_json` wrote."""
        return cls(
            tuple(content["stored_shape"]),
            np.asarray(content["stored_affine"], dtype=np.float64),
            tuple(content["shape"]),
            np.asarray(content["affine"], dtype=np.float64),
            tuple(content["spacing"]),
            content["placeholder_spacing"],
        )


def _shifted(volume: torch.Tensor, offset: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
    """Crop and pad with zeros: entry x of the result is entry x + offset of the volume, exactly."""
    out = volume.new_zeros(shape[2], volume.shape[1], shape[0], shape[1])
    sizes = (*volume.shape[2:], volume.shape[0])
    spans = [(max(0, -o), min(n, size - o)) for o, n, size in zip(offset, shape, sizes, strict=True)]
    if all(first < last for first, last in spans):
        (h0, h1), (w0, w1), (d0, d1) = spans
        h, w, d = offset
        out[d0:d1, :, h0:h1, w0:w1] = volume[d0 + d : d1 + d, :, h0 + h : h1 + h, w0 + w : w1 + w]
    return out


def _slabs(shape: tuple[int, int, int]) -> Iterator[range]:
    """The slices of a grid in groups that are small enough to be mapped in one go."""
    n = max(1, _VOXELS_AT_ONCE // max(1, shape[0] * shape[1]))
    return (range(first, min(first + n, shape[2])) for first in range(0, shape[2], n))


def _mapped(matrix: np.ndarray, extent: tuple[int | range, ...]) -> np.ndarray:
    """Voxel indices of a grid, or of a part of it, mapped by a homogeneous matrix: ``(*shape, len(shape))``."""
    axes = (np.arange(n, dtype=np.float64) if isinstance(n, int) else np.asarray(n, np.float64) for n in extent)
    indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    n = len(extent)
    return indices @ matrix[:n, :n].T + matrix[:n, n]


def _inside(mapped: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    """Which mapped voxels lie in a grid of this shape."""
    return np.all(_within(mapped, np.asarray(target)), axis=-1)


def _within(index: Any, n: Any) -> Any:
    """Whether places on an axis of n voxels lie in it, up to half a voxel beyond the outermost centres."""
    return (index >= -0.5 - 1e-6) & (index <= n - 0.5 + 1e-6)


def _sampling_grid(
    matrix: np.ndarray, extent: tuple[int | range, ...], source: tuple[int, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``grid_sample`` grid that reads ``source`` at the mapped voxels of a grid, and which of them lie in it."""
    mapped = _mapped(matrix, extent)
    inside = _inside(mapped, source)
    size = np.maximum(np.asarray(source) - 1, 1)
    normalized = (2 * mapped / size - 1)[..., ::-1].copy()  # grid_sample wants the last axis first
    return torch.from_numpy(normalized).to(device, torch.float32), torch.from_numpy(inside).to(device)
