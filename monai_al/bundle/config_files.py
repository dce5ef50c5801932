# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Config files, parsed once as long as their text stays the same."""

from __future__ import annotations

import copy
import functools
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_al.bundle.errors import BundleConfigError
from monai_al.failures.words import one_line

__all__ = ["check_overlays", "read_config", "values_of"]


def read_config(files: Sequence[str | Path]) -> dict[str, Any]:
    """The merged config of some files, as ``ConfigParser.load_config_files`` gives it; the caller may change it.

    Parsing YAML takes a hundred times as long as reading it, and one run asks for the same files several times. The
    files are read each time, so that a changed one counts at once.

    Args:
        files: JSON or YAML files; later ones win.

    Raises:
        OSError: a file cannot be read.
        BundleConfigError: it is no config; the message names it.
        yaml.YAMLError: it is no YAML.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "train.yaml"
        ...     for text in ("steps: 1", "steps: 2"):
        ...         _ = file.write_text(text)
        ...         print(read_config([file])["steps"])
        1
        2
    """
    return _Reader.load_config_files(list(files))


def values_of(file: str | Path) -> dict[str, Any]:
    """The ids of one file as they stand in it, also nested ones that have no parent in it, and what they are set to.

    Args:
        file: a JSON or YAML file.

    Raises:
        OSError: it cannot be read.
        BundleConfigError: it is no config; the message names it.
        yaml.YAMLError: it is no YAML.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "mine.yaml"
        ...     _ = file.write_text("train#dataloader#num_workers: 2")
        ...     values_of(file)
        {'train#dataloader#num_workers': 2}
    """
    return dict(_parsed(str(file), Path(file).read_bytes()))


def check_overlays(files: Sequence[str | Path]) -> None:
    """Refuse what MONAI takes the last of, or ends over with a traceback.

    Args:
        files: a config and what is laid over it, in their order.

    Raises:
        BundleConfigError: an id stands twice in a file, or a nested one has no parent in it or in those before it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "mine.yaml"
        ...     _ = file.write_text("train#dataloader#num_workers: 2")
        ...     check_overlays([file])
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: ...mine.yaml: train#dataloader#num_workers: ...
    """
    known: set[str] = set()
    for file in files:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Duplicate key")
            try:
                config = _parsed(str(file), Path(file).read_bytes())
            except UserWarning as error:
                raise BundleConfigError(f"{file}: {one_line(str(error)).replace('`', '')}: keep one") from None
        known |= {id for id in config if "#" not in id}
        for id in config:
            if id.lstrip("+~").partition("#")[0] not in known and "#" in id:
                raise BundleConfigError(
                    f"{file}: {id}: no config has {id.partition('#')[0]}; set a part of the training config by "
                    f"nested_overrides: {{{id}: {config[id]!r}}}"
                )


class _Reader(ConfigParser):
    @classmethod
    def load_config_file(cls, filepath: Any, **kwargs: Any) -> dict:
        return copy.deepcopy(_parsed(str(filepath), Path(filepath).read_bytes()))


@functools.lru_cache(maxsize=64)
def _parsed(file: str, content: bytes) -> dict:
    try:
        config = ConfigParser.load_config_file(file)
    except json.JSONDecodeError as error:
        raise BundleConfigError(f"{file}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise BundleConfigError(f"{file}: holds bytes that are no text in UTF-8") from None
    except ValueError as error:
        known = ".yaml, .yml or .json"
        why = str(error) if file.endswith((".yaml", ".yml", ".json")) else f"a config's name ends in {known}"
        raise BundleConfigError(f"{file}: {why}") from None
    if not isinstance(config, dict):
        kind = {type(None): "nothing", str: "a text", list: "a list"}.get(type(config), f"a {type(config).__name__}")
        raise BundleConfigError(f"{file}: holds {kind}, not ids and their values (id: value)")
    no_text = [id for id in config if not isinstance(id, str)]
    if no_text:
        raise BundleConfigError(f"{file}: the id {json.dumps(no_text[0])} is no text; ids are names such as rounds")
    return config
