# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Several networks of one round as one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch

__all__ = ["MeanOfMembers"]


class MeanOfMembers(torch.nn.Module):
    """Predicts the mean of its members' probabilities.

    Args:
        members: networks of one architecture.
        activation: turns a member's output into probabilities.
        inverse: turns the mean back into what a member gives, for pipelines that apply the activation themselves; None
            leaves the probabilities.

    Raises:
        ValueError: there are no members.

    Example:
        >>> members = MeanOfMembers([torch.nn.Identity(), torch.nn.Identity()], torch.sigmoid)
        >>> members(torch.zeros(1, 1)).item()
        0.5
    """

    def __init__(
        self,
        members: Iterable[torch.nn.Module],
        activation: Callable[[torch.Tensor], torch.Tensor],
        inverse: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(members)
        self.activation = activation
        self.inverse = inverse
        if not len(self.members):
            raise ValueError("there are no members")

    def forward(self, inputs: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Mean ``(B, C, *spatial)`` of the members, folded one by one."""
        predictions = (self.activation(member(inputs, *args, **kwargs)) for member in self.members)
        mean = functools.reduce(torch.add, predictions) / len(self.members)
        return mean if self.inverse is None else self.inverse(mean)
