# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors on which the parts of a workflow are tried."""

from __future__ import annotations

import torch
from monai.utils import convert_to_tensor
from torch import Tensor

__all__ = ["CHANNELS", "ITEMS", "SPATIAL", "plain", "random_logits", "same"]

SPATIAL = ((8, 8), (4, 4, 4))
ITEMS = 3  # of a batch
CHANNELS = (2, 3, 1)


def random_logits(*shape: int) -> Tensor:
    """The same ones each time."""
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def plain(output: object) -> Tensor:
    """Any array as a tensor on the CPU."""
    return convert_to_tensor(output, dtype=torch.float32, device="cpu", track_meta=False)


def same(first: Tensor, second: Tensor) -> bool:
    """Equal but for rounding."""
    return first.shape == second.shape and torch.allclose(first, second, rtol=1e-5, atol=1e-5)
