# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a transform tells of the activation by what it makes of made-up logits."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable
from itertools import product
from typing import Any

from monai.data import MetaTensor
from monai.transforms import SaveImage
from torch import Tensor

from monai_al.bundle._tried_tensors import CHANNELS, ITEMS, SPATIAL, plain, random_logits, same

__all__ = ["activation_of_transform"]


def activation_of_transform(transform: Any) -> str | None:
    """``"softmax"``, ``"sigmoid"`` or None, tried in a dictionary and alone, on an item and on a batch."""
    if _works_with_files(transform):
        return None
    with contextlib.suppress(Exception):
        own = copy.deepcopy(transform)
        for call, batch, channels, spatial in product((_in_dictionary, _alone), ((), (ITEMS,)), CHANNELS, SPATIAL):
            with contextlib.suppress(Exception):
                told = _told(call, own, (*batch, channels, *spatial), len(batch))
                if told is not None:
                    return told
    return None


def _works_with_files(transform: Any) -> bool:
    """Whether it holds a saver or a path."""
    held = (transform, *getattr(transform, "__dict__", {}).values())
    return any(isinstance(one, (SaveImage, os.PathLike)) or isinstance(one, str) and os.sep in one for one in held)


def _told(call: Callable[[Any, Tensor, int], Any], transform: Any, shape: tuple[int, ...], dim: int) -> str | None:
    """What it tells by its output for logits of a shape, with the channels in dimension ``dim``."""
    logits, other, shift = random_logits(3, *shape)
    output = plain(call(transform, logits, dim))
    if any(same(output, meant) for meant in (logits.sigmoid(), (logits > 0).float())):
        return "sigmoid"
    shifted, of_other = (plain(call(transform, x, dim)) for x in (logits + shift.narrow(dim, 0, 1), other))
    return "softmax" if same(output, shifted) and not same(output, of_other) else None


def _in_dictionary(transform: Any, logits: Tensor, dim: int) -> Any:
    """What becomes of the prediction in the dictionary of an item (``dim`` 0) or of a batch (1)."""
    keys = getattr(transform, "keys", ())
    keys = keys if isinstance(keys, tuple) else ()
    judged = "pred" if "pred" in keys else next((key for key in keys if key not in ("image", "label")), "pred")
    label = (logits.narrow(dim, 0, 1) > 0).float()
    data = {**dict.fromkeys(keys, label), "image": label, "label": label, judged: logits}
    return transform({key: MetaTensor(value.clone()) for key, value in data.items()})[judged]


def _alone(transform: Any, logits: Tensor, dim: int) -> Any:
    return transform(MetaTensor(logits.clone()))
