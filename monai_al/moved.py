# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Addresses that names had before, which go on working."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["moved"]


def moved(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that finds the names which stood in it before, and tells their new address.

    Args:
        module: the module's own name.
        homes: name -> the module that it stands in now.

    Example:
        >>> find = moved("monai_al.engines", {"score_items": "monai_al.passes"})
        >>> find("score_item")
        Traceback (most recent call last):
        ...
        AttributeError: module 'monai_al.engines' has no attribute 'score_item'
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        message = f"{module}.{name} stands in {homes[name]} now"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(homes[name]), name)

    return find
