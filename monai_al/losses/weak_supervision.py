# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss of a network with two decoders that learns from scribbles."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from monai_al.losses.mixed_pseudo_labels import MixedPseudoLabelLoss
from monai_al.losses.partial import PartialCrossEntropyLoss

__all__ = ["WeakSupervisionLoss"]


class WeakSupervisionLoss(nn.Module):
    """Cross entropy of the annotated pixels, plus the Dice loss of all pixels against mixed pseudo labels.

    X. Luo et al., "Scribble-supervised medical image segmentation via dual-branch network and dynamically mixed pseudo
    labels supervision", MICCAI 2022. With the two predictions p and q, and the second term that of
    :class:`~monai_al.losses.MixedPseudoLabelLoss`::

        (CE(p) + CE(q)) / 2 + pseudo_weight * mixed(p, q)

    The weight is the same over the whole training. It takes what a :class:`~monai_al.networks.DualBranchUNet` gives: in
    training mode two predictions, in evaluation mode one, of which it is the evaluation loss. Where no pixel is
    annotated the cross entropy is 0, and the pseudo labels alone are learned from.

    Args:
        ignore_index: value of a target pixel that is not annotated.
        sigmoid: the logits have one channel, and the classes are 0 and 1.
        pseudo_weight: weight of the second term, at least 0.
        mask_share: share of annotated pixels above which an image has a mask, which takes the place of its pseudo
            labels; see :class:`~monai_al.losses.MixedPseudoLabelLoss`.
        evaluation_loss: the loss of one prediction, called like this one. None: the cross entropy of the annotated
            pixels.

    Raises:
        ValueError: the weight is negative, there are not two predictions, the shapes do not fit, or a target is neither
            a class nor ``ignore_index``.

    Example:
        >>> import torch
        >>> logits, target = torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]])
        >>> loss = WeakSupervisionLoss()
        >>> round(loss(logits, target).item(), 4)  # ln 2
        0.6931
        >>> round(loss((logits, logits), target).item(), 4)  # two of three pixels are annotated: a mask
        0.8685
    """

    def __init__(
        self,
        ignore_index: int = 255,
        *,
        sigmoid: bool = False,
        pseudo_weight: float = 0.5,
        mask_share: float = 0.5,
        evaluation_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not pseudo_weight >= 0:
            raise ValueError(f"pseudo_weight must be at least 0, got {pseudo_weight}")
        self.pseudo_weight = pseudo_weight
        self.cross_entropy = PartialCrossEntropyLoss(ignore_index, sigmoid=sigmoid)
        self.mixed = MixedPseudoLabelLoss(ignore_index, mask_share=mask_share)
        self.evaluation_loss = self.cross_entropy if evaluation_loss is None else evaluation_loss

    def forward(self, output: Tensor | tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            output: two logits ``(B, C, *spatial)``, or one.
            target: classes, integers (or whole floats), ``(B, 1, *spatial)`` or ``(B, *spatial)``.

        Returns:
            A scalar.
        """
        if isinstance(output, Tensor):
            return self.evaluation_loss(output, target)
        if len(output) != 2:
            raise ValueError(f"output must be one prediction, or those of two decoders, got {len(output)} of them")
        main, auxiliary = output
        annotated = (self.cross_entropy(main, target) + self.cross_entropy(auxiliary, target)) / 2
        return annotated + self.pseudo_weight * self.mixed((main, auxiliary), target)
