# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss by which two predictions of one image learn from their random mixture."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn

__all__ = ["MixedPseudoLabelLoss"]

SMOOTH = 1e-5


class MixedPseudoLabelLoss(nn.Module):
    """Dice loss of two predictions against the classes that their random mixture says.

    X. Luo et al., "Scribble-supervised medical image segmentation via dual-branch network and dynamically mixed pseudo
    labels supervision", MICCAI 2022. With the probabilities p and q of the two predictions::

        y = arg max over classes of (a * p + (1 - a) * q)        loss = (Dice(p, y) + Dice(q, y)) / 2

    a is uniform in (0, 1), drawn for each call from torch's generator of the CPU. No gradient flows into y. The Dice
    loss is the mean over all classes, the background included, with squared sizes and a smoothing of 1e-5, summed over
    the batch before dividing, or image by image. One channel stands for two classes, of probabilities 1 - p and p.

    The method is made for scribbles: in an image with few annotated pixels y is what the mixture says, on the
    scribbles, too. An image most of whose pixels are annotated has a mask, and little is to be guessed: there y is the
    annotation, and what the mixture says at the rest alone, such as the corners that a rotation left open. So scribbles
    and masks may share a batch.

    Args:
        ignore_index: value of a target pixel that is not annotated.
        mask_share: share of annotated pixels above which an image has a mask. With 1 no image has: all are treated as
            if they had scribbles.
        batch: sum over the batch before dividing.

    Raises:
        ValueError: the share is not in [0, 1], or the shapes do not fit.

    Example:
        >>> sure, unsure = torch.tensor([[[[9.0, -9.0]]]]), torch.tensor([[[[0.1, -0.1]]]])
        >>> nothing = torch.tensor([[[[255, 255]]]])
        >>> loss = MixedPseudoLabelLoss()
        >>> round(loss((sure, sure), nothing).item(), 3), round(loss((sure, unsure), nothing).item(), 3)
        (0.0, 0.15)
    """

    def __init__(self, ignore_index: int = 255, *, mask_share: float = 0.5, batch: bool = True) -> None:
        super().__init__()
        if not 0 <= mask_share <= 1:
            raise ValueError(f"mask_share must be in [0, 1], got {mask_share}")
        self.ignore_index = ignore_index
        self.mask_share = mask_share
        self.dice = DiceLoss(to_onehot_y=True, squared_pred=True, smooth_nr=SMOOTH, smooth_dr=SMOOTH, batch=batch)

    def forward(self, outputs: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            outputs: two logits ``(B, C, *spatial)``.
            target: classes, integers (or whole floats), ``(B, 1, *spatial)`` or ``(B, *spatial)``.

        Returns:
            A scalar between 0 and 1.
        """
        first, second = (_probabilities(logits) for logits in outputs)
        annotation = _annotation(first, second, target)
        share = torch.rand(())
        pseudo = (share * first.detach() + (1 - share) * second.detach()).argmax(1, keepdim=True)
        annotated = annotation != self.ignore_index
        masked = annotated.flatten(1).float().mean(1) > self.mask_share
        pseudo = torch.where(annotated & masked.view(-1, *[1] * (annotation.ndim - 1)), annotation, pseudo)
        return (self.dice(first, pseudo) + self.dice(second, pseudo)) / 2


def _probabilities(logits: Tensor) -> Tensor:
    """Of all classes, background first, in float32 or more."""
    logits = logits.as_subclass(Tensor)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.shape[1] > 1:
        return logits.softmax(1)
    return torch.cat([(-logits).sigmoid(), logits.sigmoid()], dim=1)


def _annotation(first: Tensor, second: Tensor, target: Tensor) -> Tensor:
    """The target as int64 ``(B, 1, *spatial)``; refuses shapes that do not fit."""
    if first.shape != second.shape:
        raise ValueError(f"both outputs must have one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
    target = target.as_subclass(Tensor)
    if target.ndim == first.ndim - 1:
        target = target.unsqueeze(1)
    if target.shape != (len(first), 1, *first.shape[2:]):
        raise ValueError(
            f"target of shape {tuple(target.shape)} does not fit outputs of shape {tuple(first.shape)}: expected "
            "(B, 1, *spatial) or (B, *spatial)"
        )
    return target.long()
