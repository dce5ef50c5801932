# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks that the rounds of a run trained: all members of a round, or the one that was tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from monai_al.bundle.training_config import TrainingConfig
from monai_al.engines.trained_run import load_members
from monai_al.handlers.needs import of_members
from monai_al.inferers import TrainedNetwork
from monai_al.records import RunFolder
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.slice_source import SliceSource
from monai_al.uncertainty import Measure

__all__ = ["BEST", "MEAN", "Members"]

MEAN, BEST = "mean", "best"


class Members:
    """Loads the networks of a round.

    Args:
        folder: where their weights lie.
        number: members per round.
        tested: ``"mean"``, the members' mean probability, or ``"best"``, the member that was best on validation.
        activation: from the network's outputs to probabilities; None reads it off the training config.

    Raises:
        ValueError: ``tested`` is neither.

    Example:
        >>> Members(RunFolder("runs/a"), 5, "worst")
        Traceback (most recent call last):
        ...
        ValueError: tested must be 'mean' or 'best', got 'worst'
    """

    def __init__(self, folder: RunFolder, number: int, tested: str = MEAN, activation: str | None = None) -> None:
        if tested not in (MEAN, BEST):
            raise ValueError(f"tested must be {MEAN!r} or {BEST!r}, got {tested!r}")
        self.folder, self.number, self.tested, self.activation = folder, number, tested, activation

    def state(self, round: int, member: int) -> Mapping[str, torch.Tensor]:
        """The weights of one member."""
        return torch.load(self.folder.model_path(round, member), map_location="cpu", weights_only=True)["model"]

    def load(
        self, training: TrainingConfig, data: SliceSource | EntrySource, round: int, members: Iterable[int]
    ) -> TrainedNetwork:
        """Some members; several become their mean probability."""
        return load_members(training, data, [self.state(round, member) for member in members], self.activation)

    def choose(self, validate: Callable[[int], float | None]) -> tuple[list[int], dict[str, Any]]:
        """Which members are to be tested, and what a round's metrics say of the choice.

        Args:
            validate: member -> 3D Dice on the validation part; called only where it decides.
        """
        if self.tested == MEAN:
            return list(range(self.number)), {}
        found = [validate(member) for member in range(self.number)]
        best = int(np.argmax([-1.0 if dice is None else dice for dice in found]))
        return [best], {"tested_member": best, "validation_dice_3d": found}

    def to_score(self, round: int, needs: Iterable[Measure | str]) -> list[int]:
        """Which members of an evaluated round give what a strategy needs: the tested ones, unless it needs all."""
        if self.tested == MEAN or any(of_members(need) for need in needs):
            return list(range(self.number))
        return [(self.folder.metrics(round) or {})["tested_member"]]
