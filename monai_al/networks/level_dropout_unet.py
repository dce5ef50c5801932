# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI's ``BasicUNet`` with a rate of dropout for each level of its encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monai.networks.nets import BasicUNet

__all__ = ["LevelDropoutUNet"]

LEVELS = 5


class LevelDropoutUNet(BasicUNet):
    """A U-Net of five levels with dropout in its encoder alone, more of it the deeper the level.

    S. Vepa et al., "Integrating Deep Metric Learning with Coreset for Active Learning in 3D Segmentation", NeurIPS
    2024, arXiv:2411.15763, take such a network: two 3x3 convolutions per level, each with batch norm and LeakyReLU;
    max pooling leads down, linear interpolation and a 1x1 convolution up. One dropout layer stands between the two
    convolutions of each encoder level and drops single values.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        features: width of each of the five levels, the bottleneck last.
        dropout: rate of each level, in [0, 1).
        spatial_dims: 1, 2 or 3.
        **options: further ones of ``BasicUNet``, such as ``upsample="deconv"``.

    Raises:
        ValueError: there are not five widths or not five rates, or a rate is not in [0, 1).

    Example:
        >>> network = LevelDropoutUNet(features=(2, 2, 4, 4, 8))
        >>> [module.p for module in network.modules() if getattr(module, "p", 0) > 0]
        [0.05, 0.1, 0.2, 0.3, 0.5]
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        features: Sequence[int] = (16, 32, 64, 128, 256),
        dropout: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5),
        spatial_dims: int = 2,
        **options: Any,
    ) -> None:
        _check(features, dropout)
        layers: dict[str, Any] = {"act": "LeakyReLU", "norm": "BATCH", "upsample": "nontrainable", **options}
        super().__init__(spatial_dims, in_channels, out_channels, (*features, features[0]), dropout=0.0, **layers)
        encoder: list[Any] = [
            self.conv_0,
            *(down.convs for down in (self.down_1, self.down_2, self.down_3, self.down_4)),
        ]
        for level, rate in zip(encoder, dropout, strict=True):
            level.conv_0.adn.D.p = float(rate)


def _check(features: Sequence[int], dropout: Sequence[float]) -> None:
    for name, values in (("features", features), ("dropout", dropout)):
        if isinstance(values, (str, float, int)) or len(values) != LEVELS:
            raise ValueError(f"{name} must hold {LEVELS} values, one for each level, got {values!r}")
    wrong = [rate for rate in dropout if not 0 <= rate < 1]
    if wrong:
        raise ValueError(f"dropout must be in [0, 1) at each level, got {wrong[0]}")
