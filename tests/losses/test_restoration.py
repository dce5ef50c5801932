# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from monai_al.losses import RestorationLoss


def slow(pred, target):
    """Pixel by pixel."""
    pairs = list(zip(pred.flatten().tolist(), target.flatten().tolist(), strict=True))
    return sum((1 / (1 + math.exp(-logit)) - value) ** 2 for logit, value in pairs) / len(pairs)


@pytest.mark.parametrize("shape", [(1, 1, 4, 5), (3, 2, 7, 3), (2, 1, 3, 4, 5)])
def test_as_by_hand(shape):
    generator = torch.Generator().manual_seed(0)
    pred, target = 3 * torch.randn(shape, generator=generator), torch.rand(shape, generator=generator)
    assert RestorationLoss()(pred, target).item() == pytest.approx(slow(pred, target), rel=1e-5)


def test_dark_images_can_be_restored():
    """With a second sigmoid no output is below 0.5, and the loss not below 0.16."""
    target, output = torch.full((1, 1, 8, 8), 0.1), torch.nn.Parameter(torch.zeros(1, 1, 8, 8))
    optimizer, loss = torch.optim.Adam([output], lr=0.1), RestorationLoss()
    for _ in range(200):
        optimizer.zero_grad()
        loss(output, target).backward()
        optimizer.step()
    assert loss(output, target).item() < 1e-5
    assert loss(output.sigmoid(), target).item() > 0.16


def test_another_number_of_channels_is_refused():
    message = r"the network gives \(2, 3, 8, 8\) for images \(2, 1, 8, 8\): to restore them it needs as many output"
    with pytest.raises(ValueError, match=message):
        RestorationLoss()(torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8))
