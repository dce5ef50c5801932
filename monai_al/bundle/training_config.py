# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A training config, from files or from a run's record: what it declares, and the objects behind its ids."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.inferers import SimpleInferer

from monai_al.bundle.activation import told_activation
from monai_al.bundle.bundle_modules import importing_from
from monai_al.bundle.engine_ids import engine_ids
from monai_al.bundle.errors import BundleConfigError, own_errors, unknown_ids
from monai_al.bundle.found_parts import FoundParts, find_parts, refuse_undeclared
from monai_al.bundle.knobs import has_place_for, targets_of
from monai_al.bundle.training_parts import TrainingParts
from monai_al.bundle.validation_use import decides_on_validation, deciding_handlers
from monai_al.inferers import TrainedNetwork
from monai_al.options import literal
from monai_al.uncertainty import ACTIVATIONS

__all__ = ["TrainingConfig"]

# MONAI's standard ids of what is not found as an object; the engine's own come first
_USUAL = {
    "network": ("network_def",),
    "device": ("device", "{trainer}::device"),
    "inferer": ("{evaluator}::inferer", "validate::inferer", "{trainer}::inferer", "train::inferer"),
    "postprocessing": (
        "{evaluator}::postprocessing", "validate::postprocessing", "{trainer}::postprocessing", "train::postprocessing",
    ),
    "loss": ("{trainer}::loss_function", "loss", "train::loss"),
}  # fmt: skip
POOL_ID, CACHE_ID = "pool", "cache"


class TrainingConfig:
    """A training config with overrides, unresolved.

    Args:
        config: the merged config.
        overrides: id -> value, unresolved as in a config file. An id that the config does not declare must be a knob.
        root: the bundle's folder, for its ``bundle_root`` and its own scripts; None leaves both as they are.
        name: what errors call it.
        train_map: knob -> the id, or ids, that it sets where the config has no id of the knob's name, beside the usual
            ones (``epochs``, ``batch_size``, ``learning_rate``, ``num_workers``).
        bundle_ids: role of :data:`monai_al.bundle.found_parts.ROLES` -> id, where it is not found by what it is.
        ids: role -> id as they were found before; a role whose id is None is found anew.

    Raises:
        BundleConfigError: an override names an id that the config does not declare, and no knob; or ``bundle_ids``
            names a part that there is not, or an id that the config does not declare.

    Example:
        >>> inner = {"loss": {"_target_": "DiceLoss", "softmax": True}, "batch_size": 4}
        >>> config = TrainingConfig(inner, {"batch_size": 2})
        >>> config.resolve("batch_size"), config.declares("loss#softmax"), config.declares("batch_sise")
        ([2], True, False)
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        overrides: Mapping[str, Any] | None = None,
        *,
        root: Path | None = None,
        name: str = "the training config",
        train_map: Mapping[str, Any] | None = None,
        bundle_ids: Mapping[str, str] | None = None,
        ids: Mapping[str, str | None] | None = None,
    ) -> None:
        self.name, self.root = name, root
        self.ids: dict[str, str | None] = dict(ids or {})
        self.weights: list[dict[str, Any]] | None = None  # the files that it loads into its network by itself
        self._bundle_ids = dict(bundle_ids or {})
        self._deciding: list[str] | None = None
        self._declared = {key: value for key, value in config.items() if key != "_meta_"}
        self._ids = ConfigParser(self._declared)
        refuse_undeclared(name, self._bundle_ids, self._ids)
        self._shared: dict[str, Any] = {}
        self.overrides: dict[str, Any] = {}
        unknown = []
        for id, value in (overrides or {}).items():
            targets = [id] if has_place_for(id, self._ids) else targets_of(id, self._ids, train_map)
            unknown += [] if targets else [id]
            self.overrides |= dict.fromkeys(targets, value)
        if unknown:
            raise BundleConfigError(unknown_ids(unknown, self._declared, f"{name} declares no such id"))

    def declares(self, id: str) -> bool:
        """Whether the config holds this id (``#`` or ``::`` between its levels)."""
        return id in self._ids

    @property
    def has_pool(self) -> bool:
        """Whether the config gives its items itself; one that was written without this package does not."""
        return self.declares(POOL_ID) and self.declares(CACHE_ID)

    def find(self) -> FoundParts:
        """What a config that was written without this package trains, reads and validates by; see :func:`find_parts`.

        Raises:
            BundleConfigError: it lacks a part that active learning needs.
        """
        found = find_parts(self, self._bundle_ids)
        self.ids, self.weights = found.ids, found.weights
        self._deciding = deciding_handlers([found.parts.trainer, found.parts.evaluator])
        return found

    def places_of(self, role: str) -> list[str]:
        """The ids of the config that may hold a part, the one that was found first."""
        engines = {**engine_ids(self._ids), **{key: id for key, id in self.ids.items() if id}}
        usual = [id.format_map(engines) for id in _USUAL.get(role, ())]
        return [id for id in dict.fromkeys([*filter(None, [self.ids.get(role)]), *usual]) if id in self._ids]

    def raw(self) -> dict[str, Any]:
        """The config with the overrides, unresolved."""
        return {key: value for key, value in self.parser(self.overrides).get().items() if key != "_meta_"}

    def deciding(self) -> list[str]:
        """What of it lets validation scores decide how training goes on, or when it ends."""
        return decides_on_validation(self.raw()) if self._deciding is None else self._deciding

    def share(self, **objects: Any) -> None:
        """Use these objects for their ids from now on, instead of building them anew."""
        self._shared = objects

    def resolve(self, *ids: str) -> list[Any]:
        """The objects behind some ids, from one fresh parse of the config.

        Raises:
            BundleConfigError: the config does not declare an id.
        """
        parser = self.parser(self.all_overrides())
        missing = [id for id in ids if id not in parser]
        if missing:
            head, *inner = missing[0].replace("::", "#").split("#")
            raise BundleConfigError(
                f"{self.name} declares no {'#'.join([head, *inner])!r}"
                + (f"; an overlay or option that sets {head} takes the place of all of it: set a part of it by "
                   "--nested_overrides" if inner and head in self.overrides else "")
            )  # fmt: skip
        with own_errors(), self.importing():
            return [parser.get_parsed_content(id) for id in ids]

    def load(self, state: Mapping[str, torch.Tensor] | None, activation: str | None = None) -> TrainedNetwork:
        """A network with these weights, and how to predict with it.

        Args:
            state: ``state_dict`` of ``network_def``; None leaves the network as the config builds it.
            activation: softmax, sigmoid, multilabel or none; None reads it off the config.

        Raises:
            BundleConfigError: the activation is not given and cannot be read off the config.
        """
        parser = self.parser(self.all_overrides())
        roles = ["network", "inferer", *(["postprocessing"] if activation is None else [])]
        parts = self.find().parts if any(map(self._is_hidden, roles)) else None
        with own_errors(), self.importing():
            device = torch.device(_first_of(parser, self.places_of("device")) or "cpu")
            with torch.random.fork_rng():  # its first weights are drawn, and dropped
                network = self._content("network", parser, parts)
            if network is None:
                raise BundleConfigError(f"{self.name} declares no 'network_def', the network that is trained")
            inferer = self._content("inferer", parser, parts)
            found = activation or self._activation(parser, parts)
        if state is not None:
            network.load_state_dict(state)
        return TrainedNetwork(network.to(device), device, inferer or SimpleInferer(), found)

    def _content(self, role: str, parser: ConfigParser, parts: TrainingParts | None) -> Any:
        """The object of a part, from this parser, or among those that were found where it stands in another alone."""
        return getattr(parts, role) if self._is_hidden(role) else _first_of(parser, self.places_of(role))

    def _is_hidden(self, role: str) -> bool:
        """Whether a part was found that no id holds."""
        return role in self.ids and self.ids[role] is None

    def _activation(self, parser: ConfigParser, parts: TrainingParts | None) -> str:
        given = parser.get_parsed_content("activation") if "activation" in parser else None
        if given in ACTIVATIONS:  # a bundle may call something else so
            return given
        postprocessing = self._content("postprocessing", parser, parts)
        return told_activation(postprocessing, (parser.get_parsed_content(id) for id in self.places_of("loss")))

    def all_overrides(self, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The overrides, the shared objects and where the bundle lies."""
        root = {"bundle_root": literal(str(self.root))} if self.root and self.declares("bundle_root") else {}
        return {**root, **self.overrides, **self._shared, **(more or {})}

    def parser(self, overrides: Mapping[str, Any]) -> ConfigParser:
        """A fresh parser of the config with these overrides."""
        parser = ConfigParser(copy.deepcopy(self._declared))
        parser.update(pairs=dict(overrides))
        return parser

    def importing(self) -> AbstractContextManager[None]:
        """Let the config import the bundle's own scripts, as MONAI's workflows do while they run."""
        return importing_from(self.root)


def _first_of(parser: ConfigParser, ids: Sequence[str]) -> Any:
    """The object behind the first of some ids that stands for one."""
    found = (parser.get_parsed_content(id) for id in ids if id in parser)
    return next((one for one in found if one is not None), None)
