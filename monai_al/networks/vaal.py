# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An auto-encoder, and a discriminator that tells labeled from unlabeled images by their latent code."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import FullyConnectedNet, VarAutoEncoder
from torch import Tensor, nn

__all__ = ["VAALNetwork"]


class VAALNetwork(nn.Module):
    """A variational auto-encoder, and a discriminator on the mean of its latent code.

    S. Sinha, S. Ebrahimi, T. Darrell, "Variational adversarial active learning", ICCV 2019, section 3. Both are MONAI's
    networks: each level of the encoder halves the image, and the discriminator has hidden layers with ReLU.

    Args:
        image_shape: ``(C, *spatial)`` of an image.
        latent: length of the latent code.
        channels: of the encoder's levels; the decoder mirrors them.
        hidden: widths of the discriminator's hidden layers.

    Raises:
        ValueError: the spatial size cannot be halved as often as there are levels.

    Example:
        >>> import torch
        >>> network = VAALNetwork((1, 16, 16), latent=4, channels=(4, 8), hidden=(10,))
        >>> [tuple(part.shape) for part in network(torch.zeros(3, 1, 16, 16))]
        [(3, 1, 16, 16), (3, 4), (3, 4), (3,)]
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent: int = 32,
        channels: Sequence[int] = (8, 16, 32, 64),
        hidden: Sequence[int] = (512, 512),
    ) -> None:
        super().__init__()
        spatial, levels = image_shape[1:], len(channels)
        if levels == 0 or any(size % 2**levels for size in spatial):
            raise ValueError(
                f"an image of size {tuple(spatial)} cannot be halved {levels} times, once for each of the channels "
                f"{tuple(channels)}: give sizes divisible by {2**levels}, or other channels"
            )
        self.autoencoder = VarAutoEncoder(
            spatial_dims=len(spatial),
            in_shape=tuple(image_shape),
            out_channels=image_shape[0],
            latent_size=latent,
            channels=tuple(channels),
            strides=(2,) * levels,
            norm="batch",
            use_sigmoid=False,
        )
        self.discriminator = FullyConnectedNet(latent, 1, tuple(hidden), act="relu")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reconstruction ``(B, C, *spatial)``, mean and log-variance ``(B, latent)``, and the logit ``(B,)``.

        The logit is that of an image being labeled. In training mode the reconstruction is that of a drawn code.

        Args:
            images: ``(B, C, *spatial)``.
        """
        reconstruction, mean, log_variance, _ = self.autoencoder(images)
        return reconstruction, mean, log_variance, self.discriminator(mean)[:, 0]

    def encode(self, images: Tensor) -> Tensor:
        """Mean of the latent code ``(B, latent)``.

        Args:
            images: ``(B, C, *spatial)``.
        """
        return self.autoencoder.encode_forward(images)[0]
