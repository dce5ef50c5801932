# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The training of one network of a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from monai_al.bundle import PythonTraining, RoundTraining
from monai_al.records import Item, derived_seed
from monai_al.sources import Source

__all__ = ["trained_weights"]


def trained_weights(
    training: RoundTraining | PythonTraining,
    source: Source,
    scratch: str | Path,
    items: Sequence[Item],
    *,
    validation: Sequence[Item] | None = None,
    round: int,
    purpose: str,
    seed: int = 0,
    state: Mapping[str, torch.Tensor] | None = None,
    pretrained: Mapping[str, torch.Tensor] | None = None,
) -> Mapping[str, torch.Tensor]:
    """The weights of a network that was trained on some items.

    Args:
        training: the training config.
        source: where the items lie.
        scratch: folder for files of the training, which nobody needs after it.
        items: the items, which name the files of their labels.
        validation: the items to validate on, which name the files of their labels; None: those of the source.
        round: the round.
        purpose: what the network is for; with the seed and the round it decides all randomness.
        seed: the experiment's seed.
        state: weights to begin with; None begins with new ones.
        pretrained: without a state, weights that all but the last layer begin with.

    Raises:
        ValueError: the training diverged.

    Example:
        >>> import tempfile
        >>> from monai_al.assets import find_asset
        >>> from monai_al.sources import source_of
        >>> config = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"
        >>> small = {"steps": 1, "image_size": [32, 32], "channels": [4, 8], "progress": False, "device": "cpu"}
        >>> with tempfile.TemporaryDirectory() as path:
        ...     small |= {"phantom": {"patients": 3, "shape": [32, 32, 6]}, "cache_dir": path}
        ...     training = RoundTraining(config, small)
        ...     source = source_of(training)
        ...     weights = trained_weights(training, source, path, source.data[:2], round=0, purpose="a try")
        >>> all(bool(torch.isfinite(values).all()) for values in weights.values())
        True
    """
    weights = training.run(
        source.entries(items),
        seed=derived_seed(seed, round, purpose),
        validation=source.entries(source.validation_items if validation is None else validation),
        state=state,
        pretrained=pretrained,
        scratch=scratch,
    )
    bad = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise ValueError(f"training of round {round} diverged ({bad[0]} is not finite): lower --learning_rate")
    return weights
