# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Two views of every slice of a batch, and who belongs together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from monai.engines import PrepareBatch
from torch import Tensor

from monai_al.data import slice_groups

__all__ = ["ContrastiveBatch"]


class ContrastiveBatch(PrepareBatch):
    """Turn a batch of N slices into 2N views, the slices and then their augmentations, and the groups of each slice.

    A. Vepa et al., NeurIPS 2024, arXiv:2411.15763, section 3. Give it to a ``SupervisedTrainer`` as ``prepare_batch``;
    the augmentation is computed on the trainer's device.

    Args:
        augmentation: images ``(N, C, H, W)`` on the device -> the same shape, such as
            :class:`~monai_al.transforms.ContrastiveAugmentation`.
        members: those of the :class:`~monai_al.data.GroupBatchSampler` that made the batch.
        augment_both: the first view is an augmentation too, one of its own, instead of the slice itself.
        image_key: the images in the batch; beside them stand ``patient``, ``volume`` and ``slice``, integers ``(N,)``.

    Raises:
        ValueError: in a call: the batch is no multiple of the group's length.

    Example:
        >>> batch = {"image": torch.zeros(4, 1, 8, 8), "slice": torch.tensor([0, 1, 5, 4])}
        >>> batch |= {"patient": torch.tensor([0, 0, 3, 3]), "volume": torch.tensor([0, 0, 6, 6])}
        >>> prepare = ContrastiveBatch(augmentation=lambda images: images + 1, members=["slice"])
        >>> views, groups = prepare(batch)
        >>> views.shape, groups.tolist()
        (torch.Size([8, 1, 8, 8]), [[0, 0, 0], [0, 0, 0], [3, 6, 1], [3, 6, 1]])
    """

    def __init__(
        self,
        augmentation: Callable[[Tensor], Tensor],
        members: Collection[str] = ("volume", "patient"),
        augment_both: bool = False,
        image_key: str = "image",
    ) -> None:
        self.augmentation = augmentation
        self.members = tuple(members)
        self.augment_both = augment_both
        self.image_key = image_key

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Views and groups.

        Args:
            batchdata: a batch of :class:`~monai_al.data.SliceDataset`, or another with the same entries.
            device: where the views and groups go.
            non_blocking: whether the copy to the device may run beside the CPU's work.
            **kwargs: other arguments of ``Tensor.to`` for the images.

        Returns:
            The views ``(2N, C, H, W)``; int64 ``(N, 3)``: patient, volume and slice group.
        """
        images = torch.as_tensor(batchdata[self.image_key]).as_subclass(Tensor)
        images = images.to(device=device, non_blocking=non_blocking, **kwargs)
        first = self.augmentation(images) if self.augment_both else images
        views = torch.cat([first, self.augmentation(images)])
        return views, self._groups(batchdata).to(device=device, non_blocking=non_blocking)

    def _groups(self, batchdata: Mapping[str, Any]) -> Tensor:
        patients, volumes, slices = (
            torch.as_tensor(batchdata[key], dtype=torch.int64).cpu() for key in ("patient", "volume", "slice")
        )
        adjacent = "slice" in self.members
        groups = slice_groups(volumes.tolist(), slices.tolist(), 1 + len(self.members), adjacent)
        return torch.stack([patients, volumes, torch.from_numpy(groups)], dim=1)
