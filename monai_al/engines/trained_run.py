# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks of a run that was done, with the data and the settings that they were trained with."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from monai_al.bundle.run_record import training_of
from monai_al.bundle.training_config import TrainingConfig
from monai_al.inferers import TrainedNetwork
from monai_al.networks import MeanOfMembers
from monai_al.records import DataError, RunFolder
from monai_al.records.files import read_json
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.slice_source import SliceSource
from monai_al.sources.source_of import source_of
from monai_al.uncertainty import probabilities

__all__ = ["TrainedRun", "load_members"]


class TrainedRun:
    """A run folder, read again: its networks round by round, its data, and what it was asked for.

    Everything comes from the folder's own records, so that the configs it was started with are not needed.

    Args:
        run_dir: the run folder.
        overrides: id -> value over the recorded training config, such as another ``dataset_dir`` or ``device``.

    Raises:
        DataError: it is no run folder.
        BundleConfigError: the recorded training config does not declare an override.

    Example:
        >>> TrainedRun("no/run")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/run is no run folder: it holds no run.json; give the output_dir of a run
    """

    def __init__(self, run_dir: str | Path, overrides: Mapping[str, Any] | None = None) -> None:
        self.folder = RunFolder(run_dir)
        if not (self.folder.path / "run.json").is_file():
            raise DataError(f"{run_dir} is no run folder: it holds no run.json; give the output_dir of a run")
        self.record = read_json(self.folder.path / "run.json") | {"sizes": self.folder.sizes()}
        training = training_of(self.record)
        if "output_dir" in training and "pool" in training:  # it may have been moved, and its cache lies beside it
            training["output_dir"] = str(self.folder.path.resolve())
        root = Path(str(training.get("bundle_root")))
        self.training = TrainingConfig(
            training,
            overrides,
            root=root if root.is_dir() else None,  # gone: what needs no scripts of the bundle works all the same
            name=f"the training config of {run_dir}",
        )

    @functools.cached_property
    def source(self) -> SliceSource | EntrySource:
        """The data that the run was done on.

        Raises:
            DataError: the data set is not there any more.
        """
        return source_of(self.training, read_json(self.folder.path / "pool.json")["classes"])

    @property
    def last_round(self) -> int:
        """The last round whose networks are all there.

        Raises:
            DataError: there is none.
        """
        rounds = [number for number in range(len(self.record["sizes"])) if self._is_trained(number)]
        if not rounds:
            raise DataError(f"{self.folder.path} holds no trained network yet")
        return rounds[-1]

    def network(self, round: int | None = None, *, all_members: bool = False) -> TrainedNetwork:
        """The network of a round as it was tested, the last one by default.

        Several members become their mean probability. Where the run tests the best of them, it is that one alone; the
        mean of all again where the round is not evaluated yet.

        Args:
            round: the round.
            all_members: the mean of all, whatever was tested.

        Raises:
            DataError: the weights are not there.
        """
        number = self.last_round if round is None else round
        members = self._members(number, all_members)
        for member in members:
            if not self.folder.model_path(number, member).is_file():
                path = self.folder.model_path(number, member)
                raise DataError(f"{path}: no such weights; round {number} is not trained")
        states = [
            torch.load(self.folder.model_path(number, member), map_location="cpu", weights_only=True)["model"]
            for member in members
        ]
        return load_members(self.training, self.source, states, self._settings["activation"])

    @property
    def _settings(self) -> Mapping[str, Any]:
        return self.record["config"]["learner"]

    def _members(self, number: int, all_members: bool = False) -> Sequence[int]:
        """The members that stand for a round: those that were tested."""
        metrics = self.folder.metrics(number) if self._settings.get("tested") == "best" else None
        if metrics is None or all_members:
            return range(self._settings["members"])
        return [metrics["tested_member"]]

    def _is_trained(self, number: int) -> bool:
        return all(self.folder.model_path(number, member).is_file() for member in self._members(number))


def load_members(
    training: TrainingConfig,
    data: SliceSource | EntrySource,
    states: Sequence[Mapping[str, torch.Tensor]],
    activation: str | None = None,
) -> TrainedNetwork:
    """A network with these weights; of several members, their mean probability.

    Args:
        training: builds the network.
        data: what it is for; a bundle's own postprocessing applies the activation itself, so it gets logits.
        states: one ``state_dict`` for each member.
        activation: softmax, sigmoid, multilabel or none; None reads it off the config.

    Raises:
        ValueError: there are no members.

    Example:
        >>> training = TrainingConfig({"network_def": "$torch.nn.Conv2d(1, 1, 1)", "activation": "sigmoid"})
        >>> states = [{"weight": torch.ones(1, 1, 1, 1), "bias": torch.zeros(1)}] * 2
        >>> load_members(training, SliceSource(data=None, cache=None), states).activation
        'none'
    """
    members = [data.adapted(training.load(state, activation)) for state in states]
    if len(members) == 1:
        return members[0]
    known = members[0].activation if members else "none"
    inverse = functools.partial(_logits, activation=known) if data.gives_logits else None
    mean = MeanOfMembers(
        [member.network for member in members], functools.partial(probabilities, activation=known), inverse
    )
    return replace(members[0], network=mean, activation=known if data.gives_logits else "none")


def _logits(mean: torch.Tensor, activation: str) -> torch.Tensor:
    """What the activation turns into these probabilities."""
    if activation == "none":
        return mean
    tiny = torch.finfo(mean.dtype).tiny
    if activation == "softmax":
        return mean.clamp(min=tiny).log()
    bound = -math.log(torch.finfo(mean.dtype).eps)
    return torch.logit(mean).clamp(-bound, bound)
