# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the common knobs go in a training config that has no flat ids of their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["KNOBS", "has_place_for", "targets_of"]

KNOBS: Mapping[str, tuple[str, ...]] = {
    "epochs": ("train#trainer#max_epochs",),
    "batch_size": ("train#dataloader#batch_size",),
    "learning_rate": ("optimizer#lr", "train#optimizer#lr"),
    "num_workers": ("train#dataloader#num_workers", "validate#dataloader#num_workers"),
    "dropout": ("network_def#dropout", "network_def#dropout_prob", "network_def#dropout_rate"),
    "amp": ("train#trainer#amp", "validate#evaluator#amp"),
}
_REFERENCE = re.compile(r"@([\w#:]+)$")


def targets_of(knob: str, config: Any, train_map: Mapping[str, Any] | None = None) -> list[str]:
    """The ids of a config that a knob sets; a mere reference is followed to the id that it names.

    Args:
        knob: such as ``epochs``.
        config: a parser, or a mapping from ids to their unresolved values.
        train_map: knob -> id or ids, over :data:`KNOBS`.

    Example:
        >>> targets_of("epochs", {"train#trainer#max_epochs": "@max_epochs", "max_epochs": 300})
        ['max_epochs']
        >>> targets_of("epochs", {})
        []
    """
    places = {**KNOBS, **(train_map or {})}.get(knob, ())
    places = (places,) if isinstance(places, str) else tuple(places)
    return list(dict.fromkeys(_followed(id, config) for id in places if id in config))


def has_place_for(id: str, config: Any) -> bool:
    """Whether a config declares an id, or builds an object of its parent, so that it is an argument of that.

    Args:
        id: with ``#`` or ``::`` between its levels.
        config: a parser.

    Example:
        >>> from monai.bundle import ConfigParser
        >>> config = ConfigParser({"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.1}})
        >>> [has_place_for(id, config) for id in ("optimizer#lr", "optimizer#betas", "optimiser#lr")]
        [True, True, False]
    """
    if id in config:
        return True
    parent = id.replace("#", "::").rpartition("::")[0]
    return bool(parent) and parent in config and isinstance(config[parent], Mapping) and "_target_" in config[parent]


def _followed(id: str, config: Any) -> str:
    seen = {id}
    while (match := _REFERENCE.match(str(config[id]))) and match[1] in config and match[1] not in seen:
        id = match[1]
        seen.add(id)
    return id
