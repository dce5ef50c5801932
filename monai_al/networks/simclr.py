# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An encoder with a projection head, for contrastive training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from monai_al.networks.plain_resnet import plain_resnet

__all__ = ["SimCLR"]

BACKBONES = ("resnet18", "resnet34", "resnet50")


class SimCLR(nn.Module):
    """A ResNet and a projection head: train the projections, then use the features.

    T. Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020; the head is that
    of A. Vepa et al., NeurIPS 2024, arXiv:2411.15763, in their code: linear layers without bias, ReLU between them.

    The layer ``encoder`` gives the features ``(B, F)``, averaged over the image; its parameters bear torchvision's
    names, so that its weights can be loaded (the first convolution needs their number of channels). ``head`` turns them
    into projections.

    Args:
        in_channels: channels of the image.
        spatial_dims: 2 or 3.
        backbone: ``"resnet18"``, ``"resnet34"`` or ``"resnet50"``; F is 512, for the last one 2048.
        widen_factor: factor of all widths of the encoder, F included; 0.25 or 0.5 makes it fast without a GPU.
        projection: widths of the head's layers; the last one is D.

    Raises:
        ValueError: unknown backbone, or no width.

    Example:
        >>> import torch
        >>> network = SimCLR(widen_factor=0.25, projection=(32, 16))
        >>> images = torch.zeros(2, 1, 64, 64)
        >>> network(images).shape, network.encode(images).shape
        (torch.Size([2, 16]), torch.Size([2, 128]))
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        spatial_dims: int = 2,
        backbone: str = "resnet18",
        widen_factor: float = 1.0,
        projection: Sequence[int] = (512, 64),
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"backbone must be one of {', '.join(map(repr, BACKBONES))}, got {backbone!r}")
        if not projection:
            raise ValueError("projection must hold at least one width, such as (512, 64)")
        self.encoder = plain_resnet(backbone, in_channels, spatial_dims=spatial_dims, widen_factor=widen_factor)
        self.head = nn.Sequential()
        for width, out in pairwise([self.encoder.in_planes, *projection]):
            if len(self.head):
                self.head.append(nn.ReLU())
            self.head.append(nn.Linear(width, out, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Projections of a batch.

        Args:
            x: ``(B, in_channels, *spatial)``. In training mode the batch norms need more than one image where the
                sides are of at most 32 pixels.

        Returns:
            ``(B, D)``.
        """
        return self.head(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Features of a batch, ``(B, F)``."""
        return self.encoder(x)
