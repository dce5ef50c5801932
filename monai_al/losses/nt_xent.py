# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss that tells two views of one slice from the views of all others."""

from __future__ import annotations

from torch import Tensor, nn

from monai_al.losses._contrastive import check_temperature, check_views, nt_xent, over_views

__all__ = ["NTXentLoss"]


class NTXentLoss(nn.Module):
    """Each of the 2N views of a batch has to find the other view of its slice among the 2N - 1 others.

    T. Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020, equation 1 as a
    mean over all views, with the cosine similarity s and the temperature t::

        (1 / 2N) * sum over v of -log(exp(s[v, partner(v)] / t) / sum over k != v of exp(s[v, k] / t))

    The same as MONAI's ``ContrastiveLoss``, without its ``(2N, 2N, D)`` tensor and for lower temperatures: computed by
    log-sum-exp in float32 (float64 for float64), also under autocast. One slice alone gives 0, with a graph. A row of
    zeros has similarity 0 to everything.

    Args:
        temperature: above 0.

    Raises:
        ValueError: the temperature is not above 0, or the views are not of one shape ``(N, D)`` with at least one row.

    Example:
        >>> import torch
        >>> view_a, view_b = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]])
        >>> round(NTXentLoss()(view_a, view_b).item(), 4)  # ln(e^2 + 2) - 2
        0.2395
    """

    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature

    def forward(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            view_a: embeddings ``(N, D)``, of any length: rows are normalized here.
            view_b: embeddings ``(N, D)`` of the same slices.

        Returns:
            A scalar in nats.
        """
        check_views(view_a, view_b)
        return over_views(view_a, view_b, temperature=self.temperature, two_sided=[(1.0, nt_xent)])
