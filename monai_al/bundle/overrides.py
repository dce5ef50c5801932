# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What one round changes in a training config that knows nothing of rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["RUN_IDS", "scratch_overrides"]

RUN_IDS = ("run", "training")  # bundles of the first MONAI releases that had any call it training
_FOLDER_IDS = ("output_dir", "ckpt_dir")
_FOLDER_ARGUMENTS = ("save_dir", "log_dir", "output_dir")  # of MONAI's handlers and transforms
_CACHE_ARGUMENT, _PARTS = "cache_dir", ("train", "validate")  # of MONAI's data sets
_READING_ARGUMENTS = ("load_path", "checkpoint", "ckpt_path")


def scratch_overrides(config: Mapping[str, Any], folder: str) -> dict[str, str]:
    """Overrides that send everything a training writes into one folder.

    They set ``output_dir`` and ``ckpt_dir``, and the folders of handlers and data sets that name another one. A
    ``ckpt_dir`` that weights are loaded from before the training stays.

    Args:
        config: the unresolved config.
        folder: where the files are to go.

    Example:
        >>> scratch_overrides({"ckpt_dir": "models", "a": {"save_dir": "@ckpt_dir", "log_dir": "runs"}}, "/tmp/a")
        {'ckpt_dir': '/tmp/a', 'a::log_dir': '/tmp/a'}
    """
    leaves = list(_leaves(config))
    found = {id: folder for id in _FOLDER_IDS if id in config}
    if any(_reads_weights(key, value) for path, key, value in leaves if (*path, key)[0] not in RUN_IDS):
        found.pop("ckpt_dir", None)
    for path, key, value in leaves:
        cache = key == _CACHE_ARGUMENT and bool(path) and path[0] in _PARTS
        named = path and (key in _FOLDER_ARGUMENTS or cache) and isinstance(value, str)
        if named and not any(f"@{id}" in value for id in found):
            found["::".join([*path, key])] = folder
    return found


def _reads_weights(key: str, value: Any) -> bool:
    """Whether an argument or expression loads a file of the bundle's folder of weights."""
    text = value if isinstance(value, str) else ""
    return "@ckpt_dir" in text and (key in _READING_ARGUMENTS or "load(" in text)


def _leaves(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """The path, key and value of everything in nested mappings and lists that is neither."""
    pairs = config.items() if isinstance(config, Mapping) else enumerate(config)
    for key, value in pairs:
        if isinstance(value, (Mapping, list)):
            yield from _leaves(value, (*path, str(key)))
        elif not isinstance(value, Path):
            yield path, str(key), value
