# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the contrastive losses share: two views of N slices, their cosine similarities, and terms over these.

The anchors are the slices of one view, its own; they are compared with all 2N views, the own view first. A large batch
goes through in chunks of anchors, of which nothing is kept for the gradients: it is computed again there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["check_groups", "check_temperature", "check_views", "group", "nt_xent", "over_views", "plain_ids"]

Term = Callable[[Tensor, range], Tensor]
"""A loss over the anchors of one view, as a function of the logits of some of them and which they are.

The logits ``(A, 2N)`` are similarities over temperature, ``-inf`` at the anchor itself. The parts of disjoint anchors
add up to the loss.
"""

CHUNK = 2**20
"""The most similarities that are held at once."""


def over_views(
    view_a: Tensor,
    view_b: Tensor,
    *,
    temperature: float,
    one_sided: Sequence[tuple[float, Term]] = (),
    two_sided: Sequence[tuple[float, Term]] = (),
) -> Tensor:
    """The weighted sum of terms over the similarities of two views, in float32, or in float64 for float64.

    Args:
        view_a: embeddings ``(N, D)``.
        view_b: embeddings ``(N, D)`` of the same slices.
        temperature: what the similarities are divided by.
        one_sided: weights and terms whose anchors are view a.
        two_sided: weights and terms that are the mean of what they give for the anchors of both views.

    Returns:
        A scalar.
    """
    dtype = torch.promote_types(torch.promote_types(view_a.dtype, view_b.dtype), torch.float32)
    halves = [(weight / 2, term) for weight, term in two_sided]
    with torch.autocast(view_a.device.type, enabled=False):
        a, b = (_unit_rows(view.as_subclass(Tensor).to(dtype)) for view in (view_a, view_b))
        loss = _one_side(a, b, temperature, [*one_sided, *halves])
        return loss + _one_side(b, a, temperature, halves) if halves else loss


def nt_xent(logits: Tensor, anchors: range) -> Tensor:
    """The term that finds the other view of an anchor among all views."""
    n = logits.shape[1] // 2
    losses = logits.logsumexp(1) - logits[:, n:].diagonal(anchors.start)
    return losses.sum() / n


def group(groups: Tensor, patients: Tensor) -> Term:
    """The term that finds the other views of an anchor's group among the views of that group and of other patients."""
    n = len(groups)
    ids = groups.sort().values
    n_groups = 1 + (ids[1:] != ids[:-1]).sum()

    def term(logits: Tensor, anchors: range) -> Tensor:
        chosen = slice(anchors.start, anchors.stop)
        same_group = groups[chosen, None] == groups
        left_out = ~same_group & (patients[chosen, None] == patients)
        log_total = logits.unflatten(1, (2, n)).masked_fill(left_out[:, None], -math.inf).logsumexp((1, 2))
        losses = torch.where(same_group, log_total[:, None] - logits[:, n:], 0)
        return losses.sum() * n_groups / n**2  # 1 / (N * G) = groups / N^2

    return term


def _one_side(own: Tensor, other: Tensor, temperature: float, terms: Sequence[tuple[float, Term]]) -> Tensor:
    """The weighted sum of the terms with the rows of ``own`` as anchors."""
    n = len(own)
    views = torch.cat([own, other])

    def part(anchors: range) -> Tensor:
        logits = own[anchors.start : anchors.stop] / temperature @ views.T
        logits.diagonal(anchors.start).fill_(-math.inf)
        return torch.stack([weight * term(logits, anchors) for weight, term in terms]).sum()

    rows = max(1, CHUNK // (2 * n))
    if n <= rows:
        return part(range(n))
    chunks = [range(start, min(start + rows, n)) for start in range(0, n, rows)]
    parts = [checkpoint(part, chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
    return torch.stack(parts).sum()


def _unit_rows(embeddings: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays as it is and gets the gradient of no division."""
    norms = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True)
    return embeddings / torch.where(norms > 0, norms, 1)


def check_temperature(temperature: float) -> None:
    """Refuses what is no temperature."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0 and finite, got {temperature}")


def check_views(view_a: Tensor, view_b: Tensor) -> None:
    """Refuses what are no two views of the same slices."""
    if view_a.ndim != 2 or view_a.shape != view_b.shape or not view_a.numel():
        raise ValueError(
            "both views must have the shape (N, D), one row for each of at least one slice, got "
            f"{tuple(view_a.shape)} and {tuple(view_b.shape)}"
        )
    for view in (view_a, view_b):
        if not view.is_floating_point():
            raise ValueError(f"the embeddings of a view must be floating point, got {view.dtype}")


def plain_ids(name: str, ids: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The ids as int64 without metadata; refuses what are no integer ids of this shape."""
    if ids.shape != shape or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ValueError(f"{name} must be integer ids of shape {shape}, got {ids.dtype} of shape {tuple(ids.shape)}")
    return ids.as_subclass(Tensor).long()


def check_groups(name: str, groups: Tensor, patients: Tensor) -> None:
    """Refuses a group of two patients. Ids on a GPU are not looked at, since the program would have to wait for it."""
    if groups.device.type != "cpu" or patients.device.type != "cpu":
        return
    order = groups.argsort()
    ids, owners = groups[order], patients[order]
    mixed = (ids[1:] == ids[:-1]) & (owners[1:] != owners[:-1])
    if mixed.any():
        at = int(mixed.nonzero()[0])
        raise ValueError(
            f"{name} {ids[at].item()} holds slices of the patients {owners[at].item()} and {owners[at + 1].item()}: a "
            "group belongs to one patient, so give each group an id that is unique over all patients"
        )
