# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The Python code that a config calls beside that of the packages it always needs."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import re
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.bundle.bundle_modules import importing_from

__all__ = ["own_code"]

_KNOWN = {"monai", "monai_al", "torch", "ignite", "numpy"}  # whose versions count anyway
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_REFERENCE = re.compile(r"[@%][\w#:.-]+")  # MONAI's, in an expression
_INSTALLED = {"site-packages", "dist-packages"}
_BEGAN = time.time()


def own_code(config: Mapping[str, Any], root: Path | None = None) -> dict[str, str]:
    """What results depend on beside a config: the code of modules that it names, and of those that these import.

    Args:
        config: unresolved, without macros (``%``).
        root: the bundle's folder, whose modules it may name, too.

    Returns:
        Name of a module or package, without what lies in it -> a hash of its Python files, or of one that is installed
        its version and the hash of its list of files. Python's own, and what every training needs (MONAI, PyTorch, this
        package), are left out. A code that nothing else has stands where it cannot be told: what a notebook defines, or
        what was changed after this process had imported it.

    Example:
        >>> own_code({"network_def": {"_target_": "monai.networks.nets.UNet"}, "imports": ["$import glob"]})
        {}
    """
    names, found = set(_names_in(config)), {}
    names |= {f"{path}.{name}" for path, part in _split(names) for name in names if name.split(".")[0] == part}
    seen: dict[str, set[str]] = {}  # package -> names that begin with it
    with importing_from(root):
        while names:
            package = min(names).split(".")[0]
            own = {name for name in names if name.split(".")[0] == package}
            names -= own
            if own <= seen.get(package, set()):
                continue
            seen[package] = own | seen.get(package, set())
            try:
                code, imported = _code_of(package, seen[package])
            except OSError:  # a file that cannot be read
                code, imported = uuid.uuid4().hex, set()
            if code is not None:
                found[package] = code
            names |= imported
    return found


def _split(names: Iterable[str]) -> list[tuple[str, str]]:
    """What stands before and behind the last dot, of names that have one: ``from a import b`` makes b of a.b."""
    return [(path, part) for path, dot, part in (name.rpartition(".") for name in names) if dot]


def _names_in(config: Any) -> Iterator[str]:
    """Names in a config that may be those of modules."""
    if isinstance(config, Mapping):
        config = list(config.values())
    if isinstance(config, str):
        if config.startswith("$"):
            yield from _names_in_python(_REFERENCE.sub("_", config[1:]))
        elif "." in config and _NAME.fullmatch(config):
            yield config
    elif isinstance(config, Sequence):
        for one in config:
            yield from _names_in(one)


def _names_in_python(text: str) -> set[str]:
    """What Python code calls by a name, imports, or may import by a name in quotes."""
    try:
        nodes = list(ast.walk(ast.parse(text.strip())))
    except (SyntaxError, ValueError):
        return set(_NAME.findall(text))
    names = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    names |= {ast.unparse(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
    return {name for name in names if _NAME.fullmatch(name)} | _imported_in(nodes)


def _imported_in(nodes: Iterable[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{one.name}" for one in node.names if one.name != "*"} | {node.module}
    return found


def _code_of(package: str, names: set[str]) -> tuple[str | None, set[str]]:
    """A hash or a version of a package, None where it is left out or is none; and what it imports.

    Args:
        package: name of a package or module.
        names: the dotted names that begin with it.
    """
    if package in _KNOWN or package in sys.builtin_module_names:
        return None, set()
    if package == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        return _hash_and_imports([Path(file)]) if file else (uuid.uuid4().hex, set())
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # what is imported already may be no module
        return None, set()
    if spec is None or spec.origin in ("built-in", "frozen"):
        return None, set()
    file = None if spec.origin is None else Path(spec.origin)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    place = next(iter([file] if file else folders), None)
    if place is None:
        return None, set()
    if _INSTALLED & set(place.parts):
        version = _version_of(package)
        if version is not None:
            return version, set()
    elif place.resolve().is_relative_to(Path(sysconfig.get_paths()["stdlib"]).resolve()):
        return None, set()
    if file is None:  # a folder that no file tells to be a package may hold anything
        files = [one for folder in folders for name in names for one in _along(folder, name)]
    else:
        files = [file, *(one for folder in folders for one in _below(folder))]
    code, imported = _hash_and_imports(files)
    if package in sys.modules and any(one.stat().st_mtime > _BEGAN for one in files):
        return uuid.uuid4().hex, set()
    return code, imported


def _version_of(package: str) -> str | None:
    """The version of an installed package and what was installed; None where no record says so."""
    names = sorted(set(importlib.metadata.packages_distributions().get(package, ())))
    records = [importlib.metadata.distribution(name).read_text("RECORD") for name in names]
    if not names or None in records:
        return None
    versions = " ".join(importlib.metadata.version(name) for name in names)
    return f"{versions} {hashlib.sha256(''.join(map(str, records)).encode()).hexdigest()[:16]}"


def _along(folder: Path, name: str) -> list[Path]:
    """The Python files in a folder that a dotted name goes through."""
    found = []
    for part in ("", *name.split(".")[1:]):
        folder /= part
        found += [file for file in folder.glob("*.py") if file.is_file()]
    return found


def _below(folder: Path) -> Iterator[Path]:
    """The Python files below a folder, but for hidden ones and installed ones."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__" or (path / "pyvenv.cfg").is_file():
            continue
        if path.is_dir():
            yield from _below(path)
        elif path.suffix == ".py" and path.is_file():
            yield path


def _hash_and_imports(files: Iterable[Path]) -> tuple[str | None, set[str]]:
    """A hash of Python files, None of none, and what they import."""
    found, imported = hashlib.sha256(), set()
    content = [(file, file.read_bytes()) for file in sorted(set(files))]
    for file, text in content:
        found.update(f"{file.name} {len(text)}\n".encode())
        found.update(text)
        if file.suffix == ".py":
            try:
                imported |= _imported_in(ast.walk(ast.parse(text)))
            except (SyntaxError, ValueError):
                continue
    return (found.hexdigest() if content else None), imported
