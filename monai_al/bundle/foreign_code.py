# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What of a config is code that no installed bundle or overlay holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_al.assets import CONFIG_SUFFIXES, asset_folders
from monai_al.bundle.workflow_file import WORKFLOW_ID
from monai_al.options import literal_of

__all__ = ["foreign_code"]

_TARGET, _ROOT = "_target_", "bundle_root"
_CODE = ("$", "%")  # expressions, and what is taken from another file


def foreign_code(config: Mapping[str, Any], folders: Mapping[str, Path] | None = None) -> dict[str, str]:
    """The expressions and targets of a config that none of the installed bundles and overlays holds.

    A folder of a bundle that is not installed counts, too, as its modules are imported, and so does a Python workflow.

    Args:
        config: the config, unresolved.
        folders: kind -> folder of the installed ones. Default: :func:`monai_al.assets.asset_folders`.

    Returns:
        Id -> text, in the order of the config.

    Example:
        >>> foreign_code({"loss": {"_target_": "DiceLoss"}, "device": "$__import__('os').name"}, folders={})
        {'loss#_target_': 'DiceLoss', 'device': "$__import__('os').name"}
    """
    folders = asset_folders() if folders is None else folders
    files = [path for folder in folders.values() for path in folder.rglob("*") if path.suffix in CONFIG_SUFFIXES]
    known = {code for path in files for code in _code(ConfigParser.load_config_file(path)).values()}
    found = {id: text for id, (is_target, text) in _code(config).items() if (is_target, text) not in known}
    if WORKFLOW_ID in config:
        found[WORKFLOW_ID] = f"{config[WORKFLOW_ID]['file']}:{config[WORKFLOW_ID]['class']}"
    root = literal_of(config.get(_ROOT))
    if root is not None and Path(root).is_dir() and not any(map(Path(root).is_relative_to, folders.values())):
        found[_ROOT] = root
    return found


def _is_code(text: str) -> bool:
    return text.strip().startswith(_CODE) and literal_of(text.strip()) is None


def _code(config: Any) -> dict[str, tuple[bool, str]]:
    """Id -> whether it is a target, and its text."""
    return dict(_leaves(config, ()))


def _leaves(config: Any, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[bool, str]]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(config, (list, tuple)):
        for i, value in enumerate(config):
            yield from _leaves(value, (*path, str(i)))
    elif isinstance(config, str) and (path[-1:] == (_TARGET,) or _is_code(config)):
        yield "#".join(path), (path[-1:] == (_TARGET,), config)
