# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pretrained weights that the networks of a run start from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from monai_al.bundle import PythonTraining, TrainingConfig
from monai_al.handlers.needs import ENCODER
from monai_al.networks import MatchedWeights, matched_weights, read_torch_file
from monai_al.records import RunFolder, content_hash

__all__ = ["WarmStart"]

logger = logging.getLogger(__name__)


class WarmStart:
    """The weights of a pretraining, checked against the network that is to start from them.

    Args:
        weights: ``"encoder"``, those of the encoder that the run trains, or a file of them, as a pretraining that ran
            alone leaves it.
        training: builds the network.

    Raises:
        ValueError: the file is not there or holds no weights.

    Example:
        >>> WarmStart("no/model.pt", TrainingConfig({}))
        Traceback (most recent call last):
        ...
        ValueError: --warm_start no/model.pt: there is no such file
    """

    def __init__(self, weights: str, training: TrainingConfig | PythonTraining) -> None:
        self.training = training
        self.path = None if weights == ENCODER else Path(weights).expanduser()
        if self.path is not None and not self.path.is_file():
            raise ValueError(f"--warm_start {weights}: there is no such file")

    def settings(self) -> str:
        """What the results depend on: that it is the encoder, or the hash of the file."""
        return ENCODER if self.path is None else content_hash(self.path)

    def check(self, encoder: TrainingConfig | None) -> None:
        """The weights, or those that the encoder will have, fit to the network.

        Args:
            encoder: the config that trains the encoder, where the weights are the encoder's.

        Raises:
            ValueError: they do not.
        """
        if self.path is not None:
            weights = _weights_in(self.path)
        else:
            assert encoder is not None  # else the loop has refused it
            weights = encoder.load(None, activation="none").network.state_dict()
        self._matched(weights)

    def weights(self, folder: RunFolder, encoder: Callable[[], Path]) -> dict[str, Tensor]:
        """The weights to start from; the first call says and records what was loaded.

        Args:
            folder: the run folder.
            encoder: gives the file of the trained encoder.

        Raises:
            ValueError: they do not fit to the network.
        """
        path = encoder() if self.path is None else self.path
        weights = _weights_in(path)
        if folder.warm_start() is None:
            found = self._matched(weights)
            origin = {"from": ENCODER if self.path is None else str(path.resolve()), "sha256": content_hash(path)}
            folder.write_warm_start(origin | {"loaded": list(found.weights), "new": found.new})
            logger.info(
                "the networks start from the weights of %s: %d tensors of them, new are %s",
                "the encoder's training" if self.path is None else path,
                len(found.weights),
                ", ".join(found.new),
            )
        return weights

    def _matched(self, weights: Mapping[str, Tensor]) -> MatchedWeights:
        network = self.training.load(None, activation="none").network
        try:
            return matched_weights(network, weights)
        except ValueError as error:
            raise ValueError(f"--warm_start {ENCODER if self.path is None else self.path}: {error}") from error


def _weights_in(path: Path) -> dict[str, Tensor]:
    try:
        content = read_torch_file(path)
    except ValueError as error:
        raise ValueError(f"--warm_start {error}") from error
    weights = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f"--warm_start {path}: holds no state dict; give what a pretraining left in models/model.pt")
    bad = [name for name, value in weights.items() if not bool(value.isfinite().all())]
    if bad:
        raise ValueError(f"--warm_start {path}: {bad[0]} is not finite: its training diverged; give other weights")
    return dict(weights)
