# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss that teaches a network which of two items has the higher loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["RankingLoss"]


class RankingLoss(nn.Module):
    """Compares predicted losses in pairs; only their order counts.

    D. Yoo, I. S. Kweon, "Learning loss for active learning", CVPR 2019, equation 2, as a mean over the pairs::

        (1/m) * sum of max(0, -sign(l_a - l_b) * (p_a - p_b) + margin)

    with the true losses l and the predicted losses p of items 0 and 1, 2 and 3, and so on. The last of an odd number of
    items is left out. A pair of equal true losses gives the margin, and no gradient.

    Args:
        margin: how far apart two predictions must be, at least 0. With 0 a constant prediction is already optimal.

    Raises:
        ValueError: the margin is negative, or the shapes do not fit.

    Example:
        >>> RankingLoss()(torch.tensor([0.0, 0.25, 3.0, 1.0]), torch.tensor([2.0, 1.0, 5.0, 4.0])).item()
        0.625
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        if not margin >= 0:
            raise ValueError(f"margin must be at least 0, got {margin}")
        self.margin = margin

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            predicted: predicted losses ``(B,)``.
            true: true losses ``(B,)``; no gradient flows into them.

        Returns:
            A scalar; 0, with a graph, for fewer than two items.
        """
        if predicted.ndim != 1 or predicted.shape != true.shape:
            raise ValueError(
                f"predicted and true losses must both have the shape (B,), got {tuple(predicted.shape)} and "
                f"{tuple(true.shape)}"
            )
        pairs = len(predicted) // 2
        differences = _differences(true.detach(), pairs)
        order = torch.where(differences.isnan(), differences, differences.sign())  # the sign of NaN is 0 in PyTorch
        hinges = torch.clamp(self.margin - order * _differences(predicted, pairs), min=0)
        return hinges.sum() / max(pairs, 1)


def _differences(values: Tensor, pairs: int) -> Tensor:
    """First minus second of each pair, ``(pairs,)``."""
    return values[: 2 * pairs : 2] - values[1::2]
