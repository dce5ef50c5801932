# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which stored voxels of an entry a network sees, and how much of what is labeled lies outside of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from monai.data import MetaTensor
from monai.utils import MetaKeys

from monai_al.data import VolumeGeometry
from monai_al.records import NOT_ANNOTATED
from monai_al.sources.entry_items import IMAGE, LABEL
from monai_al.sources.entry_transforms import affine_of, in_space

__all__ = ["NetworkView", "inside_of", "kept_inside", "outside_share", "outside_voxels", "view_of"]


class NetworkView(NamedTuple):
    """A grid of what a network gets of an entry, at the end or on the way there.

    Args:
        shape: ``(*spatial)``.
        affine: ``(4, 4)``, its voxel index -> millimetres; None where nothing was moved, or nothing tells.
        file_shape: ``(*spatial)`` of the file that these millimetres are of.
        file_affine: ``(4, 4)``, that of the file; None: it is the stored label.

    Example:
        >>> NetworkView((8, 8), None).file_affine is None
        True
    """

    shape: tuple[int, ...]
    affine: np.ndarray | None
    file_shape: tuple[int, ...] = ()
    file_affine: np.ndarray | None = None


def view_of(seen: Mapping[str, Any]) -> NetworkView:
    """The grid of what a preprocessing gives, or one of its transforms.

    Args:
        seen: ``image`` and perhaps ``label``, channel first. Where they have one shape they lie on each other, whatever
            their headers say. Where several files are no ``image`` yet, the label stands for it.

    Example:
        >>> import torch
        >>> affine = torch.diag(torch.tensor([2.0, 2.0, 5.0, 1.0]))
        >>> view = view_of({"image": MetaTensor(torch.zeros(1, 8, 8, 4), affine=affine)})
        >>> view.shape, view.affine.diagonal().tolist()
        ((8, 8, 4), [2.0, 2.0, 5.0, 1.0])
    """
    label = seen.get(LABEL)
    image = seen.get(IMAGE, label)
    shape = tuple(image.shape[1:])
    if isinstance(label, MetaTensor) and not label.pending_operations and tuple(label.shape[1:]) == shape:
        return NetworkView(shape, affine_of(label))
    meta = image.meta if isinstance(image, MetaTensor) else {}
    file_shape, file_affine = meta.get(MetaKeys.SPATIAL_SHAPE), meta.get(MetaKeys.ORIGINAL_AFFINE)
    if file_shape is None or file_affine is None:
        return NetworkView(shape, affine_of(image))
    return NetworkView(shape, affine_of(image), tuple(int(n) for n in file_shape), in_space(file_affine))


def inside_of(views: Iterable[NetworkView], stored: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Which voxels of a stored label a network sees: those inside of all grids that its input had on the way.

    Half a voxel beyond the outermost centres of a grid is inside; a grid may be finer, coarser, flipped or oblique.
    What is cropped away is lost, also where the rest is padded afterwards.

    Args:
        views: the grids; those of another number of dimensions than the label do not count.
        stored: ``(*spatial)`` of the label.
        affine: ``(4, 4)``, voxel index of the label -> millimetres.

    Returns:
        bool ``(*spatial)``.

    Example:
        >>> cropped = np.eye(4)
        >>> cropped[0, 3] = 1  # the first row is cut away
        >>> inside_of([NetworkView((2, 2), cropped), NetworkView((3, 2), np.eye(4))], (3, 2), np.eye(4)).tolist()
        [[False, False], [True, True], [True, True]]
    """
    inside = np.ones(stored, dtype=bool)
    grid = _three(stored)
    for view in views:
        if view.affine is None or len(view.shape) != len(stored):
            continue
        # image and label of one size lie on each other, too, where only the image is cropped
        begun = affine if view.file_affine is None or view.file_shape != stored else view.file_affine
        seen = VolumeGeometry(grid, begun, _three(view.shape), view.affine, (1.0, 1.0, 1.0)).seen()
        inside &= np.broadcast_to(seen.transpose(1, 2, 0), grid).reshape(stored)
    return inside


def kept_inside(labels: np.ndarray, inside: np.ndarray, outside: int) -> np.ndarray:
    """Labels without what lies outside: the smallest box around the inside, filled up where it is larger than that.

    Args:
        labels: class numbers ``(*spatial)``, or masks ``(C, *spatial)``.
        inside: bool ``(*spatial)``.
        outside: what stands outside of the inside.

    Returns:
        The labels in the box; where nothing is inside, of their own size.

    Example:
        >>> inside = np.array([[False, False, False], [False, True, True]])
        >>> kept_inside(np.array([[1, 2, 3], [4, 5, 6]]), inside, 255).tolist()
        [[5, 6]]
    """
    box = _box_of(inside)
    return np.where(inside[box], labels[(..., *box)], labels.dtype.type(outside))


def outside_voxels(truth: np.ndarray, inside: np.ndarray) -> dict[str, int]:
    """How many voxels of a label are foreground, and how many of these lie outside.

    Args:
        truth: class numbers ``(*spatial)``, 255 is not annotated; or masks ``(C, *spatial)``, whose union counts.
        inside: bool ``(*spatial)``.

    Example:
        >>> outside_voxels(np.array([[0, 1], [2, 255]], np.uint8), np.array([[True, True], [False, False]]))
        {'foreground': 2, 'outside': 1}
    """
    foreground = (truth > 0) & (truth != NOT_ANNOTATED)
    if foreground.ndim > inside.ndim:
        foreground = foreground.any(axis=0)
    outside = np.count_nonzero(foreground & ~inside)
    return {"foreground": int(np.count_nonzero(foreground)), "outside": int(outside)}


def outside_share(counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The entry ``outside`` of ``metrics.json``: how much of the labeled foreground no network sees.

    Args:
        counts: volume -> what :func:`outside_voxels` gives.

    Returns:
        ``share`` of all foreground voxels, in [0, 1]; ``voxels``, how many lie outside; ``worst``, the volume with the
        largest share, of equal ones the first, None where none is above 0; ``per_volume`` {volume: its share}. A share
        is None where there is no foreground.

    Example:
        >>> outside_share({"a": {"foreground": 6, "outside": 0}, "b": {"foreground": 2, "outside": 1}})
        {'share': 0.125, 'voxels': 1, 'worst': 'b', 'per_volume': {'a': 0.0, 'b': 0.5}}
    """
    shares = {volume: _share(own["outside"], own["foreground"]) for volume, own in counts.items()}
    foreground, outside = (sum(own[key] for own in counts.values()) for key in ("foreground", "outside"))
    return {
        "share": _share(outside, foreground),
        "voxels": outside,
        "worst": max(shares, key=lambda volume: shares[volume] or 0.0) if outside else None,
        "per_volume": shares,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _box_of(inside: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around what is inside; all where nothing is."""
    axes = range(inside.ndim)
    rows = [np.flatnonzero(inside.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    return tuple(slice(int(own[0]), int(own[-1]) + 1) if own.size else slice(None) for own in rows)


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, *depth = shape
    return height, width, depth[0] if depth else 1
