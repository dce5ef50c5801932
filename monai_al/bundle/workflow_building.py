# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A Python workflow, built anew with its options again and again."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import BundleWorkflow, ConfigParser

from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.process_state import quiet
from monai_al.bundle.workflow_file import WorkflowFile
from monai_al.bundle.workflow_options import (
    ATTRIBUTE,
    CONFIG,
    FILES,
    PARAMETER,
    PROPERTY,
    READ,
    files_by_default,
    options_taken,
)
from monai_al.failures.words import one_line
from monai_al.options import literal, literal_of
from monai_al.records import content_hash

__all__ = ["CKPT_DIR", "WorkflowBuilder", "content_of"]

CKPT_DIR = "ckpt_dir"  # which a workflow may read weights from
FOLDERS = ("output_dir", CKPT_DIR, "save_dir", "log_dir", "cache_dir")
_MAX_EPOCHS, _DEVICE, _ROOT, _META = "max_epochs", "device", "bundle_root", "meta_file"


class WorkflowBuilder:
    """Builds a workflow of a Python file.

    Args:
        file: the file and its class.
        options: name -> value, unresolved as in a config file.
        train_map: the loop's word for an option -> the workflow's.
        keeps_weights: leave ``ckpt_dir`` as it is, from which the workflow loads weights.

    Raises:
        BundleConfigError: the workflow takes no such option.

    Example:
        >>> from types import ModuleType
        >>> from monai.bundle import PythonicWorkflow
        >>> class Training(PythonicWorkflow):
        ...     def __init__(self, workflow_type="train", rate=0.1): self.rate = rate
        >>> file = WorkflowFile(Path("scripts/workflow.py"), Training, ModuleType("workflow"), "e3b0")
        >>> WorkflowBuilder(file, {"rates": 0.2})
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: --rates: workflow.py takes no such option; did you mean rate?
    """

    def __init__(
        self,
        file: WorkflowFile,
        options: Mapping[str, Any],
        train_map: Mapping[str, Any] | None = None,
        *,
        keeps_weights: bool = False,
    ) -> None:
        options = _with_absolute_files(options)
        self.file = file
        self.taken = options_taken(file, content_of({name: options[name] for name in FILES if name in options}))
        self.options = self.taken.mapped(options, train_map)
        self.taken.check(self.options, file=file.file.name)
        self._kept = (CKPT_DIR,) if keeps_weights else ()
        self._type: dict[str, str] = {}

    def build(self, scratch: str | Path | None = None) -> BundleWorkflow:
        """A workflow with the options, not initialized yet.

        Args:
            scratch: the folder for what it writes; None leaves its own.

        Raises:
            BundleConfigError: the value of an option cannot be evaluated.
        """
        asked = {**self._of_the_bundle(), **self.options, **self._folders(scratch)}
        places = {name: place for name in asked if (place := self.taken.place_of(name)) is not None}
        meant = content_of({name: asked[name] for name, (_, kind) in places.items() if kind != CONFIG})
        arguments = {word: asked[name] for name, (word, kind) in places.items() if kind == CONFIG}
        for name, (word, kind) in places.items():
            if kind == PARAMETER:
                arguments[word] = _alike(meant[name], self.taken.parameters[word])
        workflow = self._constructed(arguments)
        for name, (word, kind) in places.items():
            if kind in (PROPERTY, ATTRIBUTE):
                value = _alike(meant[name], vars(workflow).get(word))
                value = torch.device(value) if (word, kind) == (_DEVICE, PROPERTY) and isinstance(value, str) else value
                with contextlib.nullcontext() if name in self.options else contextlib.suppress(Exception):
                    setattr(workflow, word, value)
        return workflow

    def sha256(self) -> dict[str, str]:
        """Of the file and of those that its options name, by where they lie in the bundle or else on the machine."""
        found, root = {self.file.inside: self.file.sha256}, self.file.root
        given = content_of({name: self.options[name] for name in READ if name in self.options})
        for value in (files_by_default(self.file) | given).values():
            for path in map(Path, value if isinstance(value, (list, tuple)) else [value] if value else []):
                found[path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)] = content_hash(
                    path
                )
        return found

    def check_taken(self, workflow: BundleWorkflow, trainer: Any) -> None:
        """The options had an effect, as far as that can be seen.

        Args:
            workflow: one that was built, and initialized.
            trainer: what it runs.

        Raises:
            BundleConfigError: the workflow sets an option by itself.
        """
        for name, raw in self.options.items():
            word, kind = self.taken.place_of(name) or ("", "")
            if kind not in (PROPERTY, ATTRIBUTE):
                continue
            meant = content_of({name: raw})[name]
            held = [getattr(workflow, word)]
            held += [trainer.state.max_epochs] if (word, kind) == (_MAX_EPOCHS, PROPERTY) else []
            for one in held:
                if type(one) in (str, int, float, bool) and one != meant:
                    raise BundleConfigError(
                        f"--{name} {meant}: {self.file.file.name} sets {word} by itself, to {one!r}: change it there"
                    )

    def _of_the_bundle(self) -> dict[str, str]:
        """Where the bundle and its metadata lie, as far as the workflow asks for that."""
        files = {name: literal(path) for name, path in files_by_default(self.file).items()}
        found = {_ROOT: literal(str(self.file.root)), **files}
        meta = self.file.root / "configs" / "metadata.json"
        asks = _META in inspect.signature(self.file.workflow).parameters and self.taken.parameters[_META] is None
        return found | ({_META: literal(str(meta))} if asks and meta.is_file() else {})

    def _folders(self, scratch: str | Path | None) -> dict[str, str]:
        return {} if scratch is None else {name: literal(str(scratch)) for name in FOLDERS if name not in self._kept}

    def _constructed(self, arguments: Mapping[str, Any]) -> BundleWorkflow:
        """One of training, which a constructor does not always make by itself."""
        with quiet("monai.bundle.workflows"):
            workflow = self.file.workflow(**arguments, **self._type)  # type: ignore[arg-type]
            if workflow.get_workflow_type() != "train" and "workflow_type" in self.taken.parameters and not self._type:
                self._type = {"workflow_type": "train"}
                workflow = self.file.workflow(**arguments, **self._type)  # type: ignore[arg-type]
        return workflow


def content_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the values of some options mean, which stand as in a config file.

    Args:
        options: name -> value.

    Raises:
        BundleConfigError: a value cannot be evaluated.

    Example:
        >>> content_of({"epochs": "$1 + 2", "dataset_dir": literal("data #1")})
        {'epochs': 3, 'dataset_dir': 'data #1'}
    """
    parser, found = ConfigParser(copy.deepcopy(dict(options))), {}
    for name in options:
        try:
            found[name] = parser.get_parsed_content(name)
        except Exception as error:
            raise BundleConfigError(f"--{name} {options[name]}: cannot be evaluated: {one_line(str(error))}") from error
    return found


def _with_absolute_files(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, with the files that MONAI's constructors read as they are found from any folder."""

    def absolute(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [absolute(one) for one in value]
        text = literal_of(str(value) if isinstance(value, Path) else value)
        return value if text is None else literal(str(Path(text).expanduser().resolve()))

    return {name: absolute(value) if name in FILES else value for name, value in options.items()}


def _alike(value: Any, current: Any) -> Any:
    """A text as a path, where the workflow has one."""
    return Path(value) if isinstance(value, str) and isinstance(current, Path) else value
