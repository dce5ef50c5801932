# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The two regions of selective uncertainty: where the target is, and where the decision is close.

S. Ma et al., "Breaking the barrier: selective uncertainty-based active learning for medical image segmentation", 2024.
"""

from __future__ import annotations

from torch import Tensor

from monai_al.uncertainty import _pixel
from monai_al.uncertainty.check import check_probabilities

__all__ = ["REGIONS", "boundary_region", "check_threshold", "check_width", "region_of", "target_region"]

REGIONS = ("target", "boundary")


def target_region(probs: Tensor, threshold: float = 0.2, *, multilabel: bool = False) -> Tensor:
    """Pixels that may belong to the target: ``max over the foreground classes of p > threshold`` (eq. 1).

    Args:
        probs: class probabilities ``(B, C, *spatial)``, channel 0 the background; C = 1 is the foreground.
        threshold: T, in [0, 1).
        multilabel: the channels are overlapping sigmoids, each a foreground class.

    Returns:
        Boolean ``(B, *spatial)``.

    Raises:
        ValueError: ``probs`` are no probabilities, or ``threshold`` is out of range.

    Example:
        >>> import torch
        >>> target_region(torch.tensor([[0.1, 0.2, 0.9]]).unsqueeze(1)).tolist()
        [[False, False, True]]
    """
    check_threshold(threshold)
    return region_of("target", check_probabilities(probs, multilabel=multilabel), threshold, multilabel)


def boundary_region(probs: Tensor, width: float = 0.1, *, multilabel: bool = False) -> Tensor:
    """Pixels close to the decision boundary: ``p_first - p_second < 2 * width`` (eq. 2).

    With two classes this is ``|p - 0.5| < width``. The printed equation exchanges the symbols of the boundary and of
    the width.

    Args:
        probs: class probabilities ``(B, C, *spatial)``; C = 1 stands for the two classes p and 1-p.
        width: B, in (0, 0.5].
        multilabel: the channels are overlapping sigmoids; a pixel counts if any of them is close to 0.5.

    Returns:
        Boolean ``(B, *spatial)``.

    Raises:
        ValueError: ``probs`` are no probabilities, or ``width`` is out of range.

    Example:
        >>> import torch
        >>> boundary_region(torch.tensor([[0.3, 0.45, 0.5]]).unsqueeze(1)).tolist()
        [[False, True, True]]
    """
    check_width(width)
    return region_of("boundary", check_probabilities(probs, multilabel=multilabel), width, multilabel)


def region_of(name: str, probs: Tensor, limit: float, multilabel: bool) -> Tensor:
    """A region by its name, for probabilities that are known to be valid; boolean ``(B, *spatial)``.

    Example:
        >>> import torch
        >>> region_of("target", torch.tensor([[0.1], [0.9]]), 0.2, False).tolist()
        [False, True]
    """
    if name == "target":
        foreground = probs if multilabel or probs.shape[1] == 1 else probs[:, 1:]
        return foreground.amax(1) > limit
    if multilabel or probs.shape[1] == 1:
        return (probs - (1 - probs)).abs().amin(1) < 2 * limit
    first, second = _pixel.top_two(probs)
    return first - second < 2 * limit


def check_threshold(threshold: float) -> None:
    """Refuse a threshold outside [0, 1).

    Raises:
        ValueError: it is out of range.

    Example:
        >>> check_threshold(1.0)
        Traceback (most recent call last):
        ...
        ValueError: threshold must lie in [0, 1), got 1.0
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must lie in [0, 1), got {threshold}")


def check_width(width: float) -> None:
    """Refuse a width outside (0, 0.5].

    Raises:
        ValueError: it is out of range.

    Example:
        >>> check_width(0)
        Traceback (most recent call last):
        ...
        ValueError: width must lie in (0, 0.5], got 0
    """
    if not 0 < width <= 0.5:
        raise ValueError(f"width must lie in (0, 0.5], got {width}")
