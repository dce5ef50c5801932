# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Deformed images of a batch, and what is to be restored from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines import PrepareBatch
from torch import Generator, Tensor

from monai_al.transforms.restoration_augmentation import RestorationAugmentation

__all__ = ["RestorationBatch"]

TOLERATED = 1e-3  # what interpolation and half precision may add to [0, 1]


class RestorationBatch(PrepareBatch):
    """Turn a batch of images into deformed images and the images that they were.

    Give it to a ``SupervisedTrainer``, or an evaluator, as ``prepare_batch``; see
    :class:`~monai_al.transforms.RestorationAugmentation`. The deformations are computed on the engine's device.

    Args:
        augmentation: the probabilities and sizes; None: the defaults.
        seed: every batch is deformed by the same draws, so that losses of different epochs can be compared; None: by
            draws of torch's global generator.
        image_key: the images in the batch.

    Raises:
        ValueError: in a call: intensities are not in [0, 1].

    Example:
        >>> prepare, batch = RestorationBatch(seed=0), {"image": torch.rand(2, 1, 32, 32)}
        >>> (image, target), (again, _) = prepare(batch), prepare(batch)
        >>> image.shape, target.shape, torch.equal(image, again), torch.equal(image, target)
        (torch.Size([2, 1, 32, 32]), torch.Size([2, 1, 32, 32]), True, False)
    """

    def __init__(
        self,
        augmentation: RestorationAugmentation | None = None,
        *,
        seed: int | None = None,
        image_key: str = "image",
    ) -> None:
        self.augmentation = RestorationAugmentation() if augmentation is None else augmentation
        self.seed, self.image_key = seed, image_key

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Deformed images and targets.

        Args:
            batchdata: a batch with images ``(B, C, *spatial)``, which are not modified.
            device: where both go.
            non_blocking: whether the copy to the device may run beside the CPU's work.
            **kwargs: other arguments of ``Tensor.to`` for the images.
        """
        images = torch.as_tensor(batchdata[self.image_key]).as_subclass(Tensor)
        low, high = images.min().item(), images.max().item()
        if not (low >= -TOLERATED and high <= 1 + TOLERATED):
            raise ValueError(
                f"the images have intensities from {low:.3g} to {high:.3g}, and only those within 0 and 1 can be "
                "deformed and restored: scale them to that by the config's intensity, such as "
                "ScaleIntensityRangePercentilesd with b_min: 0, b_max: 1, clip: true"
            )
        images = images.to(device=device, non_blocking=non_blocking, **kwargs)
        generator = None if self.seed is None else Generator().manual_seed(self.seed)
        pairs = self.augmentation(images, generator)
        return pairs["image"], pairs["target"]
