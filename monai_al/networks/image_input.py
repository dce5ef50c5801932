# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network that was trained elsewhere expects of images: channels, values and size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ImageInput"]

TOLERANCE = 1e-3  # of interpolated values beyond 0 and 1
MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


class ImageInput(nn.Module):
    """Brings images to the channels, values and size that a network was trained with.

    Values of 0 to 1 become ``(value - mean) / std``, channel by channel. Images of one channel are taken for grey and
    repeated. It has no weights.

    Args:
        mean: of each channel, in units of values of 0 to 1.
        std: standard deviation of each channel, in the same units.
        value_range: the values of the images that become 0 and 1; what lies beyond is cut off. None: they are in 0 to 1
            as they are, and anything else is refused.
        size: pixels of each side, linearly resampled; None leaves the images as they are.
        spatial_dims: dimensions of the images that the network takes; None: any.

    Raises:
        ValueError: mean and std are not equally long, or cannot be used; the message names the option.

    Example:
        >>> image = torch.full((2, 1, 8, 8), 0.5)
        >>> prepared = ImageInput([0.5, 0.4, 0.3], [0.1, 0.1, 0.1], size=[4, 4])(image)
        >>> prepared.shape, [round(v, 2) for v in prepared[0, :, 0, 0].tolist()]
        (torch.Size([2, 3, 4, 4]), [0.0, 1.0, 2.0])
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        value_range: Sequence[float] | None = None,
        size: Sequence[int] | None = None,
        spatial_dims: int | None = None,
    ) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean:
            raise ValueError(
                f"--encoder_mean holds {len(mean)} numbers and --encoder_std {len(std)}: give one a channel"
            )
        if not all(value > 0 for value in std):
            raise ValueError(f"--encoder_std must hold numbers above 0, got {list(std)}")
        if value_range is not None and not value_range[0] < value_range[1]:
            raise ValueError(f"--encoder_range must hold the lower number first, got {list(value_range)}")
        self.value_range = None if value_range is None else (float(value_range[0]), float(value_range[1]))
        self.spatial_dims = spatial_dims
        self.size = None if size is None else [int(length) for length in size]
        self.register_buffer("mean", torch.tensor([float(value) for value in mean]), persistent=False)
        self.register_buffer("std", torch.tensor([float(value) for value in std]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Prepare a batch.

        Args:
            x: ``(B, C, *spatial)``; C is 1 or the number of means, M.

        Returns:
            ``(B, M, *size)``.

        Raises:
            ValueError: the images have other channels, values or dimensions; the message says which option to change.
        """
        channels, dims = len(self.mean), x.ndim - 2
        if self.spatial_dims not in (None, dims):
            raise ValueError(
                f"the images have {dims} dimensions, but the encoder's network takes {self.spatial_dims}: give one for "
                "these, and its weights, by --encoder_network and --encoder_file"
            )
        if x.shape[1] not in (1, channels):
            raise ValueError(
                f"the images have {x.shape[1]} channels, but the encoder takes {channels}: give as many numbers in "
                "--encoder_mean and --encoder_std as the file's network has channels; where that is 1, --colours grey"
            )
        if self.size is not None and len(self.size) != dims:
            raise ValueError(f"--encoder_size holds {len(self.size)} numbers, but the images have {dims} dimensions")
        x = self._of_unit_range(x)
        if self.size is not None and list(x.shape[2:]) != self.size:
            x = F.interpolate(x, size=self.size, mode=MODES[dims], align_corners=False, antialias=dims == 2)
        shape = (1, channels, *[1] * dims)
        return (x - self.mean.view(shape)) / self.std.view(shape)

    def _of_unit_range(self, x: Tensor) -> Tensor:
        if self.value_range is not None:
            low, high = self.value_range
            return ((x - low) / (high - low)).clamp(0, 1)
        smallest, largest = x.amin().item(), x.amax().item()
        if not (smallest >= -TOLERANCE and largest <= 1 + TOLERANCE):
            raise ValueError(
                f"an encoder from a file takes images of values of 0 to 1, but these go from {smallest:g} to "
                f"{largest:g}: give the two values that become 0 and 1 by --encoder_range"
            )
        return x
