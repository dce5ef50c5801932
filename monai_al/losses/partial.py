# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation losses over the annotated pixels only, for scribbles and half-annotated slices.

Why not MONAI's own: ``DiceCELoss`` has no ``ignore_index``, and ``MaskedLoss`` turns a masked pixel into logit 0 of
class 0, which a softmax still counts. ``DiceLoss(ignore_index=...)`` is right and is used here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import nn

__all__ = ["ItemCrossEntropy", "PartialCrossEntropyLoss", "PartialDiceCELoss"]


class PartialCrossEntropyLoss(nn.Module):
    """Mean cross entropy of the annotated pixels; 0, with a graph, where no pixel is annotated.

    Args:
        ignore_index: value of a target pixel that is not annotated.
        sigmoid: the logits have one channel, and the classes are 0 and 1 (binary cross entropy).

    Raises:
        ValueError: the shapes do not fit, or a target is neither a class nor ``ignore_index``.

    Example:
        >>> logits, target = torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]])
        >>> round(PartialCrossEntropyLoss()(logits, target).item(), 4)  # ln 2
        0.6931
    """

    def __init__(self, ignore_index: int = 255, *, sigmoid: bool = False) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.sigmoid = sigmoid

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of one batch.

        Args:
            logits: ``(B, C, *spatial)``.
            target: classes, integers (or whole floats), ``(B, 1, *spatial)`` or ``(B, *spatial)``.

        Returns:
            A scalar in nats.
        """
        labels = _labels(logits, target, ignore_index=self.ignore_index, sigmoid=self.sigmoid)
        return self._mean(logits, labels)

    def _mean(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the annotated ones of the checked labels ``(B, 1, *spatial)``."""
        annotated = labels != self.ignore_index
        if self.sigmoid:
            truth = torch.where(annotated, labels, 0).to(logits.dtype)
            total = F.binary_cross_entropy_with_logits(
                logits, truth, weight=annotated.to(logits.dtype), reduction="sum"
            )
        else:
            total = F.cross_entropy(logits, labels[:, 0], ignore_index=self.ignore_index, reduction="sum")
        return total / annotated.sum().clamp(min=1)


class ItemCrossEntropy(nn.Module):
    """Cross entropy of each item by itself: the mean over its annotated pixels; NaN where it has none.

    Unlike a Dice loss, which counts a class that an item does not show as missed, it orders the items by how wrong the
    network is on them: a perfect empty slice has none. The kind of the output is read off the shapes: several channels
    and one channel of classes, a softmax; one channel, a sigmoid; as many masks as channels, sigmoids that may overlap,
    of which it is the mean.

    Args:
        ignore_index: value of a target pixel that is not annotated.

    Raises:
        ValueError: the shapes do not fit, or a target is neither a class nor ``ignore_index``.

    Example:
        >>> logits = torch.tensor([[[9.0, 9.0]], [[0.0, 9.0]], [[0.0, 0.0]]])
        >>> target = torch.tensor([[[1, 1]], [[1, 255]], [[255, 255]]])
        >>> ItemCrossEntropy()(logits, target)
        tensor([1.2340e-04, 6.9315e-01,        nan])
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The losses of one batch.

        Args:
            logits: ``(B, C, *spatial)``.
            target: classes, integers (or whole floats), ``(B, 1, *spatial)`` or ``(B, *spatial)``; or overlapping masks
                of 0 and 1, ``(B, C, *spatial)``.

        Returns:
            ``(B,)``, in nats.
        """
        items = len(logits)
        if target.shape == logits.shape:  # each mask by itself
            logits, target = (part.flatten(0, 1).unsqueeze(1) for part in (logits, target))
        sigmoid = logits.shape[1] == 1
        labels = _labels(logits, target, ignore_index=self.ignore_index, sigmoid=sigmoid)
        annotated = labels != self.ignore_index
        if sigmoid:
            truth = torch.where(annotated, labels, 0).to(logits.dtype)
            losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * annotated
        else:
            losses = F.cross_entropy(logits, labels[:, 0], ignore_index=self.ignore_index, reduction="none")
        return losses.reshape(items, -1).sum(1) / annotated.reshape(items, -1).sum(1)


class PartialDiceCELoss(nn.Module):
    """Dice loss plus cross entropy, both over the annotated pixels only.

    Equals MONAI's ``DiceCELoss`` where every pixel is annotated. Where none is, it is 0 with a graph.

    Args:
        ignore_index: value of a target pixel that is not annotated.
        include_background: whether class 0 has a share in the Dice loss (ignored for one channel).
        sigmoid: the logits have one channel, and the classes are 0 and 1.
        batch: sum the intersections and sizes over the batch before dividing, as in MONAI.
        lambda_dice: weight of the Dice loss, at least 0.
        lambda_ce: weight of the cross entropy, at least 0.

    Raises:
        ValueError: a weight is negative, the shapes do not fit, or a target is neither a class nor ``ignore_index``.

    Example:
        >>> logits = torch.tensor([[[[9.0, -9.0, 0.0]], [[-9.0, 9.0, 0.0]]]])
        >>> target = torch.tensor([[[[0, 1, 255]]]])
        >>> round(PartialDiceCELoss()(logits, target).item(), 4)
        0.0
    """

    def __init__(
        self,
        ignore_index: int = 255,
        *,
        include_background: bool = True,
        sigmoid: bool = False,
        batch: bool = False,
        lambda_dice: float = 1.0,
        lambda_ce: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value in (("lambda_dice", lambda_dice), ("lambda_ce", lambda_ce)):
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        self.lambda_dice = lambda_dice
        self.lambda_ce = lambda_ce
        self.cross_entropy = PartialCrossEntropyLoss(ignore_index, sigmoid=sigmoid)
        self.dice = DiceLoss(
            include_background=include_background or sigmoid,
            to_onehot_y=not sigmoid,
            sigmoid=sigmoid,
            softmax=not sigmoid,
            batch=batch,
            ignore_index=ignore_index,
        )

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of one batch.

        Args:
            logits: ``(B, C, *spatial)``.
            target: classes, integers (or whole floats), ``(B, 1, *spatial)`` or ``(B, *spatial)``.

        Returns:
            A scalar.
        """
        ce = self.cross_entropy
        labels = _labels(logits, target, ignore_index=ce.ignore_index, sigmoid=ce.sigmoid)
        return self.lambda_dice * self.dice(logits, labels) + self.lambda_ce * ce._mean(logits, labels)


def _labels(logits: torch.Tensor, target: torch.Tensor, *, ignore_index: int, sigmoid: bool) -> torch.Tensor:
    """The target as int64 ``(B, 1, *spatial)``, after all checks."""
    channels = logits.shape[1]
    if sigmoid != (channels == 1):
        hint = "sigmoid=True takes logits of one channel" if sigmoid else "logits of one channel need sigmoid=True"
        raise ValueError(f"{hint}, got {channels} channels")
    if target.ndim == logits.ndim - 1:
        target = target.unsqueeze(1)
    if target.shape != (len(logits), 1, *logits.shape[2:]):
        raise ValueError(
            f"target of shape {tuple(target.shape)} does not fit logits of shape {tuple(logits.shape)}: expected "
            "(B, 1, *spatial) or (B, *spatial)"
        )
    labels = target.long()
    n_classes = max(channels, 2)
    wrong = ((labels < 0) | (labels >= n_classes)) & (labels != ignore_index)
    if target.is_floating_point():
        wrong |= labels != target
    if wrong.any():
        raise ValueError(
            f"target holds the value {target[wrong][0].item():g}, which is no class: expected 0 to {n_classes - 1}, or "
            f"{ignore_index} for pixels that are not annotated"
        )
    return labels
