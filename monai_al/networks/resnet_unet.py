# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A U-Net whose encoder is a ResNet of the usual layout, so that pre-trained weights fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from monai.networks.nets import ResNet, ResNetBlock, ResNetBottleneck
from monai.networks.nets.flexible_unet import SegmentationHead, UNetDecoder
from torch import Tensor, nn

__all__ = ["ResNetUNet"]

BLOCKS: dict[str, tuple[type[ResNetBlock | ResNetBottleneck], list[int]]] = {
    "resnet18": (ResNetBlock, [2, 2, 2, 2]),
    "resnet34": (ResNetBlock, [3, 4, 6, 3]),
    "resnet50": (ResNetBottleneck, [3, 4, 6, 3]),
    "resnet101": (ResNetBottleneck, [3, 4, 23, 3]),
}
WIDTHS = [64, 128, 256, 512]
MULTIPLE = 32  # the encoder halves the image five times


class ResNetUNet(nn.Module):
    """A ResNet, and the decoder of MONAI's ``FlexibleUNet`` on its five feature maps.

    K. He et al., "Deep residual learning for image recognition", CVPR 2016; O. Ronneberger, P. Fischer, T. Brox,
    "U-Net", MICCAI 2015. Unlike in ``FlexibleUNet``, every ResNet has the layers of torchvision's, so that
    :func:`~monai_al.networks.load_backbone` can fill it; images of any size are padded at their ends by their border
    up to a multiple of 32, and the output is cropped back; and the widths can be made smaller.

    Layers by name: ``encoder`` (``conv1``, ``bn1``, ``layer1`` to ``layer4``), ``decoder``, ``segmentation_head``.
    ``torch.jit.script`` can compile it.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        backbone: ``"resnet18"``, ``"resnet34"``, ``"resnet50"`` or ``"resnet101"``.
        decoder_channels: widths of the decoder's five levels, from the bottleneck to the image.
        dropout: rate of the dropout after the decoder's convolutions.
        widen_factor: factor of all widths of the encoder; other than 1, only weights of such an encoder fit.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: unknown backbone, or another number of decoder levels.

    Example:
        >>> import torch
        >>> network = ResNetUNet(1, 4, widen_factor=0.125, decoder_channels=(32, 16, 8, 8, 4))
        >>> network(torch.zeros(2, 1, 50, 70)).shape
        torch.Size([2, 4, 50, 70])
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        backbone: str = "resnet50",
        *,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        dropout: float = 0.0,
        widen_factor: float = 1.0,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        if backbone not in BLOCKS:
            raise ValueError(f"backbone must be one of {', '.join(map(repr, BLOCKS))}, got {backbone!r}")
        if len(decoder_channels) != 5:
            raise ValueError(f"decoder_channels must hold the widths of five levels, got {tuple(decoder_channels)}")
        block, layers = BLOCKS[backbone]
        widths = [int(width * widen_factor) for width in WIDTHS]
        self.multiple = MULTIPLE
        self.encoder = _Encoder(
            block,
            layers,
            widths,
            spatial_dims=spatial_dims,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        self.decoder = UNetDecoder(
            spatial_dims=spatial_dims,
            encoder_channels=(in_channels, widths[0], *(width * block.expansion for width in widths)),
            decoder_channels=tuple(decoder_channels),
            act=("relu", {"inplace": True}),
            norm="batch",
            dropout=dropout,
            bias=False,
            upsample="nontrainable",
            pre_conv="default",
            interp_mode="nearest",
            align_corners=None,
            is_pad=False,
        )
        self.segmentation_head = SegmentationHead(spatial_dims, decoder_channels[-1], out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            x: ``(B, in_channels, *spatial)``. In training mode the batch norms need more than one image where the sides
                are of at most 32 pixels.

        Returns:
            ``(B, out_channels, *spatial)``.
        """
        size = x.shape[2:]
        pads: list[int] = []
        for length in size:
            pads = [0, -length % self.multiple] + pads
        if max(pads) > 0:
            x = F.pad(x, pads, mode="replicate")
        x = self.segmentation_head(self.decoder(self.encoder(x), 4))
        for dim, length in enumerate(size):
            x = x.narrow(dim + 2, 0, length)
        return x


class _Encoder(ResNet):
    """MONAI's ResNet, with what it finds at five scales as output."""

    def forward(self, x: Tensor) -> list[Tensor]:  # type: ignore[override]
        first = self.act(self.bn1(self.conv1(x)))
        second = self.layer1(self.maxpool(first))
        third = self.layer2(second)
        fourth = self.layer3(third)
        return [first, second, third, fourth, self.layer4(fourth)]
