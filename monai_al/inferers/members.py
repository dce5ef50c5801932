# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Several predictions by the members of an ensemble."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn

from monai_al.networks import MeanOfMembers

__all__ = ["MembersInferer"]


class MembersInferer(Inferer):
    """Ask each member of an ensemble for its own probabilities.

    B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and scalable predictive uncertainty estimation using deep
    ensembles", NeurIPS 2017. The members are used in the modes they are in.

    Args:
        inferer: how one prediction is made, for example by sliding windows; default: one call of the network.

    Example:
        >>> ensemble = MeanOfMembers([nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)], torch.sigmoid)
        >>> MembersInferer()(torch.zeros(4, 1, 8, 8), ensemble).shape
        torch.Size([3, 4, 2, 8, 8])
    """

    def __init__(self, inferer: Inferer | None = None) -> None:
        self.inferer = SimpleInferer() if inferer is None else inferer

    def samples(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Iterator[Tensor]:
        """One member after the other, so that only one prediction is held at a time.

        Args:
            inputs: a batch ``(B, ...)``.
            network: a :class:`~monai_al.networks.MeanOfMembers` of two members or more.
            args: passed on to the members.
            kwargs: passed on to the members.

        Returns:
            An iterator over the members' probabilities, ``(B, C, *spatial)``.

        Raises:
            ValueError: the network is none, or has one member.
        """
        members = len(network.members) if isinstance(network, MeanOfMembers) else 1
        if not isinstance(network, MeanOfMembers) or members < 2:
            raise ValueError(
                f"{type(network).__name__} is one network, but the measure compares several: train with --members 2 or "
                "more, or put your own networks into one monai_al.networks.MeanOfMembers"
            )
        return (network.activation(self.inferer(inputs, member, *args, **kwargs)) for member in network.members)

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """All predictions at once, ``(M, B, C, *spatial)``; :meth:`samples` needs less memory."""
        return torch.stack(list(self.samples(inputs, network, *args, **kwargs)))
