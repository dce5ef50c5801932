# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss of a network that restores deformed images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["RestorationLoss"]


class RestorationLoss(nn.Module):
    """Mean squared error between the sigmoid of a network's outputs and the images that it is to restore.

    Z. Zhao et al., "Self-supervised assisted active learning for skin lesion segmentation" (SAAL), EMBC 2022,
    equation 1, as a mean over images and pixels instead of a sum. The network itself has no activation at its end, so
    that it is the segmentation network but for its number of output channels.

    Example:
        >>> import torch
        >>> loss = RestorationLoss()(torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8))
        >>> loss.item()
        0.25
    """

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            pred: outputs ``(B, C, *spatial)``, before the sigmoid.
            target: images of the same shape, intensities in [0, 1].

        Raises:
            ValueError: the shapes differ.
        """
        if pred.shape != target.shape:
            raise ValueError(
                f"the network gives {tuple(pred.shape)} for images {tuple(target.shape)}: to restore them it needs as "
                "many output channels as the image has"
            )
        return functional.mse_loss(pred.sigmoid(), target)
