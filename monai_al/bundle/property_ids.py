# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI's files of properties: which ids of a config hold the parts of a training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_al.bundle.errors import BundleConfigError

__all__ = ["ids_of_properties", "train_properties"]

# property of MONAI -> role of monai_al.bundle.found_parts.ROLES
_ROLES = {
    "trainer": "trainer",
    "network_def": "network",
    "train_dataset_data": "train_data",
    "evaluator": "evaluator",
    "val_dataset_data": "test_data",
    "val_preprocessing": "preprocessing",
    "val_postprocessing": "postprocessing",
    "val_inferer": "inferer",
}
_OPTION = "--properties_path"


def train_properties(file: str | Path) -> dict[str, dict[str, Any]]:
    """The properties of training that a file declares.

    Args:
        file: JSON, ``{"train": {"trainer": {"id": "my::trainer", "required": true}, ...}}``.

    Raises:
        BundleConfigError: it is no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "properties.json"
        ...     _ = file.write_text('{"train": {"trainer": {"id": "my::trainer"}}}')
        ...     train_properties(file)
        {'trainer': {'id': 'my::trainer'}}
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise BundleConfigError(f"{_OPTION} {file}: there is no such file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BundleConfigError(f"{_OPTION} {file}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise BundleConfigError(f"{_OPTION} {file}: holds bytes that are no text in UTF-8") from None
    found = content.get("train") if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping) or not all(isinstance(entry, Mapping) for entry in found.values()):
        raise BundleConfigError(
            f'{_OPTION} {file}: declares no properties of training: {{"train": {{"trainer": {{"id": ID}}, ...}}}}'
        )
    return {name: dict(entry) for name, entry in found.items()}


def ids_of_properties(file: str | Path, config: Any, *, name: str) -> dict[str, str]:
    """The ids that a file of properties gives to the parts of a training, as ``bundle_ids`` would.

    Args:
        file: see :func:`train_properties`.
        config: a parser of the training config. What is not ``required`` may be missing in it.
        name: what errors call it.

    Raises:
        BundleConfigError: the config does not declare an id, or the file says no id.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "properties.json"
        ...     _ = file.write_text('{"train": {"trainer": {"id": "my::trainer"}, "max_epochs": {"id": "n"}}}')
        ...     ids_of_properties(file, {"my::trainer": None}, name="train.json")
        {'trainer': 'my::trainer'}
    """
    found = {}
    for property, entry in train_properties(file).items():
        role, id = _ROLES.get(property), entry.get("id")
        if role is None:
            continue
        if not isinstance(id, str):
            raise BundleConfigError(f"{_OPTION} {file}: {property} has no id: {{{property!r}: {{'id': ID}}}}")
        if id in config:
            found[role] = id
        elif entry.get("required") is not False:
            raise BundleConfigError(f"{_OPTION} {file}: {name} declares no {id.replace('::', '#')!r}, its {property}")
    return found
