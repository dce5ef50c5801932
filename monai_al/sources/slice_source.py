# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loop knows of its data: the pool and the cached volumes behind it."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from monai_al.data import SliceDataset, VolumeCache, batches_of, slice_loader, with_batches
from monai_al.handlers.volume_scores import VolumeScoresHandler
from monai_al.inferers import TrainedNetwork
from monai_al.records import NOT_ANNOTATED, DataError, Item, Pool
from monai_al.records.cost_model import AreaScale, CostSettings
from monai_al.sources.annotation_cost import annotation_cost, full_mask_areas, pool_area_scale
from monai_al.sources.base import EvaluationPass
from monai_al.sources.first_try import check_samples, output_channels
from monai_al.uncertainty import Measure

__all__ = ["SliceSource"]

WITH_AFFINE = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")


class SliceSource:
    """The items of a pool, whose volumes lie in a cache.

    Args:
        data: the items of all splits.
        cache: where their volumes lie.

    Example:
        >>> import tempfile
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6))
        ...     data = SliceSource(pool, VolumeCache(folder, label_values=pool.label_values, progress=False))
        ...     [tuple(batch["image"].shape) for batch in data.loader(pool[:6], batch_size=4)]
        [(4, 1, 16, 16), (2, 1, 16, 16)]
    """

    gives_logits = False  # the probabilities of members are averaged, and nothing is applied to them
    reads_class_numbers = True
    validates_on_test = False
    overlapping = False

    def __init__(self, data: Pool, cache: VolumeCache) -> None:
        self.data = data
        self.cache = cache

    def prepare(self, items: Sequence[Item] | None = None) -> None:
        """Read and check what is not in the cache yet, of some items or of all.

        Raises:
            DataError: lists the images and labels that cannot be used.
        """
        self.cache.prepare(self.data if items is None else items)

    def try_network(self, trained: TrainedNetwork, measures: Iterable[Measure]) -> None:
        """Predict one item, so that what cannot work fails early.

        Raises:
            DataError: the network cannot predict it, or its channels are not the classes.
            ValueError: a measure needs dropout and the network has none, or none that acts.
        """
        first, classes = SliceDataset(self.data[:1], self.cache, with_label=False)[0], self.data.classes
        channels = output_channels(trained, first["image"], first["id"], same_size=True)
        if channels != len(classes) and not (channels == 1 and len(classes) == 2):
            raise DataError(
                f"the network has {channels} output channels for the {len(classes)} classes {', '.join(classes)}"
            )
        check_samples(trained, measures, first["image"])

    def adapted(self, trained: TrainedNetwork) -> TrainedNetwork:
        """The network as it is."""
        return trained

    def entries(self, items: Sequence[Item]) -> tuple[Any, ...]:
        """What the training data set gets for these items."""
        return tuple(items)

    @property
    def validation_items(self) -> Sequence[Item]:
        """The validation part."""
        return self.data.part("validation").items

    def loader(self, items: Sequence[Item], *, batch_size: int = 64, with_label: bool = False) -> DataLoader:
        """Batches of ``image``, ``valid``, ``id`` and, where asked for, ``label``, in order; one shape in each.

        Args:
            items: what to load.
            batch_size: items per batch, at most.
            with_label: hold labels where there are any; otherwise none is read.
        """
        return slice_loader(SliceDataset(items, self.cache, with_label=with_label), batch_size)

    def evaluation(
        self,
        trained: TrainedNetwork,
        items: Sequence[Item],
        *,
        volumes: Collection[str] | None = None,
        batch_size: int = 64,
    ) -> EvaluationPass:
        """How every volume of the items, or some of them, get scored on their stored grids.

        Args:
            trained: network, inferer, device and activation.
            items: all slices of the volumes, in pool order.
            volumes: those to score, in those batches of all items that hold them; None: all.
            batch_size: items per batch, at most.
        """
        scorer = VolumeScoresHandler(items, self.cache, len(self.data.classes), trained.activation, volumes)
        loader = self.loader(items, batch_size=batch_size)
        if volumes is not None:
            wanted = {place for place, item in enumerate(items) if item.volume in volumes}
            loader = with_batches(loader, [batch for batch in batches_of(loader) if not wanted.isdisjoint(batch)])
        return EvaluationPass(loader, scorer, [scorer])

    def told_of_scores(self, outside: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        """Nothing: the network sees the whole of every slice."""
        return {}

    def cost(
        self,
        labeled: Sequence[Item],
        kinds: Sequence[str],
        settings: CostSettings | None = None,
        scale: AreaScale | None = None,
    ) -> dict[str, Any]:
        """See :func:`monai_al.sources.annotation_cost`; without ``scale`` that of the pool, where it has all masks."""
        return annotation_cost(
            labeled,
            kinds,
            self._voxels,
            self._slices,
            areas=lambda item, kind: full_mask_areas(item, kind, self.data, self._areas),
            settings=settings,
            scale=scale or self._pool_scale,
        )

    @functools.cached_property
    def _pool_scale(self) -> AreaScale | None:
        return pool_area_scale(self.data.part("train"), self._areas)

    def annotated_share(self, item: Item) -> float:
        """Which share of an item's stored pixels its label annotates; 0 without a label."""
        plane = self._truth(item)
        return 0.0 if plane is None else float(np.count_nonzero(plane != NOT_ANNOTATED) / plane.size)

    def present(self, items: Sequence[Item]) -> np.ndarray:
        """Which classes the ground truth of each item holds, bool ``(N, C)``.

        Raises:
            DataError: an item has no label, or one that leaves most of its pixels without annotation.
        """
        found = np.zeros((len(items), len(self.data.classes)), dtype=bool)
        for row, item in zip(found, items, strict=True):
            plane = self._truth(item)
            if plane is None:
                raise DataError(f"{item.id} has no label, and the strategy uses the truth of every item")
            if np.count_nonzero(plane == NOT_ANNOTATED) > plane.size / 2:
                raise DataError(
                    f"{item.id}: the strategy uses the truth of every item, and this label leaves most pixels without "
                    f"annotation: full masks are needed, scribbles do not tell what else {item.label} holds; take "
                    "another strategy"
                )
            values = np.unique(plane)
            row[values[values != NOT_ANNOTATED]] = True
        return found

    def _truth(self, item: Item) -> np.ndarray | None:
        """Class numbers of an item on the stored grid."""
        truth = self.cache.get(item).truth
        return truth if truth is None or item.slice is None else truth[item.slice]

    def _voxels(self, item: Item) -> tuple[int, int]:
        plane = self._truth(item)
        if plane is None:
            return 0, 0
        return plane.size, int(np.count_nonzero((plane > 0) & (plane != NOT_ANNOTATED)))

    def _areas(self, item: Item) -> list[int] | None:
        """Stored foreground pixels of each slice of an item; None where its label leaves pixels out."""
        truth = self._truth(item)
        if truth is None:
            return None
        planes = truth[None] if item.slice is not None else truth
        if any((plane == NOT_ANNOTATED).any() for plane in planes):
            return None
        return [int(np.count_nonzero(plane)) for plane in planes]

    def _slices(self, item: Item) -> int:
        return 1 if item.slice is not None else self.cache.get(item).geometry.stored_shape[2]

    def placeholder_spacing(self, items: Sequence[Item]) -> bool:
        """Whether millimetres mean nothing for these items."""
        first = {item.volume: item for item in items}
        return self.data.placeholder_spacing or any(
            self.cache.get(item).geometry.placeholder_spacing for item in first.values()
        )

    def slice_affine(self, item: Item) -> np.ndarray | None:
        """Where the axes of an item's volume lead in the body; None where its files do not tell."""
        return self.cache.get(item).geometry.affine if item.image.lower().endswith(WITH_AFFINE) else None

    def hashes(self) -> dict[str, str]:
        """Path of every image and label -> SHA-256 of its content."""
        found = {}
        for item in self.data.items.firsts():
            if item.image not in found:
                image, label = self.cache.hashes(item)
                found[item.image] = image
                if item.label is not None and label is not None:
                    found[item.label] = label
        return found
