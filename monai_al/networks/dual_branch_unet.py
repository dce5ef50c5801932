# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A U-Net with a second decoder that is there in training only."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from monai.networks.nets import BasicUNet
from torch import Tensor, nn

__all__ = ["DualBranchUNet"]


class DualBranchUNet(nn.Module):
    """A U-Net, and in training an auxiliary decoder on its encoder's features, of which whole channels are dropped.

    X. Luo et al., "Scribble-supervised medical image segmentation via dual-branch network and dynamically mixed pseudo
    labels supervision", MICCAI 2022. The auxiliary decoder has the layers of the U-Net's own one, but weights of its
    own. It gets the feature maps of all five levels, each after a dropout of channels, so that the two predictions
    differ. In training mode ``forward`` returns both, as :class:`~monai_al.losses.WeakSupervisionLoss` takes them; in
    evaluation mode it is the U-Net, and what the auxiliary decoder holds is not looked at.

    The weights of the U-Net bear its own names after ``network.``, so that :func:`~monai_al.networks.load_pretrained`
    carries them from here to a plain U-Net and back. ``torch.jit.script`` can compile it.

    Args:
        network: becomes the child ``network``: MONAI's ``BasicUNet``, or a
            :class:`~monai_al.networks.LevelDropoutUNet`, in 1D, 2D or 3D.
        feature_dropout: rate of the dropout before the auxiliary decoder, in [0, 1).

    Raises:
        ValueError: the network is no ``BasicUNet``, or the rate is not in [0, 1).

    Example:
        >>> from monai_al.networks import LevelDropoutUNet
        >>> network = DualBranchUNet(LevelDropoutUNet(1, 3, features=(2, 2, 4, 4, 8)))
        >>> [tuple(output.shape) for output in network(torch.zeros(2, 1, 32, 48))]
        [(2, 3, 32, 48), (2, 3, 32, 48)]
        >>> network.eval()(torch.zeros(2, 1, 32, 48)).shape
        torch.Size([2, 3, 32, 48])
    """

    def __init__(self, network: BasicUNet, feature_dropout: float = 0.5) -> None:
        super().__init__()
        if not isinstance(network, BasicUNet):
            raise ValueError(
                "network must be a BasicUNet or a LevelDropoutUNet, whose decoder is known, got "
                f"{type(network).__name__}"
            )
        if not 0 <= feature_dropout < 1:
            raise ValueError(f"feature_dropout must be in [0, 1), got {feature_dropout}")
        self.network = network
        self.feature_dropout = float(feature_dropout)
        self.auxiliary = _Decoder(network)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Logits of a batch; in training mode those of the U-Net and of the auxiliary decoder.

        Args:
            x: ``(B, in_channels, *spatial)``. In training mode the bottleneck's batch norm needs more than one value
                per channel.

        Returns:
            ``(B, out_channels, *spatial)``, in training mode two of them.
        """
        net = self.network
        if not self.training:
            return net(x)
        x0 = net.conv_0(x)
        x1 = net.down_1(x0)
        x2 = net.down_2(x1)
        x3 = net.down_3(x2)
        x4 = net.down_4(x3)
        up = net.upcat_2(net.upcat_3(net.upcat_4(x4, x3), x2), x1)
        main = net.final_conv(net.upcat_1(up, x0))
        rate = self.feature_dropout
        auxiliary = self.auxiliary([_channel_dropout(features, rate) for features in (x0, x1, x2, x3, x4)])
        return main, auxiliary


class _Decoder(nn.Module):
    """Layers like those of a U-Net's decoder, with weights of their own."""

    def __init__(self, network: BasicUNet) -> None:
        super().__init__()
        self.upcat_4 = copy.deepcopy(network.upcat_4)
        self.upcat_3 = copy.deepcopy(network.upcat_3)
        self.upcat_2 = copy.deepcopy(network.upcat_2)
        self.upcat_1 = copy.deepcopy(network.upcat_1)
        self.final_conv = copy.deepcopy(network.final_conv)
        for module in self.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()

    def forward(self, features: list[Tensor]) -> Tensor:
        x0, x1, x2, x3, x4 = features
        up = self.upcat_2(self.upcat_3(self.upcat_4(x4, x3), x2), x1)
        return self.final_conv(self.upcat_1(up, x0))


def _channel_dropout(features: Tensor, rate: float) -> Tensor:
    """Each channel of each image is 0 at this rate, and scaled up otherwise.

    No layer of PyTorch: such a layer would pass for dropout of the U-Net where several predictions of it are made.
    """
    shape = list(features.shape[:2]) + [1] * (features.ndim - 2)
    return features * F.dropout(torch.ones(shape, dtype=features.dtype, device=features.device), rate, training=True)
