# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A network where it is trained, in the memory order that is fastest there."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

__all__ = ["placed"]

Network = TypeVar("Network", bound=nn.Module)


def placed(network: Network, device: str | torch.device) -> Network:
    """The network on a device, with the weights of its 2D convolutions in the order channels last.

    Convolutions and what follows them then work in that order, which takes less time and gives the same values, but for
    rounding. What has no weights of four dimensions, such as a 3D network, stays in its order.

    Args:
        network: changed in place, as by ``network.to(device)``.
        device: where to.

    Example:
        >>> network = placed(nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv3d(4, 2, 3)), "cpu")
        >>> [layer.weight.is_contiguous() for layer in network]
        [False, True]
    """
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
