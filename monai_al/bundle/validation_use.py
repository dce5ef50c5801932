# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether validation labels decide anything in a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from monai_al.bundle.training_parts import handlers_of

__all__ = ["decides_on_validation", "deciding_handlers"]

_DECIDING = ("EarlyStopHandler", "EarlyStopping", "ReduceLROnPlateau")


def decides_on_validation(config: Any) -> list[str]:
    """The components of a training config that let validation scores decide when or how training goes on.

    Args:
        config: the unresolved config, or a part of it.

    Example:
        >>> decides_on_validation({"validate": {"handlers": [{"_target_": "EarlyStopHandler", "patience": 5}]}})
        ['EarlyStopHandler']
        >>> decides_on_validation({"handlers": [{"_target_": "EarlyStopHandler", "_disabled_": True}]})
        []
    """
    if isinstance(config, Mapping):
        if config.get("_disabled_") is True:
            return []
        name = str(config.get("_target_", "")).rpartition(".")[2]
        own = [name] if name in _DECIDING else []
        return sorted({*own, *(found for value in config.values() for found in decides_on_validation(value))})
    if isinstance(config, (list, tuple)):
        return sorted({found for value in config for found in decides_on_validation(value)})
    return []


def deciding_handlers(engines: Iterable[Any]) -> list[str]:
    """The handlers of engines that are built which do so.

    Args:
        engines: the trainer and what validates it; None is passed over.

    Example:
        >>> from ignite.engine import Engine
        >>> from monai.handlers import EarlyStopHandler
        >>> evaluator = Engine(lambda engine, batch: None)
        >>> EarlyStopHandler(patience=5, score_function=lambda engine: 0.0, trainer=evaluator).attach(evaluator)
        >>> deciding_handlers([None, evaluator])
        ['EarlyStopHandler']
    """
    handlers = [getattr(handler, "__self__", handler) for engine in engines for _, handler in handlers_of(engine)]
    held = [(type(one).__name__, getattr(one, "__dict__", {})) for one in handlers]  # a metric has any attribute
    stops = {name for name, own in held if {"patience", "score_function"} <= set(own)}
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    return sorted(stops | {plateau.__name__ for _, own in held if isinstance(own.get("lr_scheduler"), plateau)})
