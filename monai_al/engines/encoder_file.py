# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The file of weights that an encoder's config takes in place of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.references import reachable
from monai_al.bundle.run_record import results_of
from monai_al.bundle.training_config import TrainingConfig
from monai_al.records import content_hash

__all__ = ["EncoderFile"]

ID = "encoder_file"


class EncoderFile:
    """A file of weights, known by its content, with what its network depends on.

    Args:
        training: the encoder's config, which declares ``encoder_file``.

    Raises:
        BundleConfigError: no file is named, or there is none.
        ValueError: its weights are not those of the network.

    Example:
        >>> EncoderFile(TrainingConfig({"encoder_file": None, "network_def": {"file": "@encoder_file"}}))
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: an encoder from a file needs weights: name them by --encoder_file
    """

    def __init__(self, training: TrainingConfig) -> None:
        (named,) = training.resolve(ID)
        if named is None:
            raise BundleConfigError("an encoder from a file needs weights: name them by --encoder_file")
        self.path = Path(named)
        if not self.path.is_file():
            raise BundleConfigError(f"--encoder_file {named}: there is no such file")
        self.sha256 = content_hash(self.path)
        self._raw = training.raw()
        with torch.random.fork_rng():
            training.resolve("network_def")  # weights that do not fit fail before anything is read or trained

    @classmethod
    def of(cls, training: TrainingConfig) -> EncoderFile | None:
        """That of a config; None where the config trains its encoder.

        Example:
            >>> EncoderFile.of(TrainingConfig({"network_def": {}})) is None
            True
        """
        return cls(training) if training.declares(ID) else None

    def settings(self) -> Any:
        """What the embeddings depend on, JSON-ready: the network's settings, and the file's content for its path."""
        used = reachable(self._raw, ["network_def", "encoder_embedding"])
        return results_of(used | {ID: f"sha256 {self.sha256}"})
