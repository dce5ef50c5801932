# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The label map that a network predicts for one volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from monai_al.handlers.whole_volumes import WholeVolumeHandler, hard_labels
from monai_al.inferers import TrainedNetwork
from monai_al.passes.run import run_pass
from monai_al.records import Item, slices_of
from monai_al.sources import Source

__all__ = ["predict_volume"]


def predict_volume(
    source: Source, trained: TrainedNetwork, item: Item, *, batch_size: int = 64, on_label: bool = False
) -> np.ndarray | None:
    """The most probable class of every voxel of a volume, on its stored grid.

    Args:
        source: where the volume lies.
        trained: network, inferer, device and activation.
        item: the volume, or a slice of it; its label is not read.
        batch_size: slices per batch, at most.
        on_label: of a picture whose label has another size, on the grid of the label, for which it is read.

    Returns:
        uint8 ``(H, W, D)``, the slice axis last; None where the source has no cache, because only its bundle knows the
        way back.

    Raises:
        ValueError: the activation is ``"multilabel"``, so that a voxel may belong to several classes.

    Example:
        >>> import tempfile
        >>> from monai.inferers import SimpleInferer
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.sources import SliceSource
        >>> trained = TrainedNetwork(torch.nn.Conv2d(1, 2, 1), torch.device("cpu"), SimpleInferer(), "softmax")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6))
        ...     source = SliceSource(pool, VolumeCache(folder, label_values=pool.label_values, progress=False))
        ...     predict_volume(source, trained, pool[3]).shape
        (16, 16, 6)
    """
    if source.cache is None:
        return None
    items = [item if on_label and item.slice is None else replace(item, label=None)]
    if item.slice is not None:
        depth = source.cache.get(items[0]).geometry.stored_shape[2]
        items = slices_of(depth, image=item.image, volume=item.volume, patient=item.patient, slice_axis=item.slice_axis)
    handler = _KeepLabels(items, source.cache, trained.activation)
    loader = source.loader(items, batch_size=batch_size)
    run_pass(trained.network, loader, [handler], device=trained.device, inferer=trained.inferer)
    return handler.labels.transpose(1, 2, 0)


class _KeepLabels(WholeVolumeHandler):
    labels: np.ndarray

    def take_volume(self, item: Item, probs: torch.Tensor) -> None:
        self.labels = hard_labels(probs).cpu().numpy()
