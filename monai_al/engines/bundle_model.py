# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle's own network: what its training config builds, with the weights that the bundle comes with."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_al.bundle import TrainingConfig
from monai_al.bundle.config_files import read_config, values_of
from monai_al.bundle.training_config import POOL_ID
from monai_al.inferers import TrainedNetwork
from monai_al.networks.stored_weights import load_weights
from monai_al.records import DataError, Pool
from monai_al.records.files import read_json
from monai_al.sources import Source, source_of

__all__ = ["BundleModel"]

WEIGHTS = Path("models", "model.pt")  # where the Model Zoo looks for them: a state dict and nothing around it
DATA_IDS = {"datalist", "dataset_dir", "phantom"}


class BundleModel:
    """The network of one of our bundles, as :class:`monai_al.engines.TrainedRun` is that of a run.

    Its ``train.yaml`` builds it and says how images are seen, its ``metadata.json`` names the classes, and its
    ``models/model.pt`` holds the weights, a state dict, which no bundle of this package comes with but a released one.

    Args:
        root: the bundle's folder.
        overrides: id -> value over ``train.yaml``, such as a ``dataset_dir`` or ``device``.

    Raises:
        DataError: the bundle has no ``models/model.pt``.
        BundleConfigError: ``train.yaml`` does not declare an override.

    Example:
        >>> BundleModel("bundles/mine") # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no run is given: say with --run_dir ... (bundles/mine has no models/model.pt)
    """

    threads = None  # of the torch that is there: nothing was recorded

    def __init__(self, root: str | Path, overrides: Mapping[str, Any] | None = None) -> None:
        self.root = Path(root)
        self.path = self.root / WEIGHTS
        if not self.path.is_file():
            raise DataError(f"no run is given: say with --run_dir where its folder lies ({self.root} has no {WEIGHTS})")
        file = self.root / "configs" / "train.yaml"
        asked = (overrides or {}).items()
        self._has_other_data = any(re.split("#|::", id)[0] in DATA_IDS for id, value in asked if value is not None)
        self.training = TrainingConfig(read_config([file]), overrides, root=self.root, name=str(file))

    def with_overrides(self, overrides: Mapping[str, Any]) -> BundleModel:
        """The same network with other overrides."""
        return BundleModel(self.root, overrides)

    @functools.cached_property
    def pool(self) -> Pool:
        """What it was trained on, the bundle's phantom; no items but its classes where other data are asked for."""
        if not self._has_other_data:
            return self.training.resolve(POOL_ID)[0]
        output = read_json(self.root / "configs" / "metadata.json")["network_data_format"]["outputs"]["pred"]
        names = [output["channel_def"][str(channel)] for channel in range(output["num_channels"])]
        return Pool([], names)

    @functools.cached_property
    def source(self) -> Source:
        """The data that it is applied to."""
        return source_of(self.training)

    @property
    def settings(self) -> dict[str, Any]:
        """The loop's settings in this bundle, such as ``empty_policy``."""
        return values_of(self.root / "configs" / "active_learning.yaml")

    def network(self, round: int | None = None) -> TrainedNetwork:
        """The network with its weights.

        Args:
            round: None, as there are no rounds.

        Raises:
            DataError: a round is given.
            ValueError: the file cannot be read, or its weights are not those of this network; the message lists them.
        """
        if round is not None:
            raise DataError(
                f"{self.path} is one network and knows no round {round}: leave --round out, or give --run_dir"
            )
        trained = self.training.load(None)
        load_weights(trained.network, self.path)
        return trained

    def labeled(self, round: int | None) -> list[str]:
        """No items: no query is recorded."""
        return []
