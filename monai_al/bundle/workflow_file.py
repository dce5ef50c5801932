# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A Python file that holds a training workflow, as MONAI's bundles may have one in place of a config."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from monai.bundle import BundleWorkflow

from monai_al.bundle.bundle_modules import executed_module, importing_from, modules_root
from monai_al.bundle.errors import BundleConfigError, failing_by_itself
from monai_al.records import content_hash

__all__ = ["WORKFLOW_ID", "WorkflowFile", "changed_files", "file_and_class", "is_python", "read_workflow"]

WORKFLOW_ID = "_workflow_"  # what run.json calls the file, the class and the hashes of what they are read from
_NAME = re.compile(r"(.+\.py)(?::(\w+))?$", re.DOTALL)


@dataclass(frozen=True)
class WorkflowFile:
    """A Python file that was read, and its class.

    Args:
        file: where it lies.
        workflow: the class, derived from MONAI's ``BundleWorkflow``.
        module: what the file holds.
        sha256: of its content.

    Example:
        >>> WorkflowFile(Path("/bundles/a/scripts/workflow.py"), BundleWorkflow, ModuleType("workflow"), "e3b0").inside
        'scripts/workflow.py'
    """

    file: Path
    workflow: type[BundleWorkflow]
    module: ModuleType
    sha256: str

    @property
    def root(self) -> Path:
        """The folder that its modules are imported from, that of the bundle."""
        return modules_root(self.file)

    @property
    def inside(self) -> str:
        """Where it lies in that folder."""
        return self.file.relative_to(self.root).as_posix()

    def importing(self) -> AbstractContextManager[None]:
        """Let it import the bundle's own modules."""
        return importing_from(self.root, self.module)


def is_python(name: str | Path) -> bool:
    """Whether a training config is a Python file, with or without the name of a class behind it.

    Example:
        >>> [is_python(name) for name in ("scripts/workflow.py", "workflow.py:Training", "train.yaml")]
        [True, True, False]
    """
    return _NAME.match(str(name)) is not None


def file_and_class(name: str | Path) -> tuple[Path, str | None]:
    """The file that a training config names, and the class in it, where it is a Python file that names one.

    Example:
        >>> file, workflow = file_and_class("scripts/workflow.py:Training")
        >>> file.as_posix(), workflow
        ('scripts/workflow.py', 'Training')
        >>> file_and_class("train.yaml")[1] is None
        True
    """
    found = _NAME.match(str(name))
    return (Path(str(name)), None) if found is None else (Path(found[1]), found[2])


def read_workflow(name: str | Path) -> WorkflowFile:
    """Execute a Python file and find its workflow; one whose text stays the same is executed once.

    Args:
        name: of the file, and of the class where it holds several: ``workflow.py:Training``.

    Raises:
        BundleConfigError: there is no such file, it fails, or it does not hold one workflow.

    Example:
        >>> read_workflow("no/workflow.py")
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: training config no/workflow.py does not exist
    """
    file, workflow = file_and_class(name)
    if not file.is_file():
        raise BundleConfigError(f"training config {file} does not exist")
    return _read(file.resolve(), file.read_bytes(), workflow, str(file))


def changed_files(training: Mapping[str, Any], root: str | None) -> Iterator[Path]:
    """The files of a recorded Python workflow that are not any more what they were.

    Args:
        training: what ``run.json`` says of the training.
        root: the bundle's folder.

    Example:
        >>> list(changed_files({"steps": 3}, None))
        []
    """
    for inside, hash in training.get(WORKFLOW_ID, {}).get("sha256", {}).items():
        path = Path(root or ".") / inside
        if path.is_file() and content_hash(path) != hash:
            yield path


@functools.lru_cache(maxsize=64)
def _read(file: Path, content: bytes, name: str | None, shown: str) -> WorkflowFile:
    with failing_by_itself(shown):
        module = executed_module(file, content)
    return WorkflowFile(file, _workflow(module, name, shown), module, hashlib.sha256(content).hexdigest())


def _workflow(module: ModuleType, name: str | None, shown: str) -> type[BundleWorkflow]:
    """The class of that name, or the only one that the file itself defines."""
    found = getattr(module, name, None) if name is not None else None
    held = {key: value for key, value in vars(module).items() if _is_workflow(value)}
    own = {key: value for key, value in held.items() if value.__module__ == module.__name__}
    whole = {key: value for key, value in own.items() if not inspect.isabstract(value)}
    if name is None and len(whole) == 1:
        (found,) = whole.values()
    if found is not None and _is_workflow(found) and not inspect.isabstract(found):
        return found
    if not whole:
        lacks = "; ".join(f"{key} lacks {', '.join(sorted(value.__abstractmethods__))}" for key, value in own.items())
        raise BundleConfigError(
            f"{shown} holds no class that is derived from MONAI's BundleWorkflow or PythonicWorkflow"
            + (f" and complete: {lacks}" if lacks else "")
        )
    asked = f"no workflow {name!r}, but" if name is not None else "several workflows,"
    raise BundleConfigError(
        f"{shown} holds {asked} {', '.join(whole)}: name one by --training_config {shown}:{next(iter(whole))}"
    )


def _is_workflow(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BundleWorkflow)
