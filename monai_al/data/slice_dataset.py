# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Map-style access to the items of a pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from monai_al.data.volume_cache import CachedVolume, VolumeCache, track_meta
from monai_al.records.item import Item
from monai_al.records.item_table import ItemTable

__all__ = ["SliceDataset"]


class SliceDataset(Dataset):
    """The items of a pool as plain tensors, views of the cached volumes.

    Each entry is a dictionary:

    * ``image``: float32 ``(C, h, w)``; ``(C, h, w, d)`` for a whole volume;
    * ``label``: uint8 ``(1, h, w)`` or ``(1, h, w, d)`` class numbers, 255 = not annotated; only where there is one;
    * ``valid``: bool like ``label``, False outside the stored grid (padding);
    * ``id``: the item's id; ``slice``: its number, -1 for a whole image or volume;
    * ``patient``, ``volume``: group numbers, equal for the items of one patient or volume of this data set.

    Args:
        data: the items, in order.
        cache: where their volumes lie.
        transform: per-entry transform, for random augmentation; it gets copies, never the cached arrays.
        with_label: leave the labels out where False, so that nothing can read them.

    Example:
        >>> import tempfile
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6))
        ...     entry = SliceDataset(pool.items, VolumeCache(folder, label_values=pool.label_values))[1]
        >>> entry["id"].endswith("/0001"), tuple(entry["image"].shape), tuple(entry["label"].shape)
        (True, (1, 16, 16), (1, 16, 16))
    """

    def __init__(
        self,
        data: Sequence[Item],
        cache: VolumeCache,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        with_label: bool = True,
    ) -> None:
        self.data = data if isinstance(data, ItemTable) else tuple(data)
        self.cache = cache
        self.transform = transform
        self.with_label = with_label
        table = ItemTable.of(self.data)
        self._patients, self._volumes = (
            {name: i for i, name in enumerate(table.names(of))} for of in ("patient", "volume")
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        item = self.data[index]
        entry = self._tensors(item, self.cache.get(item))
        entry |= {
            "id": item.id,
            "slice": -1 if item.slice is None else item.slice,
            "patient": self._patients[item.patient],
            "volume": self._volumes[item.volume],
        }
        if self.transform is None:
            return entry
        copies = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in entry.items()}
        with track_meta(False):  # more than twice as fast
            return self.transform(copies)

    def _tensors(self, item: Item, volume: CachedVolume) -> dict[str, Any]:
        label = volume.label if self.with_label else None
        if item.slice is None and len(volume.image) > 1:
            return _whole_volume(volume, label)
        z = item.slice or 0
        tensors = {
            "image": torch.from_numpy(volume.image[z]),
            "valid": torch.from_numpy(volume.valid),  # one plane for all slices, which keep their places
        }
        return tensors if label is None else tensors | {"label": torch.from_numpy(label[z][None])}


def _whole_volume(volume: CachedVolume, label: Any) -> dict[str, Any]:
    shape = (len(volume.image), *volume.image.shape[2:])
    tensors = {
        "image": torch.from_numpy(volume.image).permute(1, 2, 3, 0),
        "valid": torch.from_numpy(volume.valid).expand(shape).permute(1, 2, 0)[None],
    }
    return tensors if label is None else tensors | {"label": torch.from_numpy(label).permute(1, 2, 0)[None]}
