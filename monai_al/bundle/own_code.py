# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The Python code that a config calls beside that of the packages it always needs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.bundle.bundle_modules import importing_from

__all__ = ["own_code"]

_KNOWN = {"monai", "monai_al", "torch", "ignite", "numpy"}  # whose versions count anyway
_DOTTED = re.compile(r"(?<![\w.@%#&:/])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_IMPORTED = re.compile(r"\b(?:import|from)\s+([A-Za-z_][\w.]*)")
_INSTALLED = {"site-packages", "dist-packages"}


def own_code(config: Mapping[str, Any], root: Path | None = None) -> dict[str, str]:
    """What the results of a config depend on beside the config: the code of modules that it names.

    Args:
        config: unresolved.
        root: the bundle's folder, whose modules it may name, too.

    Returns:
        Name of a module or package, without what lies in it -> a hash of its Python files, or of one that is installed
        its version. Python's own, and what every training needs (MONAI, PyTorch, this package), are left out.

    Example:
        >>> own_code({"network_def": {"_target_": "monai.networks.nets.UNet"}, "imports": ["$import glob"]})
        {}
    """
    found: dict[str, list[str]] = {}
    with importing_from(root):
        for name in sorted(set(_module_names(config))):
            code = _code_of(name)
            if code is not None:
                found.setdefault(name.split(".")[0], []).append(code)
    return {name: " ".join(dict.fromkeys(codes)) for name, codes in found.items()}


def _module_names(config: Any) -> Iterator[str]:
    """Dotted names, and names that are imported, in all strings of a config."""
    if isinstance(config, Mapping):
        config = list(config.values())
    if isinstance(config, str):
        yield from _DOTTED.findall(config)
        yield from _IMPORTED.findall(config)
    elif isinstance(config, Sequence):
        for one in config:
            yield from _module_names(one)


def _code_of(name: str) -> str | None:
    """A hash or a version of the package that a name begins with; None where it is left out, or is no package's."""
    package = name.split(".")[0]
    try:
        spec = None if package in _KNOWN else importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # what is imported already may be no module
        return None
    if spec is None or spec.origin in ("built-in", "frozen"):
        return None
    file = None if spec.origin is None else Path(spec.origin)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    place = folders[0] if file is None else file
    if _INSTALLED & set(place.parts):
        distributions = importlib.metadata.packages_distributions().get(package, ())
        return " ".join(importlib.metadata.version(one) for one in sorted(set(distributions))) or None
    if place.resolve().is_relative_to(Path(sysconfig.get_paths()["stdlib"]).resolve()):
        return None
    if file is None:  # a folder that no file tells to be a package may hold anything
        return _hash(_along(folders, name))
    return _hash([file, *(one for folder in folders for one in folder.rglob("*.py"))])


def _along(folders: Sequence[Path], name: str) -> Iterator[Path]:
    """The files in folders that a dotted name goes through."""
    for folder in folders:
        for part in ("", *name.split(".")[1:]):
            folder /= part
            yield from folder.glob("*.py")


def _hash(files: Iterable[Path]) -> str | None:
    found = hashlib.sha256()
    content = sorted((file.as_posix(), file.read_bytes()) for file in set(files) if "__pycache__" not in file.parts)
    for name, text in content:
        found.update(f"{Path(name).name} {len(text)}\n".encode())
        found.update(text)
    return found.hexdigest() if content else None
