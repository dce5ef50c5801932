# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether validation labels decide anything in a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["decides_on_validation"]

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
