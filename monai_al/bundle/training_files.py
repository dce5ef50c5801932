# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which file of a bundle's folder trains, where only the folder is known."""

from __future__ import annotations

import ast
import contextlib
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_al.bundle.config_files import values_of
from monai_al.bundle.engine_ids import followed, started_ids
from monai_al.bundle.errors import BundleConfigError

__all__ = ["missing_packages", "starts_trainer", "training_file"]

_SUFFIXES = (".json", ".yaml", ".yml")
_OF_TRAINERS = ("train_data_loader", "optimizer", "max_epochs")  # arguments
_APPLYING = "val_data_loader"  # argument of evaluators
_WORKFLOWS = {"BundleWorkflow", "PythonicWorkflow"}  # MONAI's, which one written in Python extends


def training_file(folder: Path) -> Path:
    """The training config of a bundle: ``train``, else the one config that starts a trainer, else its Python workflow.

    Args:
        folder: of the bundle, or its folder of configs.

    Raises:
        BundleConfigError: none of its configs trains; the message says what the bundle is instead.
        ValueError: several do, so that one is to be named.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("train", "inference"):
        ...         _ = Path(folder, f"{name}.json").write_text("{}")
        ...     training_file(Path(folder)).name
        'train.json'
    """
    configs = folder / "configs" if (folder / "configs").is_dir() else folder
    usual = [path for suffix in _SUFFIXES if (path := configs / f"train{suffix}").is_file()]
    files = sorted(path for path in configs.glob("*") if path.suffix in _SUFFIXES)
    scripts = [path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts]
    workflows = [path for path in scripts if _extends(path, _WORKFLOWS)]
    lacking = missing_packages(scripts) if workflows else []
    found = usual or [path for path in files if starts_trainer(_readable(path))] or ([] if lacking else workflows)
    if len(found) > 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in found)
        raise ValueError(f"{folder} has {len(found)} training configs, {names}: name one by --training_config")
    if not found:
        raise BundleConfigError(f"{folder} has no training config: {_instead(folder, files, workflows, lacking)}")
    return found[0]


def starts_trainer(config: Mapping[str, Any]) -> bool:
    """Whether what a config runs is an engine with data to train on, an optimizer or a number of epochs.

    Args:
        config: id -> value, unresolved.

    Example:
        >>> starts_trainer({"training": "$@trainer.run()", "trainer": {"max_epochs": 5}})
        True
        >>> starts_trainer({"run": "$@evaluator.run()", "evaluator": {"val_data_loader": "@loader"}})
        False
    """
    parser = ConfigParser(dict(config))
    ids = [followed(id, parser) for id in started_ids(parser)]
    components = [parser[id] for id in ids if id in parser]
    return any(isinstance(one, Mapping) and not set(_OF_TRAINERS).isdisjoint(one) for one in components)


def missing_packages(files: Iterable[Path]) -> list[str]:
    """The packages that Python files import, and that are neither installed nor beside them.

    Args:
        files: Python files.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "workflow.py")
        ...     _ = file.write_text("import os, no_such_package.part")
        ...     missing_packages([file])
        ['no_such_package']
    """
    files = list(files)
    beside = {path.stem for path in files} | {path.parent.name for path in files}
    named = {module.partition(".")[0] for path in files for module in _imported(path)}
    return sorted(name for name in named - beside - set(sys.stdlib_module_names) if not _is_installed(name))


def _readable(path: Path) -> dict[str, Any]:
    """A config's ids; none of a file that is no config."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return values_of(path)
    except Exception:  # a broken file is told where it is named
        return {}


def _instead(folder: Path, files: Iterable[Path], workflows: Sequence[Path], lacking: Sequence[str]) -> str:
    """What a bundle without a training config has."""
    if workflows:
        return (
            f"its workflow is written in Python ({workflows[0].relative_to(folder).as_posix()}); the packages "
            f"{', '.join(lacking)} that it imports are not installed"
        )
    applying = [path.name for path in files if _APPLYING in path.read_text(encoding="utf-8", errors="replace")]
    only = f", it only applies a network ({', '.join(applying)})" if applying else ""
    return f"nothing in it trains{only}"


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module


def _extends(path: Path, names: set[str]) -> bool:
    """Whether a file defines a class on top of one of these."""
    bases = [base for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef) for base in node.bases]
    return any(getattr(base, "id", getattr(base, "attr", None)) in names for base in bases)


def _tree(path: Path) -> ast.AST:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _is_installed(name: str) -> bool:
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        return find_spec(name) is not None
    return False
