# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle is for that is not for segmentation, told by what it trains, reads and gives.

Each function gives one sentence, or None where nothing speaks against segmentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from monai.engines import Evaluator

__all__ = ["of_call", "of_clicks", "of_engine", "of_entries", "of_first", "of_output", "of_two_images"]

SEGMENTATION = "active learning here is for segmentation"
_LABEL, _IMAGE = "label", "image"
_LOOKED_AT = 20  # entries; a scan without any finding has an empty list of boxes
_BOX, _POINT = (4, 6), (2, 3)  # numbers of a box and of a point, in 2D and 3D
_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)")


def of_engine(trainer: Any) -> str | None:
    """Of an engine that trains nothing, or several networks.

    Args:
        trainer: what a config runs.

    Example:
        >>> from types import SimpleNamespace
        >>> one, other = (torch.optim.SGD(torch.nn.Linear(1, 1).parameters()) for _ in range(2))
        >>> of_engine(SimpleNamespace(g_optimizer=one, d_optimizer=other)).partition(":")[0]
        'this bundle trains several networks at once, as those that generate images do'
        >>> of_engine(SimpleNamespace(optimizer=one)) is None
        True
    """
    if isinstance(trainer, Evaluator):
        return (
            f"this bundle only applies a network: it runs a {type(trainer).__name__} and no trainer; active learning "
            "needs a training config"
        )
    held = {**getattr(getattr(trainer, "state", None), "__dict__", {}), **getattr(trainer, "__dict__", {})}
    optimizers = [name for name, one in held.items() if isinstance(one, torch.optim.Optimizer)]
    networks = [name for name, one in held.items() if isinstance(one, torch.nn.Module) and "loss" not in name]
    alone = isinstance(held.get("network"), torch.nn.Module)
    if len(optimizers) < 2 and (alone or len(networks) < 2):
        return None
    return (
        "this bundle trains several networks at once, as those that generate images do: its "
        f"{type(trainer).__name__} has {' and '.join(networks if len(networks) > 1 else optimizers)}; {SEGMENTATION}, "
        "by one network"
    )


def of_entries(entries: Iterable[Any], label_key: str = _LABEL) -> str | None:
    """Of entries whose labels are numbers, boxes or points.

    Args:
        entries: those of a data set; only the first are looked at.
        label_key: the key of their labels.

    Example:
        >>> of_entries([{"image": "a.png", "label": 3}]).partition(":")[0]
        'this bundle classifies images'
        >>> of_entries([{"image": "a.nii", "label": [0], "box": [[1, 2, 3, 4, 5, 6]]}]).partition(":")[0]
        'this bundle detects objects'
        >>> of_entries([{"image": "a.nii", "label": "b.nii"}]) is None
        True
    """
    for entry in islice((one for one in entries if isinstance(one, Mapping)), _LOOKED_AT):
        found = ((key, _numbers(value)) for key, value in entry.items() if key != _IMAGE)
        shapes = {key: shape for key, shape in found if shape is not None}
        boxes = [key for key, shape in shapes.items() if _are_boxes(key, shape)]
        label = shapes.get(label_key)
        if boxes and (label is not None or label_key not in entry):
            return f"this bundle detects objects: its items come with boxes ({boxes[0]!r}); {SEGMENTATION}"
        if label is not None and not boxes and len(label) < 2 and 0 not in label:
            what = "a number" if not label else "a list of numbers"
            return f"this bundle classifies images: the {label_key!r} of its items is {what}, no mask; {SEGMENTATION}"
        if label is not None and len(label) == 2 and label[1] in _POINT:
            return (
                f"this bundle finds points such as landmarks: the {label_key!r} of its items is {label[0]} of them, no "
                f"mask; {SEGMENTATION}"
            )
    return None


def of_first(dataset: Any) -> str | None:
    """Of a data set without a list of entries, by the first thing that it gives.

    Args:
        dataset: what a loader reads.

    Example:
        >>> pair = torch.rand(2, 4, 4)
        >>> of_first(iter([{"image": pair, "label": pair[1:]}])).partition(":")[0]
        'this bundle takes two images at a time, as registration does'
    """
    try:
        first = next(iter(dataset), None)
    except Exception:  # what it fails by is told where it trains
        return None
    if not isinstance(first, Mapping) or not {_IMAGE, _LABEL} <= set(first):
        return None
    image, label = torch.as_tensor(first[_IMAGE]), torch.as_tensor(first[_LABEL])
    pairs = image.ndim == label.ndim and len(image) == 2 and len(label) == 1
    if not pairs or not any(torch.equal(channel, label[0]) for channel in image):
        return None
    return (
        "this bundle takes two images at a time, as registration does: the label of its items is one of them; "
        f"{SEGMENTATION}"
    )


def of_two_images(given: Any) -> str | None:
    """Of what a preprocessing gives, where that has no image of its own but several others.

    Args:
        given: what it made of an entry.

    Example:
        >>> images = {"fixed": torch.zeros(1, 4, 4), "moving": torch.zeros(1, 4, 4), "name": "a"}
        >>> of_two_images(images).partition(";")[0]
        "this bundle takes several images at a time, as registration does: 'fixed' and 'moving'"
    """
    if not isinstance(given, Mapping) or _IMAGE in given:
        return None
    keys = [repr(key) for key, value in given.items() if isinstance(value, torch.Tensor) and value.ndim > 2]
    keys = [key for key in keys if _LABEL not in key]
    if len(keys) < 2:
        return None
    return f"this bundle takes several images at a time, as registration does: {' and '.join(keys)}; {SEGMENTATION}"


def of_clicks(stored: int, seen: int) -> str:
    """Of a preprocessing that adds channels to the image which it makes from the label.

    Args:
        stored: channels of the image as it is read.
        seen: channels that the network sees.

    Example:
        >>> of_clicks(1, 3).partition(":")[0]
        'this bundle needs prompts such as clicks'
    """
    return (
        f"this bundle needs prompts such as clicks: of the {seen} channels that its network sees {seen - stored} "
        f"{'is' if seen - stored == 1 else 'are'} made from the label, which must not be read before it is annotated"
    )


def of_call(error: BaseException) -> str | None:
    """Of a network, or of an inferer, that takes more than an image.

    Args:
        error: what came of calling it with an image alone.

    Example:
        >>> class Denoiser(torch.nn.Module):
        ...     def forward(self, x, timesteps): ...
        >>> try:
        ...     Denoiser()(torch.zeros(1))
        ... except TypeError as error:
        ...     of_call(error).partition(";")[0]
        'this bundle is made to generate images or to take prompts: beside the image it needs timesteps'
    """
    lacking = _MISSING.search(str(error)) if isinstance(error, TypeError) else None
    if lacking is None:
        return None
    needs = lacking[1].replace("'", "")
    return (
        f"this bundle is made to generate images or to take prompts: beside the image it needs {needs}; {SEGMENTATION} "
        "by what an image shows"
    )


def of_output(output: Any, image: Sequence[int]) -> str | None:
    """Of what a network gives for an image.

    Args:
        output: for a batch of one image.
        image: shape of the image, ``(C, *spatial)``.

    Example:
        >>> of_output(torch.zeros(1, 4), (3, 64, 64)).partition(";")[0]
        'this bundle classifies images: its network gives 4 numbers for an image'
        >>> of_output(torch.zeros(1, 2, 10), (1, 64, 64)).partition(";")[0]
        'this bundle finds points such as landmarks: its network gives 2 x 10 numbers for an image'
        >>> of_output([{"box": torch.zeros(0, 6), "label": torch.zeros(0)}], (1, 8, 8, 8)).partition(";")[0]
        'this bundle detects objects: its network gives lists of box and label'
        >>> of_output(torch.zeros(1, 2, 8, 8), (1, 8, 8)) is None
        True
    """
    if isinstance(output, (list, tuple)) and output and all(isinstance(one, Mapping) for one in output):
        return f"this bundle detects objects: its network gives lists of {' and '.join(output[0])}; {SEGMENTATION}"
    if isinstance(output, Mapping):
        return f"this bundle gives several things at once: {', '.join(map(str, output))}; {SEGMENTATION} by one of them"
    if not isinstance(output, torch.Tensor):
        return None
    shape = tuple(output.shape[1:])
    numbers = [n for n in shape if n > 1] or [1]
    one_vector = output.ndim == 2 or output.ndim == len(image) + 1 and len(numbers) < 2 and set(shape[1:]) == {1}
    if output.ndim == 1 or one_vector and max(image[1:], default=1) > 1:
        told = f"{numbers[0]} number{'s' if numbers[0] > 1 else ''}"
        return f"this bundle classifies images: its network gives {told} for an image; {SEGMENTATION}"
    if 2 < output.ndim < len(image) + 1:
        told = " x ".join(map(str, shape))
        what = "this bundle finds points such as landmarks"
        return f"{what}: its network gives {told} numbers for an image; {SEGMENTATION}"
    return None


def _are_boxes(key: str, shape: Sequence[int]) -> bool:
    """Whether numbers are a list of boxes, and no affine."""
    return len(shape) == 2 and shape[1] in _BOX and (tuple(shape) != (4, 4) or "box" in key)


def _numbers(value: Any) -> tuple[int, ...] | None:
    """The shape of a number or of numbers in lists; None of anything else."""
    if isinstance(value, (str, bytes, Mapping)) or value is None:
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return array.shape if array.dtype.kind in "biuf" else None
