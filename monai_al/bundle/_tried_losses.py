# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loss tells of the activation by its values for made-up logits."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable
from itertools import islice, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_al.bundle._tried_tensors import CHANNELS, ITEMS, SPATIAL, plain, random_logits, same

__all__ = ["activation_of_loss"]

_ACTIVATIONS = ("softmax", "sigmoid")
_NEITHER = "neither"  # of a loss that takes the logits as they are
_MORE_CHANNELS = range(4, 17)  # for a loss with class weights of which nothing tells
_MOST_CHANNELS = 256  # that are told by class weights
_MOST_PARTS = 8  # of a loss that are tried by themselves


def activation_of_loss(loss: Any) -> str | None:
    """``"softmax"``, ``"sigmoid"`` or None, as the loss tells, else the losses within it, else their arguments."""
    whole = _tried(loss)
    if whole in _ACTIVATIONS:
        return whole
    parts = _parts(loss)
    told = [_tried(part) for part in parts[1:]]
    if whole == _NEITHER and _NEITHER in told:  # such as a Dice loss of the logits themselves beside a cross entropy
        return None
    activation = next((one for one in told if one in _ACTIVATIONS), None)
    return activation or (_by_argument(parts) if whole is None else None)


def _parts(loss: Any) -> list[Any]:
    """A loss and the modules within it."""
    held = [loss] if isinstance(loss, torch.nn.Module) else list(getattr(loss, "__dict__", {}).values())
    modules = (part for one in held if isinstance(one, torch.nn.Module) for part in one.modules() if part is not loss)
    return [loss, *islice(modules, _MOST_PARTS)]


def _by_argument(parts: list[Any]) -> str | None:
    """What losses that cannot be called with logits and a target were told."""
    for part, name in product(parts, _ACTIVATIONS):
        if getattr(part, name, False) is True or getattr(part, f"use_{name}", False) is True:
            return name
    return None


def _tried(loss: Any) -> str | None:
    """An activation; "neither" of a loss that takes the logits as they are; None of one that takes none."""
    weights = _sizes(loss)
    spoke = None
    for channels in dict.fromkeys((*weights, *CHANNELS, *_MORE_CHANNELS)):
        if spoke and channels in _MORE_CHANNELS and channels not in weights:
            break
        told = _with_channels(loss, channels)
        if told == "sigmoid" and channels > 1:
            return _told_apart(loss)
        if told in _ACTIVATIONS:
            return told
        spoke = told or spoke
    return spoke


def _told_apart(loss: Any) -> str:
    """Sigmoid, or the softmax of a part of a loss that leaves one channel as it is, beside which others saturate, too.

    Of class weights, which one channel does not take, the first part tells.
    """
    single = _with_channels(loss, 1)
    if single is None:
        return next((told for told in map(_tried, _parts(loss)[1:]) if told in _ACTIVATIONS), "sigmoid")
    return "softmax" if single == _NEITHER else "sigmoid"


def _sizes(loss: Any) -> list[int]:
    """Numbers of channels that the class weights in a loss may be for, with or without the background."""
    shapes: set[int] = set()
    for part in _parts(loss):
        held = [*getattr(part, "__dict__", {}).values(), *getattr(part, "_buffers", {}).values()]
        for one in held:
            if isinstance(one, (Tensor, np.ndarray, list, tuple)):
                with contextlib.suppress(Exception):
                    shapes.update(np.shape(one))
    return sorted({size + more for size in shapes for more in (0, 1) if 2 <= size <= _MOST_CHANNELS})


def _with_channels(loss: Any, channels: int) -> str | None:
    """What a loss tells of so many channels, in 2D or 3D, as a tensor or in a list, with whatever target it takes."""
    spoke = None
    with contextlib.suppress(Exception):
        own = copy.deepcopy(loss)  # anew: some adapt their weights to the first logits they see
        own = own.cpu() if isinstance(own, torch.nn.Module) else own
        for spatial, listed in product(SPATIAL, (False, True)):
            labels = _labels(channels, spatial)
            masks = _masks(labels, channels)
            for target in (labels[:, None].float(), masks, labels, labels[:, None]):
                with contextlib.suppress(Exception):
                    told = _told(lambda x, y=target, listed=listed: _value(own, x, y, listed=listed), masks)
                    if told in _ACTIVATIONS:
                        return told
                    spoke = told or spoke
            if spoke:
                break
    return spoke


def _value(loss: Callable[[Any, Tensor], Any], logits: Tensor, target: Tensor, *, listed: bool) -> Tensor:
    for seed in (torch.default_generator.manual_seed, np.random.seed, random.seed):  # for a loss that draws
        seed(0)
    return plain(loss([logits.clone()] if listed else logits.clone(), target.clone()))


def _told(value: Callable[[Tensor], Tensor], masks: Tensor) -> str | None:
    """What a loss tells by its values for several logits, of which those that are above 0 in the masks are right."""
    logits, other, shift = random_logits(3, *masks.shape)
    first = value(logits)
    if not first.isfinite().all() or same(first, value(other)):
        return None
    if same(first, value(logits + shift[:, :1])):
        return "softmax"
    right = 2 * masks - 1
    best = value(40 * right)
    flat = same(best, value(80 * right)) and bool(best.sum() <= value(40 * masks).sum())
    # else the logits are cut off, or their scale does not count
    bends = flat and not (same(best, value(2 * right)) and same(value(-40 * right), value(-2 * right)))
    return "sigmoid" if bends else _NEITHER


def _labels(channels: int, spatial: tuple[int, ...]) -> Tensor:
    """Class numbers ``(B, *spatial)``, the last class most often; of one channel, most is background."""
    order = random_logits(ITEMS, *spatial).flatten(1).argsort(1) % (channels + 3)
    return (order.clamp(max=channels - 1) if channels > 1 else (order == 0).long()).reshape(ITEMS, *spatial)


def _masks(labels: Tensor, channels: int) -> Tensor:
    """What is 1 in each channel, ``(B, C, *spatial)``."""
    masks = labels[:, None] if channels == 1 else torch.nn.functional.one_hot(labels, channels).movedim(-1, 1)
    return masks.float()
