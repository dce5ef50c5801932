# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss that draws the slices of one group together."""

from __future__ import annotations

from torch import Tensor, nn

from monai_al.losses._contrastive import check_groups, check_temperature, check_views, group, over_views, plain_ids

__all__ = ["GroupContrastiveLoss"]


class GroupContrastiveLoss(nn.Module):
    """Slices of one group (patient, volume or adjacent slices) attract each other, slices of other patients repel.

    A. Vepa et al., "Integrating deep metric learning with Coreset for active learning in 3D segmentation", NeurIPS
    2024, equation 4. With the cosine similarity s, the temperature t, the N slices i of view a, and the same slices in
    view b as N + 1 to 2N::

        -1 / (N * G) * sum over i, sum over j > N with g[j] = g[i] of log(exp(s[i, j] / t) / Z[i])
        Z[i] = sum over k != i with g[k] = g[i] or p[k] != p[i] of exp(s[i, k] / t)

    where G is N over the number of different groups. Views of the same patient but another group are left out of Z, so
    that the losses of several kinds of group can be added. The factor makes it the mean over the positive pairs only
    where all groups of the batch have one size. A slice alone in its group has its own view b as its only positive; one
    slice alone in the batch gives 0, with a graph. A row of zeros has similarity 0 to everything.

    Computed by log-sum-exp in float32 (float64 for float64), also under autocast.

    Args:
        temperature: above 0.
        two_sided: take the mean of this loss and the one with the two views exchanged.

    Raises:
        ValueError: the temperature is not above 0, the views are not of one shape ``(N, D)`` with at least one row, the
            ids are not integers ``(N,)``, or a group holds two patients (looked at only where the ids lie on the CPU).

    Example:
        >>> import torch
        >>> view_a, view_b = torch.eye(3), torch.eye(3)
        >>> volumes, patients = torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1])
        >>> loss = GroupContrastiveLoss()
        >>> round(loss(view_a, view_b, volumes, patients).item(), 4)
        0.3039
        >>> round(loss(view_a, view_b, patients, patients).item(), 4)
        1.3696
    """

    def __init__(self, temperature: float = 0.5, two_sided: bool = False) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature
        self.two_sided = two_sided

    def forward(self, view_a: Tensor, view_b: Tensor, groups: Tensor, patients: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            view_a: embeddings ``(N, D)`` of the slices, of any length: rows are normalized here.
            view_b: embeddings ``(N, D)`` of the same slices, augmented.
            groups: the group of each slice, integers ``(N,)``; a group belongs to one patient.
            patients: the patient of each slice, integers ``(N,)``.

        Returns:
            A scalar in nats.
        """
        check_views(view_a, view_b)
        shape = (len(view_a),)
        groups, patients = plain_ids("groups", groups, shape), plain_ids("patients", patients, shape)
        check_groups("group", groups, patients)
        terms = [(1.0, group(groups.to(view_a.device), patients.to(view_a.device)))]
        return over_views(
            view_a,
            view_b,
            temperature=self.temperature,
            one_sided=[] if self.two_sided else terms,
            two_sided=terms if self.two_sided else [],
        )
