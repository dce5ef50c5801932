# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Score what a bundle's own postprocessing made of a prediction, on the grid of the stored label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from monai_al.data import VolumeGeometry
from monai_al.metrics import VolumeScores, score_overlapping, score_volume
from monai_al.records import NOT_ANNOTATED, DataError
from monai_al.sources.entry_arrays import is_array_name
from monai_al.sources.field_of_view import kept_inside

__all__ = ["score_entry", "spacing_matters", "truth_of"]


def truth_of(label: torch.Tensor, n_classes: int, overlapping: bool, name: str) -> np.ndarray:
    """The truth as class numbers ``(*spatial)``, or as one mask per class ``(C, *spatial)`` where classes overlap.

    Args:
        label: what the bundle's preprocessing makes of the stored label, ``(1, *spatial)`` class numbers or
            ``(C, *spatial)`` channels.
        n_classes: number of classes with the background.
        overlapping: the channels are masks that may overlap.
        name: what errors call it.

    Returns:
        uint8.

    Raises:
        DataError: the channels or the values are not those of the classes.

    Example:
        >>> truth_of(torch.tensor([[[0.0, 2.0]]]), n_classes=3, overlapping=False, name="a").tolist()
        [[0, 2]]
    """
    values = np.asarray(label.detach().cpu())
    if overlapping:
        if len(values) != n_classes - 1:
            raise DataError(f"{name}: its label has {len(values)} channels for {n_classes - 1} overlapping classes")
        return (values > 0.5).astype(np.uint8)
    if len(values) == n_classes and n_classes > 1:
        return values.argmax(0).astype(np.uint8)
    if len(values) != 1:
        raise DataError(f"{name}: its label has {len(values)} channels for {n_classes} classes")
    classes = np.rint(values[0])
    wrong = classes[(classes != NOT_ANNOTATED) & ((classes < 0) | (classes >= n_classes))]
    if wrong.size:
        raise DataError(
            f"{name}: its label holds {wrong[0]:g} after the preprocessing, but the network has {n_classes} classes "
            f"(0 to {n_classes - 1})"
        )
    return classes.astype(np.uint8)


def score_entry(
    prediction: torch.Tensor,
    affine: np.ndarray,
    truth: np.ndarray,
    truth_affine: np.ndarray,
    *,
    n_classes: int,
    overlapping: bool = False,
    inside: np.ndarray | None = None,
) -> VolumeScores:
    """Take a prediction to the grid of its truth and score it there.

    Args:
        prediction: ``(C, *spatial)`` class channels, ``(1, *spatial)`` class numbers, or one mask per class. Channels
            that a threshold made 0 and 1, and of which several are 1 somewhere, are scored one by one, as MONAI's
            metrics do.
        affine: ``(4, 4)``, its voxel index -> millimetres.
        truth: class numbers ``(*spatial)``, or masks ``(C, *spatial)`` where classes overlap.
        truth_affine: ``(4, 4)``, its voxel index -> millimetres.
        n_classes: number of classes with the background.
        overlapping: classes may overlap.
        inside: bool ``(*spatial)`` of the truth: what lies outside counts in nothing, neither in the truth nor in the
            prediction. None: all counts.

    Raises:
        DataError: the prediction's channels are not those of the classes.

    Example:
        >>> truth = np.zeros((4, 4, 2), dtype=np.uint8)
        >>> truth[:2] = 1
        >>> prediction = torch.from_numpy(truth[None, ::2, ::2]).float()
        >>> affine = np.diag([2.0, 2, 1, 1])
        >>> affine[:2, 3] = 0.5  # the middle of two voxels
        >>> score_entry(prediction, affine, truth, np.eye(4), n_classes=2).dice_3d
        (1.0,)
    """
    grid = truth.shape[1:] if overlapping else truth.shape
    channels = prediction.detach().float().as_subclass(torch.Tensor)
    flat = len(grid) == 2
    if flat:
        channels = channels[..., None]
    depth = (1,) if flat else ()
    spacing = np.linalg.norm(np.asarray(truth_affine)[:3, :3], axis=0)
    stored: Any = (*grid, *depth)
    shape: Any = tuple(channels.shape[1:])
    geometry = VolumeGeometry(stored, np.asarray(truth_affine), shape, np.asarray(affine), tuple(spacing))
    axis = None if flat else -1
    if not overlapping and _are_masks(channels, n_classes):
        annotated = truth != NOT_ANNOTATED
        truth = np.stack([truth == number for number in range(1, n_classes)]).astype(np.uint8)
        masks = np.stack([_stored(channel, geometry).numpy() > 0.5 for channel in channels[1:]])
        overlapping, found = True, masks & (annotated[..., None] if flat else annotated)
    elif overlapping:
        found = np.stack([_stored(channel, geometry).numpy() > 0.5 for channel in channels])
    else:
        found = _class_numbers(channels, geometry, n_classes)
    found = found[..., 0] if flat else found
    if inside is not None:
        found, truth = kept_inside(found, inside, 0), kept_inside(truth, inside, 0 if overlapping else NOT_ANNOTATED)
    lengths = tuple(spacing)[: len(grid)]
    if overlapping:
        return score_overlapping(found, truth, lengths, slice_axis=axis)
    return score_volume(found, truth, lengths, n_classes, slice_axis=axis)


def _are_masks(channels: torch.Tensor, n_classes: int) -> bool:
    """Whether the channels of all classes hold 0 and 1 alone, and more than one of them somewhere."""
    if len(channels) != n_classes or n_classes < 2:
        return False
    return bool(((channels == 0) | (channels == 1)).all()) and bool((channels.sum(0) > 1).any())


def _class_numbers(channels: torch.Tensor, geometry: VolumeGeometry, n_classes: int) -> np.ndarray:
    """The class with the largest value on the stored grid, one channel in memory at a time."""
    if len(channels) == 1 and n_classes == 2:
        return (_stored(channels[0], geometry) > 0.5).to(torch.uint8).numpy()
    if len(channels) not in (1, n_classes):
        raise DataError(f"the postprocessing gives {len(channels)} channels for {n_classes} classes")
    best = torch.zeros(geometry.stored_shape)
    classes = torch.zeros(geometry.stored_shape, dtype=torch.uint8)
    for number in range(n_classes):
        channel = channels[number] if len(channels) > 1 else (channels[0].round() == number).float()
        values = _stored(channel, geometry)
        above = values > best
        best[above], classes[above] = values[above], number
    return classes.numpy()


def _stored(channel: torch.Tensor, geometry: VolumeGeometry) -> torch.Tensor:
    """One channel ``(h, w, d)`` on the stored grid ``(H, W, D)``."""
    planes = geometry.to_stored(channel.cpu().permute(2, 0, 1)[:, None])
    return planes[:, 0].permute(1, 2, 0)


def spacing_matters(paths: Sequence[str]) -> bool:
    """Whether images tell a voxel size: pictures such as PNG, and arrays, do not.

    Example:
        >>> spacing_matters(["a.nii.gz"]), spacing_matters(["a.png"])
        (True, False)
    """
    without = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy")
    return not any(is_array_name(path) or path.lower().endswith(without) for path in paths)
