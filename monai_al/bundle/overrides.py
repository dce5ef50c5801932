# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What one round changes in a training config that knows nothing of rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_al.bundle.plain_texts import PlainTexts
from monai_al.bundle.written_folders import OUTPUT_IDS, READING_ARGUMENTS, written_folders
from monai_al.options import literal, literal_of

__all__ = ["RUN_IDS", "scratch_overrides"]

RUN_IDS = ("run", "training")  # bundles of the first MONAI releases that had any call it training


def scratch_overrides(config: Mapping[str, Any], folder: str, root: Path | None = None) -> dict[str, Any]:
    """Overrides that send everything a training writes into one folder.

    They set ``output_dir`` and ``ckpt_dir``, and each argument that names another folder to write into; see
    :func:`monai_al.bundle.written_folders.written_folders`. A ``ckpt_dir`` that weights are loaded from before the
    training stays.

    Args:
        config: the unresolved config.
        folder: where the files are to go, as a value of a config.
        root: the bundle's folder, in place of its ``bundle_root``.

    Example:
        >>> scratch_overrides({"ckpt_dir": "models", "a": {"save_dir": "@ckpt_dir", "log_dir": "runs"}}, "/tmp/a")
        {'ckpt_dir': '/tmp/a', 'a::log_dir': '/tmp/a'}
    """
    if root is not None and "bundle_root" in config:
        config = {**config, "bundle_root": literal(str(root))}
    texts = PlainTexts(config)
    found: dict[str, Any] = {id: folder for id in OUTPUT_IDS if id in config}
    if _reads_weights(texts):
        found.pop("ckpt_dir", None)
    after = PlainTexts({**config, **found})
    for id, value in written_folders(texts, after, literal_of(folder) or folder).items():
        found |= _written_out(id, config, after)
        found[id] = folder if isinstance(value, str) else _as_path(folder)
    return found


def _reads_weights(texts: PlainTexts) -> bool:
    """Whether an argument or expression, before the training, loads a file of the bundle's folder of weights."""
    return any(
        (key in READING_ARGUMENTS or "load(" in text) and "ckpt_dir" in texts.references(text)
        for path, key, text in _leaves(texts.config)
        if (*path, key)[0] not in RUN_IDS
    )


def _written_out(id: str, config: Any, texts: PlainTexts) -> dict[str, Any]:
    """The macro through which a config comes to a nested id, written out, so that the id can be set."""
    *above, _ = id.split("::")
    for level, key in enumerate(above, start=1):
        config = config[int(key)] if isinstance(config, list) else config[key]
        if isinstance(config, str):
            whole = "::".join(above[:level])
            return {whole: texts[whole]}
    return {}


def _as_path(folder: str) -> str:
    """An expression for the path to a folder, for what was one and not a text."""
    return f"$__import__('pathlib').Path({folder[1:] if folder.startswith('$') else repr(folder)})"


def _leaves(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """The path, key and value of every text in nested mappings and lists."""
    for key, value in config.items() if isinstance(config, Mapping) else enumerate(config):
        if isinstance(value, (Mapping, list)):
            yield from _leaves(value, (*path, str(key)))
        elif isinstance(value, str):
            yield path, str(key), value
