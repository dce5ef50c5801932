# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss of an encoder whose distances know patients, volumes and neighbors."""

from __future__ import annotations

import math

from torch import Tensor, nn

from monai_al.losses._contrastive import (
    check_groups,
    check_temperature,
    check_views,
    group,
    nt_xent,
    over_views,
    plain_ids,
)

__all__ = ["MetricLearningLoss"]

COLUMNS = ("patient", "volume", "slice")


class MetricLearningLoss(nn.Module):
    """NT-Xent plus the group losses of patients, volumes and adjacent slices, as one loss of a MONAI trainer.

    A. Vepa et al., "Integrating deep metric learning with Coreset for active learning in 3D segmentation", NeurIPS
    2024, equation 5. The terms are :class:`~monai_al.losses.NTXentLoss` and three times
    :class:`~monai_al.losses.GroupContrastiveLoss`; the similarities are computed once for all of them, and a term of
    weight 0 is not computed. Weights of the paper, in the order of the arguments:

    ========================================================  ====================
    ACDC, trained from scratch (default)                      (1, 0.05, 0.35, 0)
    CHAOS, MS-CMR, DAVIS: one volume per patient              (1, 0, 0.35, 0)
    with a pretrained segmenter                               (0, 1, 0, 0)
    ========================================================  ====================

    Args:
        nt_xent: weight of NT-Xent, at least 0.
        patient: weight of the group loss of patients, at least 0.
        volume: weight of the group loss of volumes, at least 0.
        slice: weight of the group loss of adjacent slices, at least 0.
        temperature: above 0.
        two_sided: see :class:`~monai_al.losses.GroupContrastiveLoss`; NT-Xent always has both sides.

    Raises:
        ValueError: a weight is negative, all are 0, the temperature is not above 0, the projections are not
            ``(2N, D)`` with at least two rows, the ids are not integers ``(N, 3)``, or a volume or slice group that has
            a weight holds two patients (looked at only where the ids lie on the CPU).

    Example:
        >>> import torch
        >>> projections = torch.eye(3).repeat(2, 1)
        >>> groups = torch.tensor([[0, 0, 0], [0, 1, 1], [1, 2, 2]])
        >>> round(MetricLearningLoss()(projections, groups).item(), 4)
        0.6075
        >>> round(MetricLearningLoss(nt_xent=0, patient=1, volume=0)(projections, groups).item(), 4)
        1.3696
    """

    def __init__(
        self,
        nt_xent: float = 1.0,
        patient: float = 0.05,
        volume: float = 0.35,
        slice: float = 0.0,
        temperature: float = 0.5,
        two_sided: bool = False,
    ) -> None:
        super().__init__()
        weights = {"nt_xent": nt_xent, "patient": patient, "volume": volume, "slice": slice}
        for name, weight in weights.items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} must be a weight of at least 0, got {weight}")
        if not any(weights.values()):
            raise ValueError(f"at least one weight must be above 0: {', '.join(weights)}")
        check_temperature(temperature)
        self.weights = weights
        self.temperature = temperature
        self.two_sided = two_sided

    def forward(self, projections: Tensor, groups: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            projections: ``(2N, D)``, first those of the N slices (view a), then those of the same slices, augmented
                (view b). Rows are normalized here.
            groups: ids of the patient, the volume and the slice group of each slice, integers ``(N, 3)``. The ids of a
                column are unique over all patients.

        Returns:
            A scalar in nats.
        """
        if projections.ndim != 2 or len(projections) % 2:
            raise ValueError(f"projections must have the shape (2N, D), got {tuple(projections.shape)}")
        view_a, view_b = projections.as_subclass(Tensor).chunk(2)
        check_views(view_a, view_b)
        ids = plain_ids("groups", groups, (len(view_a), len(COLUMNS)))
        used = [(name, at) for at, name in enumerate(COLUMNS) if self.weights[name]]
        for name, at in used:
            check_groups(f"{name} group", ids[:, at], ids[:, 0])
        ids = ids.to(projections.device)
        of_groups = [(self.weights[name], group(ids[:, at], ids[:, 0])) for name, at in used]
        of_views = [(self.weights["nt_xent"], nt_xent)] if self.weights["nt_xent"] else []
        return over_views(
            view_a,
            view_b,
            temperature=self.temperature,
            one_sided=[] if self.two_sided else of_groups,
            two_sided=of_views + of_groups if self.two_sided else of_views,
        )
