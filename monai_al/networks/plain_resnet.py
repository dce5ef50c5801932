# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI's ResNets in the layout of torchvision's, without their last layer."""

from __future__ import annotations

from collections.abc import Callable

from monai.networks.nets import ResNet, resnet18, resnet34, resnet50, resnet101

__all__ = ["RESNETS", "plain_resnet"]

RESNETS: dict[str, Callable[..., ResNet]] = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
}


def plain_resnet(name: str, in_channels: int, *, spatial_dims: int = 2, widen_factor: float = 1.0) -> ResNet:
    """A ResNet that weights with the names of torchvision fit.

    K. He et al., "Deep residual learning for image recognition", CVPR 2016. Its output ``(B, F)`` is averaged over the
    image; F is 512, from ``"resnet50"`` on 2048, times the factor of the widths.

    Args:
        name: a key of ``RESNETS``.
        in_channels: channels of the image.
        spatial_dims: 2 or 3.
        widen_factor: factor of all widths.

    Raises:
        KeyError: there is none of that name.

    Example:
        >>> import torch
        >>> plain_resnet("resnet18", 1, widen_factor=0.125)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 64])
    """
    return RESNETS[name](
        spatial_dims=spatial_dims,
        n_input_channels=in_channels,
        widen_factor=widen_factor,
        conv1_t_stride=2,
        feed_forward=False,
        bias_downsample=False,
    )
