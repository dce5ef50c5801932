# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Config files, parsed once as long as their text stays the same."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_al.bundle.errors import BundleConfigError

__all__ = ["read_config"]


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
        kind = "nothing" if config is None else f"a {type(config).__name__}"
        raise BundleConfigError(f"{file}: holds {kind}, not ids and their values (id: value)")
    return config
