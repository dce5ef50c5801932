# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""From a map to one number per item."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_al.uncertainty.check import rows

__all__ = ["REDUCTIONS", "reduce_map"]

REDUCTIONS = ("mean", "sum")


def reduce_map(map: Tensor, region: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """Mean or sum of a map over all pixels or over a region.

    The numbers are added up in double precision, so that an item's score does not depend on the batch it is in.

    Args:
        map: ``(B, *spatial)``.
        region: boolean ``(B, *spatial)``; pixels outside it do not count. None: all pixels.
        reduction: ``"mean"`` (over the region) or ``"sum"``.

    Returns:
        ``(B,)`` in the map's type; ``-inf`` ("rank last") for an item whose region is empty.

    Raises:
        ValueError: the reduction is unknown, or the region is not boolean or of another shape.

    Example:
        >>> import torch
        >>> reduce_map(torch.tensor([[1.0, 3.0], [1.0, 3.0]]), torch.tensor([[False, True], [False, False]]))
        tensor([3., -inf])
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction {reduction!r} is none of {', '.join(REDUCTIONS)}")
    if region is None:
        total = _sum(map)
        return (total / rows(map).shape[1] if reduction == "mean" else total).to(map.dtype)
    if region.dtype != torch.bool or region.shape != map.shape:
        raise ValueError(
            f"a region must be boolean with the map's shape {tuple(map.shape)}, got {region.dtype} with "
            f"{tuple(region.shape)}"
        )
    count = rows(region).sum(1)
    total = _sum(torch.where(region, map, 0))
    if reduction == "mean":
        total = total / count.clamp(min=1)
    return total.masked_fill(count == 0, -torch.inf).to(map.dtype)


def _sum(map: Tensor) -> Tensor:
    return rows(map).sum(1, dtype=map.dtype if map.device.type == "mps" else torch.float64)
