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


class RestorationBatch(PrepareBatch):
    """Turn a batch of images into deformed images and the images that they were.

    Give it to a ``SupervisedTrainer``, or an evaluator, as ``prepare_batch``; see
    :class:`~monai_al.transforms.RestorationAugmentation`. The deformations are computed on the engine's device.

    Intensities beyond [0, 1], of images that are normalised otherwise, are scaled into it, image by image, to be
    deformed: such an image's deformed one has its range again, so that the network sees images as it will when it
    segments, and its target stays scaled.

    Args:
        augmentation: the probabilities and sizes; None: the defaults.
        seed: every batch is deformed by the same draws, so that losses of different epochs can be compared; None: by
            draws of torch's global generator.
        image_key: the images in the batch.

    Raises:
        ValueError: in a call: an image is not finite.

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
        images = images.to(device=device, non_blocking=non_blocking, **kwargs)
        low, span = _ranges(images)
        generator = None if self.seed is None else Generator().manual_seed(self.seed)
        pairs = self.augmentation((images - low) / span, generator)
        return pairs["image"] * span + low, pairs["target"]


def _ranges(images: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest intensity of each image and how far the highest is above it, at least 0 and 1, ``(B, 1, ...)``."""
    flat = images.flatten(1)
    low, high = flat.amin(1).clamp(max=0), flat.amax(1).clamp(min=1)
    if not bool((low.isfinite() & high.isfinite()).all()):
        raise ValueError(
            "an image has intensities that are not finite, and cannot be deformed: look for NaN in the files"
        )
    shape = (-1, *[1] * (images.ndim - 1))
    return low.view(shape), (high - low).view(shape)
