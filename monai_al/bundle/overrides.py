# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What one round changes in a training config that knows nothing of rounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["scratch_overrides", "without_seeding"]

_FOLDER_IDS = ("output_dir", "ckpt_dir")
_FOLDER_ARGUMENTS = ("save_dir", "log_dir", "output_dir")  # of MONAI's handlers
_SEEDING = re.compile(r"\bset_determinism\(|\bmanual_seed\(|\bseed_everything\(")


def scratch_overrides(config: Mapping[str, Any], folder: str) -> dict[str, str]:
    """Overrides that send everything a training writes into one folder.

    They set ``output_dir`` and ``ckpt_dir``, and the folders of handlers that name another one.

    Args:
        config: the unresolved config.
        folder: where the files are to go.

    Example:
        >>> scratch_overrides({"ckpt_dir": "models", "a": {"save_dir": "@ckpt_dir", "log_dir": "runs"}}, "/tmp/a")
        {'ckpt_dir': '/tmp/a', 'a::log_dir': '/tmp/a'}
    """
    found = {id: folder for id in _FOLDER_IDS if id in config}
    for path, key, value in _leaves(config):
        named = path and key in _FOLDER_ARGUMENTS and isinstance(value, str)
        if named and not any(f"@{id}" in value for id in found):
            found["::".join([*path, key])] = folder
    return found


def without_seeding(config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The lists ``initialize`` and ``run`` without the expressions that set a seed, where there are any.

    A seed of its own would start every round and every seed of an experiment from the same weights.

    Example:
        >>> without_seeding({"initialize": ["$monai.utils.set_determinism(seed=123)", "$print(1)"], "run": "$f()"})
        {'initialize': ['$print(1)']}
    """
    changed = {}
    for id in ("initialize", "run"):
        entries = config.get(id)
        entries = [entries] if isinstance(entries, str) else entries
        if isinstance(entries, list):
            kept = [entry for entry in entries if not (isinstance(entry, str) and _SEEDING.search(entry))]
            if len(kept) < len(entries):
                changed[id] = kept
    return changed


def _leaves(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """The path, key and value of everything in nested mappings and lists that is neither."""
    pairs = config.items() if isinstance(config, Mapping) else enumerate(config)
    for key, value in pairs:
        if isinstance(value, (Mapping, list)):
            yield from _leaves(value, (*path, str(key)))
        elif not isinstance(value, Path):
            yield path, str(key), value
