# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run that was done: its networks, with the data and the settings that they were trained with."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_al.bundle.opened_training import reopened_training
from monai_al.bundle.run_record import training_of
from monai_al.engines.checked_run import check_run
from monai_al.engines.members import MEAN, Members
from monai_al.engines.settings import BUNDLE
from monai_al.inferers import TrainedNetwork
from monai_al.options import literal
from monai_al.records import DataError, Pool, RunFolder, pool_from_json
from monai_al.records.files import read_json
from monai_al.records.pool_file import read_pool
from monai_al.sources import EntrySettings, Source, source_of

__all__ = ["TrainedRun"]


class TrainedRun:
    """A run folder, read again: its networks round by round, its data, and what it was asked for.

    Everything comes from the folder's own records, so that the configs it was started with are not needed.

    Args:
        run_dir: the run folder.
        overrides: id -> value over the recorded training config, such as another ``dataset_dir`` or ``device``.
        trust: execute the recorded config although the user did not make the folder on this machine.

    Raises:
        DataError: it is no run folder.
        RunFolderError: a file differs from what was written, or the folder is not known and not trusted.
        BundleConfigError: the recorded training config does not declare an override.

    Example:
        >>> TrainedRun("no/run")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/run is no run folder: it holds no run.json; give the output_dir of a run
    """

    def __init__(self, run_dir: str | Path, overrides: Mapping[str, Any] | None = None, *, trust: bool = False) -> None:
        self.folder = RunFolder(run_dir)
        if not (self.folder.path / "run.json").is_file():
            raise DataError(f"{run_dir} is no run folder: it holds no run.json; give the output_dir of a run")
        check_run(self.folder.path, trust=trust)
        self._read(overrides)

    def with_overrides(self, overrides: Mapping[str, Any]) -> TrainedRun:
        """The same run, which is checked already, with other overrides."""
        other = object.__new__(TrainedRun)
        other.folder = self.folder
        other._read(overrides)
        return other

    def _read(self, overrides: Mapping[str, Any] | None) -> None:
        self.record = read_json(self.folder.path / "run.json") | {"sizes": self.folder.sizes()}
        training = training_of(self.record)
        if "output_dir" in training and "pool" in training:  # it may have been moved, and its cache lies beside it
            training["output_dir"] = literal(str(self.folder.path.resolve()))
        settings = self.record["config"]["learner"]
        self.training = reopened_training(
            training,
            overrides,
            name=f"the training config of {self.folder.path}",
            ids=settings.get("parts"),
            own_weights=settings.get("initial_weights") == BUNDLE,
        )
        self.members = Members(
            self.folder, self.training, settings["members"], settings.get("tested", MEAN), settings["activation"]
        )

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    @functools.cached_property
    def pool(self) -> Pool:
        """The items of the run, as they are recorded."""
        return pool_from_json(read_pool(self.path))

    @property
    def settings(self) -> dict[str, Any]:
        """The loop's settings, such as ``empty_policy``."""
        return self.record["config"]["learner"]

    @property
    def threads(self) -> int | None:
        """How many CPU threads it took."""
        return self.record["threads"]

    @functools.cached_property
    def source(self) -> Source:
        """The data that the run was done on.

        Raises:
            DataError: the data set is not there any more.
        """
        settings = self.record["config"]["learner"]
        classes = read_json(self.folder.path / "pool.json")["classes"]
        inside = settings.get("score_inside", False)
        return source_of(self.training, classes, EntrySettings.recorded(settings), score_inside=inside)

    def labeled(self, round: int | None = None) -> list[str]:
        """Ids of the items that were labeled up to and with a round, the last one by default."""
        return self.folder.labeled(self.last_round if round is None else round)

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
        members = range(self.members.number) if all_members else self.members.of_round(number)
        return self.members.load(self.source, number, members)

    def _is_trained(self, number: int) -> bool:
        return all(self.folder.model_path(number, member).is_file() for member in self.members.of_round(number))
