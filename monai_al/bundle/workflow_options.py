# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which options a Python workflow takes, and where each of them goes."""

from __future__ import annotations

import ast
import contextlib
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import BundleWorkflow, ConfigParser, PythonicWorkflow
from monai.bundle.properties import TrainProperties

from monai_al.bundle.config_files import read_config
from monai_al.bundle.errors import BundleConfigError, unknown_ids
from monai_al.bundle.knobs import has_place_for
from monai_al.bundle.property_ids import train_properties
from monai_al.bundle.workflow_file import WorkflowFile

__all__ = [
    "ATTRIBUTE",
    "CONFIG",
    "FILES",
    "PARAMETER",
    "PROPERTY",
    "READ",
    "WorkflowOptions",
    "files_by_default",
    "options_taken",
]

PARAMETER, CONFIG, PROPERTY, ATTRIBUTE = "parameter", "config", "property", "attribute"
KNOBS = {"epochs": "max_epochs"}  # the loop's word -> MONAI's property
READ = ("config_file", "properties_path")  # files that decide what a workflow of MONAI's is
FILES = (*READ, "meta_file", "logging_file")  # and those beside them
_NEVER = {"bundle_root", "properties", "workflow_type"}  # which are no options: the loop says them


@dataclass(frozen=True)
class WorkflowOptions:
    """The names that a Python workflow takes.

    Args:
        parameters: of its constructor.
        config: of the config file that a ``PythonicWorkflow`` reads, unresolved; empty where it takes no overrides.
        properties: of MONAI's training workflows, or of its own ``properties_path``.
        attributes: that it sets itself.

    Example:
        >>> options = WorkflowOptions({"dataset_dir": None}, {}, {"max_epochs"}, {"patch_size"})
        >>> [options.place_of(name) for name in ("dataset_dir", "epochs", "patch_size", "patch_sise")]
        [('dataset_dir', 'parameter'), ('max_epochs', 'property'), ('patch_size', 'attribute'), None]
    """

    parameters: Mapping[str, Any]
    config: Mapping[str, Any]
    properties: set[str]
    attributes: set[str]

    @property
    def names(self) -> list[str]:
        """All of them; parts of the config by their top-level ids."""
        known = {*self.parameters, *self.config, *self.properties, *self.attributes}
        return sorted((known | {knob for knob, name in KNOBS.items() if name in known}) - _NEVER)

    def place_of(self, name: str) -> tuple[str, str] | None:
        """The name that an option has in the workflow, and what it is there; None where it has no place.

        Args:
            name: of the option.
        """
        words = [name, *([KNOBS[name]] if name in KNOBS else [])]
        return next(((word, kind) for word in words if (kind := self._kind(word)) is not None), None)

    def _kind(self, name: str) -> str | None:
        if name in self.parameters:
            return PARAMETER
        if has_place_for(name, ConfigParser(dict(self.config))):
            return CONFIG
        if name in self.properties:
            return PROPERTY
        return ATTRIBUTE if name in self.attributes else None

    def mapped(self, options: Mapping[str, Any], train_map: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The options by the workflow's own words where the loop's have no place.

        Args:
            options: name -> value.
            train_map: the loop's word -> that of the workflow, or several.
        """
        found = {}
        for name, value in options.items():
            words = (train_map or {}).get(name, name) if self.place_of(name) is None else name
            found |= dict.fromkeys([words] if isinstance(words, str) else words, value)
        return found

    def check(self, names: Iterable[str], *, file: str) -> None:
        """Refuse options that have no place.

        Args:
            names: of the options.
            file: what the message calls the workflow.

        Raises:
            BundleConfigError: lists them with the nearest names.
        """
        unknown = [name for name in names if name in _NEVER or self.place_of(name) is None]
        if unknown:
            raise BundleConfigError(unknown_ids(unknown, self.names, f"{file} takes no such option"))


def options_taken(workflow: WorkflowFile, given: Mapping[str, Any] | None = None) -> WorkflowOptions:
    """What a workflow takes, without building one.

    Args:
        workflow: the file.
        given: options that are asked for; ``config_file`` and ``properties_path`` among them say what else it takes.

    Raises:
        BundleConfigError: one of these files cannot be read.

    Example:
        >>> class Training(PythonicWorkflow):
        ...     def __init__(self, workflow_type="train", rate=0.1): self.rate = rate
        >>> from types import ModuleType
        >>> taken = options_taken(WorkflowFile(Path("a.py"), Training, ModuleType("a"), "e3b0"))
        >>> [taken.place_of(name) for name in ("rate", "epochs", "rates")]
        [('rate', 'parameter'), ('max_epochs', 'property'), None]
    """
    parameters, takes_config = _parameters(workflow.workflow)
    asked = files_by_default(workflow) | dict(given or {})
    files = asked.get("config_file") if takes_config else None
    properties = asked.get("properties_path") if "properties_path" in parameters else None
    listed = [files] if isinstance(files, (str, Path)) else list(files or ())
    missing = [file for file in listed if not Path(file).is_file()]
    if missing:
        raise BundleConfigError(f"config_file {missing[0]} of {workflow.file.name}: there is no such file")
    with workflow.importing():
        attributes = set(_attributes(workflow.workflow))
    return WorkflowOptions(
        parameters,
        _flat(read_config(listed)) if listed else {},
        set(TrainProperties if not properties else train_properties(properties)),
        attributes,
    )


def files_by_default(workflow: WorkflowFile) -> dict[str, str]:
    """The files that a workflow reads by default, as far as they are there: parameter -> path.

    A path that is not absolute lies in the bundle, from whose folder MONAI's commands are meant to be started.

    Example:
        >>> from types import ModuleType
        >>> files_by_default(WorkflowFile(Path("a.py"), PythonicWorkflow, ModuleType("a"), "e3b0"))
        {}
    """
    defaults = {name: _parameters(workflow.workflow)[0].get(name) for name in FILES}
    paths = {name: workflow.root / path for name, path in defaults.items() if isinstance(path, (str, Path))}
    return {name: str(path) for name, path in paths.items() if path.is_file()}


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    return {id: value for id, value in config.items() if id != ConfigParser.meta_key}


def _parameters(workflow: type) -> tuple[dict[str, Any], bool]:
    """Name -> default of what the constructor takes, and whether what else it gets changes a config.

    What a constructor takes as ``**kwargs``, it hands on to that of its parent.
    """
    found: dict[str, Any] = {}
    for one in workflow.__mro__:
        if "__init__" not in vars(one):
            continue
        parameters = list(inspect.signature(vars(one)["__init__"]).parameters.values())[1:]
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        found = {p.name: None if p.default is p.empty else p.default for p in named} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return found, False
        if one is PythonicWorkflow:
            return found, True
    return found, False


def _attributes(workflow: type) -> Iterator[str]:
    """What the class and those between it and MONAI's hold or set on themselves, but for what begins with ``_``."""
    for one in workflow.__mro__:
        if one in (PythonicWorkflow, BundleWorkflow):
            return
        held = {name for name, value in vars(one).items() if _can_be_set(value)}
        yield from (name for name in {*held, *_set_on_self(one)} if not name.startswith("_"))


def _can_be_set(value: Any) -> bool:
    """Whether something that a class holds is a value, or a property with a setter."""
    return value.fset is not None if isinstance(value, property) else not (callable(value) or hasattr(value, "__get__"))


def _set_on_self(workflow: type) -> set[str]:
    source = ""
    with contextlib.suppress(OSError, TypeError):  # no source is there
        source = textwrap.dedent(inspect.getsource(workflow))
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute))
    return {node.attr for node in found if isinstance(node.ctx, ast.Store) and _is_self(node.value)}


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
