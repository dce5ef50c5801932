# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which activation belongs to a network's output, found by trying the parts of its workflow on made-up logits."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from monai_al.bundle._tried_losses import activation_of_loss
from monai_al.bundle._tried_transforms import activation_of_transform
from monai_al.bundle.errors import BundleConfigError

__all__ = ["infer_activation", "told_activation"]


def infer_activation(postprocessing: Any, loss: Any) -> str | None:
    """Try a workflow's postprocessing, then its loss, on small random logits.

    The first transform that tells decides. It is of a softmax if a constant added to all channels of a pixel changes
    nothing in what it gives, as with probabilities and with the class numbers of an argmax; of a sigmoid if it gives
    ``sigmoid(logits)``, or 1 where the logits are above 0. A transform that fails, changes nothing or works with files,
    such as one that saves images, is passed over.

    A loss is of a softmax if such a constant does not change it, and of a sigmoid if it is the same for right logits of
    40 and of 80. If it adds something else to that, or does not take logits and a target, the losses within it tell.

    Nothing that is tried changes, and no random number is drawn from the process.

    Args:
        postprocessing: the validation's postprocessing, a transform or a list of some, or None.
        loss: the training loss, or None.

    Returns:
        ``"softmax"``, ``"sigmoid"`` or None where neither tells.

    Example:
        >>> from monai.losses import DiceCELoss
        >>> infer_activation(None, DiceCELoss(softmax=True))
        'softmax'
        >>> infer_activation(lambda data: {**data, "pred": data["pred"] > 0}, None)
        'sigmoid'
    """
    with _apart():
        told = next(filter(None, map(activation_of_transform, _flat(postprocessing))), None)
        return told or (None if loss is None else activation_of_loss(loss))


def told_activation(postprocessing: Any, losses: Iterable[Any]) -> str:
    """The activation that a postprocessing or the first of some losses tells.

    Args:
        postprocessing: what is done to predictions, or None.
        losses: what the network is trained by.

    Raises:
        BundleConfigError: none tells it.

    Example:
        >>> told_activation(None, [torch.nn.CrossEntropyLoss()])
        'softmax'
    """
    found = next(filter(None, (infer_activation(postprocessing, loss) for loss in (*losses, None))), None)
    if found is None:
        raise BundleConfigError(
            "neither the postprocessing nor the loss tells the activation: give --activation softmax, sigmoid, "
            "multilabel or none"
        )
    return found


def _flat(transform: Any) -> Iterator[Any]:
    """A transform, or the transforms in it."""
    parts = transform if isinstance(transform, (list, tuple)) else getattr(transform, "transforms", None)
    if isinstance(parts, (list, tuple)):
        for part in parts:
            yield from _flat(part)
    elif transform is not None:
        yield transform


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Without gradients and warnings; the process's random numbers stay as they are."""
    python, numpy_state = random.getstate(), np.random.get_state()
    with warnings.catch_warnings(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)
