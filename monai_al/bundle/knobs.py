# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the common knobs go in a training config that has no flat ids of their names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pydoc import locate
from typing import Any

from monai.bundle import ConfigComponent

from monai_al.bundle.engine_ids import engine_ids

__all__ = ["DROPOUT", "KNOBS", "has_place_for", "targets_of"]

DROPOUT = "dropout"  # the network takes it whether or not the config says so
# the names in braces are those of engine_ids
KNOBS: Mapping[str, tuple[str, ...]] = {
    "epochs": ("{trainer}#max_epochs",),
    "batch_size": ("{train_loader}#batch_size",),
    "learning_rate": ("{optimizer}#lr", "optimizer#lr", "train#optimizer#lr"),
    "num_workers": ("{train_loader}#num_workers", "{val_loader}#num_workers"),
    DROPOUT: ("{network}#dropout", "{network}#dropout_prob", "{network}#dropout_rate", "{network}#drop_rate"),
    "amp": ("{trainer}#amp", "{evaluator}#amp"),
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

        >>> from monai.bundle import ConfigParser
        >>> config = ConfigParser({"network_def": {"_target_": "UNet", "spatial_dims": 2}})
        >>> targets_of("dropout", config)
        ['network_def#dropout']
    """
    places = {**KNOBS, **(train_map or {})}.get(knob, ())
    places = (places,) if isinstance(places, str) else tuple(places)
    engines = {name: id.replace("::", "#") for name, id in engine_ids(config).items()}
    ids = [id.format_map(engines) for id in places]
    found = list(dict.fromkeys(_followed(id, config) for id in ids if id in config))
    if found or knob != DROPOUT:
        return found
    taken = _arguments(config[engines["network"]]) if engines["network"] in config else ()
    return [id for id in ids if id.rpartition("#")[2] in taken][:1]


def _arguments(component: Any) -> tuple[str, ...]:
    """The names of the arguments that a component of a config takes."""
    if not ConfigComponent.is_instantiable(component):
        return ()
    try:
        made: Any = locate(str(ConfigComponent(config=dict(component)).resolve_module_name()))
        return tuple(inspect.signature(made).parameters)
    except Exception:  # what cannot be imported is told where it is built
        return ()


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
