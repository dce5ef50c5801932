# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What training configs call by name: their length, the best weights."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_al.bundle.errors import BundleConfigError
from monai_al.moved import moved

__all__ = ["load_best_weights", "training_length"]


def training_length(
    steps: int | None,
    epochs: int | None,
    default_steps: int,
    steps_per_epoch: int | None = None,
    *,
    needs_validation: bool = False,
    validated: bool = False,
    validation_fraction: float = 0.0,
) -> tuple[int, int | None]:
    """How long to train: optimizer steps with replacement, or epochs as passes over the labeled items.

    Args:
        steps: optimizer steps, or None.
        epochs: passes over the data, or None.
        default_steps: steps where neither is given.
        steps_per_epoch: steps between two validations; None counts all steps as one epoch.
        needs_validation: the best model is asked for, or early stopping.
        validated: there is something to validate on.
        validation_fraction: above 0 says the same, in configs of bundles before version 0.1.7.

    Returns:
        ``(max_epochs, steps per epoch)``; the second is None where epochs are passes over the data.

    Raises:
        BundleConfigError: both are given, a number is below 1, the steps do not divide into epochs, or
            validation is needed and never or only once takes place.

    Example:
        >>> training_length(500, None, default_steps=300, steps_per_epoch=50)
        (10, 50)
        >>> training_length(None, 20, default_steps=300)
        (20, None)
    """
    if steps is not None and epochs is not None:
        raise BundleConfigError(f"--steps ({steps}) and --epochs ({epochs}) are both given: give one, the other null")
    total = default_steps if steps is None and epochs is None else steps
    for name, number in (("epochs", epochs), ("steps", total)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise BundleConfigError(f"{name} must be a whole number of at least 1, got {number!r}")
    length = (epochs or 0, None) if total is None else _in_epochs(total, steps_per_epoch)
    if needs_validation and not (validated or validation_fraction):
        raise BundleConfigError(
            "model: best and early_stopping need validation labels: give --validation_fraction, such as 0.15, or in a "
            "loop --validate_on labeled, which leaves some of the labeled patients out of the training"
        )
    if needs_validation and length[0] == 1:
        raise BundleConfigError(
            "model: best and early_stopping need several validations: give --steps_per_epoch, the steps between two"
        )
    return length


def _in_epochs(total: int, steps_per_epoch: int | None) -> tuple[int, int]:
    per_epoch = min(steps_per_epoch or total, total)
    if total % per_epoch:
        raise BundleConfigError(
            f"steps ({total}) must be a multiple of the steps between two validations ({per_epoch}): change one of them"
        )
    return total // per_epoch, per_epoch


def load_best_weights(network: torch.nn.Module, ckpt_dir: str | Path, filename: str = "best.pt") -> None:
    """Load the checkpoint that was best on validation into a network.

    Args:
        network: gets the weights.
        ckpt_dir: where ``CheckpointSaver`` wrote.
        filename: the checkpoint, ``{"model": state_dict}``.

    Raises:
        FileNotFoundError: validation never took place.

    Example:
        >>> load_best_weights(torch.nn.Identity(), "nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: nowhere/best.pt: no best model was saved; is there a validation part (validation_fraction)?
    """
    path = Path(ckpt_dir) / filename
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.as_posix()}: no best model was saved; is there a validation part (validation_fraction)?"
        )
    content = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(content.get("model", content))


__getattr__ = moved(__name__, {"infer_activation": "monai_al.bundle.activation"})
