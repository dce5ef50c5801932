# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks that the rounds of a run trained: all members of a round, or the one that was tested."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from monai_al.bundle import PythonTraining, TrainingConfig
from monai_al.handlers.needs import of_members
from monai_al.inferers import TrainedNetwork
from monai_al.networks import MeanOfMembers, read_torch_file
from monai_al.records import DataError, RunFolder
from monai_al.sources import Source
from monai_al.uncertainty import Measure, probabilities

__all__ = ["BEST", "MEAN", "Members", "mean_of_members"]

MEAN, BEST = "mean", "best"


class Members:
    """Loads the networks of a round.

    Args:
        folder: where their weights lie.
        training: builds a network.
        number: members per round.
        tested: ``"mean"``, the members' mean probability, or ``"best"``, the member with the highest Dice of the
            validation, whatever ``key_metric`` chose its weights by: 3D on the validation part, 2D on labeled items.
        activation: from the network's outputs to probabilities; None reads it off the training config.

    Raises:
        ValueError: ``tested`` is neither.

    Example:
        >>> Members(RunFolder("runs/a"), TrainingConfig({}), 5, "worst")
        Traceback (most recent call last):
        ...
        ValueError: tested must be 'mean' or 'best', got 'worst'
    """

    def __init__(
        self,
        folder: RunFolder,
        training: TrainingConfig | PythonTraining,
        number: int,
        tested: str = MEAN,
        activation: str | None = None,
    ) -> None:
        if tested not in (MEAN, BEST):
            raise ValueError(f"tested must be {MEAN!r} or {BEST!r}, got {tested!r}")
        self.folder, self.training = folder, training
        self.number, self.tested, self.activation = number, tested, activation

    def state(self, round: int, member: int) -> Mapping[str, torch.Tensor]:
        """The weights of one member.

        Raises:
            DataError: they are not there.
        """
        path = self.folder.model_path(round, member)
        if not path.is_file():
            raise DataError(f"{path}: no such weights; round {round} is not trained")
        content = read_torch_file(path)
        if not isinstance(content, Mapping) or "model" not in content:
            raise DataError(f"{path}: holds no {{'model': state_dict}}; restore it")
        return content["model"]

    def load(self, source: Source, round: int, members: Iterable[int]) -> TrainedNetwork:
        """Some members of a round for a source; several become their mean probability.

        Raises:
            DataError: the weights of one are not there.
        """
        states = [self.state(round, member) for member in members]
        trained = [source.adapted(self.training.load(state, self.activation)) for state in states]
        return mean_of_members(trained, gives_logits=source.gives_logits)

    def of_round(self, round: int) -> list[int]:
        """The members that stand for a round: those that were tested, or all where it is not evaluated yet."""
        metrics = self.folder.metrics(round) if self.tested == BEST else None
        return list(range(self.number)) if metrics is None else [metrics["tested_member"]]

    def to_score(self, round: int, needs: Iterable[Measure | str]) -> list[int]:
        """The members of an evaluated round that give what a strategy needs: the tested ones, unless it needs all."""
        return list(range(self.number)) if any(map(of_members, needs)) else self.of_round(round)

    def choose(
        self, validate: Callable[[int], float | None], name: str = "validation_dice_3d"
    ) -> tuple[list[int], dict[str, Any]]:
        """Which members are to be tested, and what a round's metrics say of the choice.

        Args:
            validate: member -> Dice of the validation; called only where it decides.
            name: of these Dice in the metrics.
        """
        if self.tested == MEAN:
            return list(range(self.number)), {}
        found = [validate(member) for member in range(self.number)]
        best = int(np.argmax([-1.0 if dice is None else dice for dice in found]))
        return [best], {"tested_member": best, name: found}


def mean_of_members(trained: Sequence[TrainedNetwork], *, gives_logits: bool = False) -> TrainedNetwork:
    """One network that predicts the mean probability of several; one alone stays as it is.

    Args:
        trained: the members.
        gives_logits: the mean is to be turned back into logits, for a postprocessing that applies the activation.

    Raises:
        ValueError: there are no members.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> member = TrainedNetwork(torch.nn.Conv2d(1, 1, 1), torch.device("cpu"), SimpleInferer(), "sigmoid")
        >>> mean_of_members([member, member]).activation
        'none'
    """
    if len(trained) == 1:
        return trained[0]
    known = trained[0].activation if trained else "none"
    mean = MeanOfMembers(
        [member.network for member in trained],
        functools.partial(probabilities, activation=known),
        functools.partial(_logits, activation=known) if gives_logits else None,
    )
    return replace(trained[0], network=mean, activation=known if gives_logits else "none")


def _logits(mean: torch.Tensor, activation: str) -> torch.Tensor:
    """What the activation turns into these probabilities."""
    if activation == "none":
        return mean
    tiny = torch.finfo(mean.dtype).tiny
    if activation == "softmax":
        return mean.clamp(min=tiny).log()
    bound = -math.log(torch.finfo(mean.dtype).eps)
    return torch.logit(mean).clamp(-bound, bound)
