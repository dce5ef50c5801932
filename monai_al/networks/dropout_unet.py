# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A U-Net with dropout between its levels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
import torch.nn.functional as F
from monai.networks.blocks import Convolution, UpSample
from monai.networks.layers.factories import Dropout, Pool
from torch import Tensor, nn

__all__ = ["DropoutUNet"]

PLACES = ("pool", "concat")


class DropoutUNet(nn.Module):
    """The U-Net that the stochastic batches were tried with: dropout after each pooling and each concatenation.

    M. Gaillochet, C. Desrosiers, H. Lombaert, "Active learning for medical image segmentation with stochastic batches",
    2023, arXiv:2301.07670; the widths within a block are those of their code. O. Ronneberger, P. Fischer, T. Brox,
    "U-Net", MICCAI 2015.

    Each block is two 3x3 convolutions, each with batch norm and LeakyReLU; max pooling leads down, a transposed
    convolution up. Images of any size are padded at their ends by their border up to a multiple of ``2 ** levels``
    below the first, and the output is cropped back. Layers by name, for L levels: ``encoder_1`` to ``encoder_<L-1>``,
    ``bottleneck``, ``decoder_<L-1>`` to ``decoder_1``, ``head``. ``torch.jit.script`` can compile it.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        channels: width of each level, the bottleneck last; the image's first convolution has half the first width.
        dropout: rate of the dropout, in [0, 1); it drops single values. With 0 there are no dropout layers.
        dropout_in: where there is dropout: after each ``"pool"``, after each ``"concat"``, or both.
        spatial_dims: 1, 2 or 3.

    Raises:
        ValueError: there are fewer than two levels, the rate is not in [0, 1), or ``dropout_in`` names another place.

    Example:
        >>> network = DropoutUNet(in_channels=1, out_channels=3, channels=(4, 8, 16))
        >>> network(torch.zeros(2, 1, 50, 37)).shape
        torch.Size([2, 3, 50, 37])
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        channels: Sequence[int] = (64, 128, 256, 512),
        dropout: float = 0.5,
        dropout_in: Collection[str] = PLACES,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        _check(channels, dropout, dropout_in)
        after = {place: dropout if place in dropout_in else 0.0 for place in PLACES}
        below = len(channels) - 1
        self.levels = len(channels)
        self.multiple = 2**below
        first = (in_channels, max(channels[0] // 2, 1), channels[0])
        self.add_module("encoder_1", _Encoder(spatial_dims, *first, pool=False, dropout=0.0))
        for level in range(1, below + 1):
            widths = (channels[level - 1], channels[level - 1], channels[level])
            name = "bottleneck" if level == below else f"encoder_{level + 1}"
            self.add_module(name, _Encoder(spatial_dims, *widths, pool=True, dropout=after["pool"]))
        for level in range(below, 0, -1):
            decoder = _Decoder(spatial_dims, channels[level], channels[level - 1], dropout=after["concat"])
            self.add_module(f"decoder_{level}", decoder)
        self.add_module("head", _Head(spatial_dims, channels[0], out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            x: ``(B, in_channels, *spatial)``, each side of at least 1 pixel. In training mode the bottleneck's batch
                norm needs more than one value per channel.

        Returns:
            ``(B, out_channels, *spatial)``.
        """
        size = x.shape[2:]
        x = _padded(x, self.multiple)
        kept: list[Tensor] = []
        for number, stage in enumerate(self.children()):
            if number < self.levels:
                x = stage(x, x)
                kept.append(x)
            else:  # on the way up, past the bottleneck's own features
                x = stage(x, kept[max(2 * self.levels - 2 - number, 0)])
        for dim, length in enumerate(size):
            x = x.narrow(dim + 2, 0, length)
        return x


class _Encoder(nn.Module):
    """Halve the image, unless it is the first level, and convolve it."""

    def __init__(self, dims: int, width: int, middle: int, out: int, *, pool: bool, dropout: float) -> None:
        super().__init__()
        self.pool = Pool[Pool.MAX, dims](2) if pool else nn.Identity()
        self.dropout = _dropout(dropout)
        self.convs = _two_convolutions(dims, width, middle, out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.convs(self.dropout(self.pool(x)))


class _Decoder(nn.Module):
    """Double the image, put the encoder's features of that size beside it, and convolve both."""

    def __init__(self, dims: int, width: int, out: int, *, dropout: float) -> None:
        super().__init__()
        self.up = UpSample(dims, width, width, 2, mode="deconv")
        self.dropout = _dropout(dropout)
        self.convs = _two_convolutions(dims, width + out, out, out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.convs(self.dropout(torch.cat([skip, self.up(x)], dim=1)))


class _Head(nn.Module):
    """The last convolution, called like the other stages."""

    def __init__(self, dims: int, width: int, out: int) -> None:
        super().__init__()
        self.conv = Convolution(dims, width, out, kernel_size=1, conv_only=True)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(x)


def _two_convolutions(dims: int, width: int, middle: int, out: int) -> nn.Sequential:
    act = ("leakyrelu", {"inplace": True})
    return nn.Sequential(
        Convolution(dims, width, middle, act=act, norm="batch"), Convolution(dims, middle, out, act=act, norm="batch")
    )


def _dropout(rate: float) -> nn.Module:
    return Dropout[Dropout.DROPOUT, 1](rate) if rate else nn.Identity()


def _padded(x: Tensor, multiple: int) -> Tensor:
    """The image, repeated at the end of each side up to a multiple."""
    pads: list[int] = []
    for length in x.shape[2:]:
        pads = [0, -length % multiple] + pads
    return F.pad(x, pads, mode="replicate") if max(pads) > 0 else x


def _check(channels: Sequence[int], dropout: float, dropout_in: Collection[str]) -> None:
    if len(channels) < 2:
        raise ValueError(f"channels must hold the widths of at least two levels, got {tuple(channels)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    wrong = [dropout_in] if isinstance(dropout_in, str) else [place for place in dropout_in if place not in PLACES]
    if wrong:
        raise ValueError(f"dropout_in must be a list of {' and '.join(map(repr, PLACES))}, got {wrong[0]!r}")
