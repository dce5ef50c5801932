# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A segmentation loss and the ranking of what a network predicts of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from monai_al.losses.partial import ItemCrossEntropy
from monai_al.losses.ranking import RankingLoss

__all__ = ["LearningLoss"]


class LearningLoss(nn.Module):
    """Any loss, plus the ranking loss between each item's own loss and what the network predicted of it.

    D. Yoo, I. S. Kweon, "Learning loss for active learning", CVPR 2019, equation 1. It takes what a
    :class:`~monai_al.networks.LossPredictor` gives: in training mode logits and predicted losses, in evaluation mode
    logits alone, of which the loss itself is returned.

    Args:
        loss: the segmentation loss, called as ``loss(logits, target)``.
        weight: weight of the ranking loss, at least 0.
        margin: see :class:`~monai_al.losses.RankingLoss`.
        item_loss: gives each item's own loss, without gradient, called like ``loss``; it returns ``(B, ...)``, of which
            the mean of each item counts, as losses with ``reduction="none"`` do. An item of which it is NaN, such as
            one without an annotated pixel, has none and is in no pair. None:
            :class:`~monai_al.losses.ItemCrossEntropy`.

    Raises:
        ValueError: the weight or the margin is negative, the output is neither a tensor nor a pair of two, or
            ``item_loss`` gives no loss per item.

    Example:
        >>> from monai_al.losses import PartialCrossEntropyLoss
        >>> loss = LearningLoss(PartialCrossEntropyLoss(), weight=0.5)
        >>> logits, target = torch.zeros(2, 2, 3, 3), torch.zeros(2, 1, 3, 3)
        >>> round(loss(logits, target).item(), 4)
        0.6931
        >>> round(loss((logits, torch.zeros(2)), target).item(), 4)
        1.1931
    """

    def __init__(
        self,
        loss: Callable[[Tensor, Tensor], Tensor],
        weight: float = 1.0,
        margin: float = 1.0,
        item_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"weight must be at least 0, got {weight}")
        self.loss = loss
        self.weight = weight
        self.ranking = RankingLoss(margin)
        self.item_loss = ItemCrossEntropy() if item_loss is None else item_loss

    def forward(self, output: Tensor | tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            output: logits ``(B, C, *spatial)`` and predicted losses ``(B,)``, or the logits alone.
            target: as the segmentation loss takes it, ``(B, ...)``.

        Returns:
            The segmentation loss, of logits and predicted losses plus the weighted ranking loss.
        """
        if isinstance(output, Tensor):
            return self.loss(output, target)
        if len(output) != 2 or not all(isinstance(part, Tensor) for part in output):
            raise ValueError("output must be the logits, or the logits and the predicted losses, two tensors")
        logits, predicted = output
        true = self._per_item(logits, target)
        known = ~true.isnan()
        return self.loss(logits, target) + self.weight * self.ranking(predicted[known], true[known])

    @torch.no_grad()
    def _per_item(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each item alone, ``(B,)``."""
        losses = self.item_loss(logits.as_subclass(Tensor), target.as_subclass(Tensor))
        if losses.ndim == 0 or len(losses) != len(logits):
            raise ValueError(
                f"item_loss gives {tuple(losses.shape)} for {len(logits)} items, not (B, ...): give it reduction='none'"
            )
        return losses.flatten(1).mean(1) if losses.ndim > 1 else losses
