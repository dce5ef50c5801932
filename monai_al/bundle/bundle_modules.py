# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle's own Python modules, which several bundles call by the same names."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from monai_al.bundle.errors import BundleConfigError

__all__ = ["SCRIPTS", "executed_module", "importing_from", "modules_root"]

SCRIPTS = "scripts"  # MONAI's folder for them


def modules_root(file: Path) -> Path:
    """The folder that a Python file is imported from: that of the bundle, or above the package that it belongs to.

    Args:
        file: in the folder ``scripts`` of a bundle, in a package, or in a folder that is neither.

    Example:
        >>> [modules_root(Path(file)).as_posix() for file in ("/bundles/a/scripts/workflow.py", "/b/train.py")]
        ['/bundles/a', '/b']
    """
    folder = file.resolve().parent
    while folder.name != SCRIPTS and (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder.parent if folder.name == SCRIPTS else folder


def executed_module(file: Path, content: bytes) -> ModuleType:
    """The module of a Python file, made anew.

    Args:
        file: where it lies.
        content: what it holds.

    Raises:
        BundleConfigError: its package is called like another one that is imported already.
        Exception: what the file itself raises.

    Example:
        >>> executed_module(Path("no/such/file.py"), b"number = 3").number
        3
    """
    file = file.resolve()
    root = modules_root(file)
    name = ".".join(file.relative_to(root).with_suffix("").parts)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # as the name of the file ends in .py
    module = importlib.util.module_from_spec(spec)
    with importing_from(root, module):
        _import_package(file, name.rpartition(".")[0])
        exec(compile(content, str(file), "exec"), vars(module))
    return module


@contextlib.contextmanager
def importing_from(root: Path | None, module: ModuleType | None = None) -> Iterator[None]:
    """Let a bundle's own modules be imported, as MONAI's workflows do while they run; nothing is written beside them.

    Args:
        root: the bundle's folder; None, or one that is gone, changes nothing.
        module: one that is known by its name meanwhile.

    Example:
        >>> before = list(sys.path)
        >>> with importing_from(Path("/")):
        ...     sys.path[1]
        '/'
        >>> sys.path == before
        True
    """
    path, writes_nothing = list(sys.path), sys.dont_write_bytecode
    if root is not None and root.is_dir():
        _forget_other_bundles(root)
        sys.path.insert(1, str(root))
        sys.dont_write_bytecode = True
    try:
        with contextlib.nullcontext() if module is None else _known(module):
            yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = writes_nothing


@contextlib.contextmanager
def _known(module: ModuleType) -> Iterator[None]:
    name, missing = module.__name__, object()
    before = sys.modules.get(name, missing)
    sys.modules[name] = module
    try:
        yield
    finally:
        if before is missing:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before  # type: ignore[assignment]


def _import_package(file: Path, package: str) -> None:
    """Import the package that a file belongs to, which relative imports start from."""
    if package and file.parent not in _folders(importlib.import_module(package)):
        raise BundleConfigError(
            f"{file}: another package called {package} is imported already: rename one of them, or run this one alone"
        )


def _forget_other_bundles(root: Path) -> None:
    """Drop the packages of other bundles from the imported modules, which all go by names such as ``scripts``."""
    for folder in [path for path in root.iterdir() if path.is_dir() and path.name in sys.modules]:
        imported = _folders(sys.modules[folder.name])
        is_a_bundles = bool(imported) and (folder.name == SCRIPTS or (imported[0].parent / "configs").is_dir())
        if is_a_bundles and folder.resolve() not in imported:
            for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
                del sys.modules[name]


def _folders(package: ModuleType) -> list[Path]:
    return [Path(path).resolve() for path in getattr(package, "__path__", ())]
