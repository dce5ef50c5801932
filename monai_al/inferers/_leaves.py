# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The leaves of nested tuples, lists and dictionaries, as modules take and return them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["are_known", "leaves", "map_leaves", "same", "storages", "tensors"]

PLAIN_VALUES = (type(None), bool, int, float, str, torch.Size, torch.dtype, torch.device)


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same tuples, lists and dictionaries, built anew, with other leaves; all other objects are leaves."""
    kind = type(structure)
    if kind in (dict, OrderedDict):
        return kind((name, map_leaves(function, part)) for name, part in structure.items())
    if kind in (list, tuple):
        return kind(map_leaves(function, part) for part in structure)
    if isinstance(structure, tuple) and hasattr(kind, "_fields"):
        return kind(*(map_leaves(function, part) for part in structure))
    return function(structure)


def leaves(structure: Any) -> list[Any]:
    found: list[Any] = []
    map_leaves(found.append, structure)
    return found


def same(first: list[Any], second: list[Any]) -> bool:
    """The very same objects in the same order."""
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def tensors(leaves: Iterable[Any]) -> list[Tensor]:
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def are_known(leaves: Iterable[Any]) -> bool:
    """Nothing can hide in them."""
    return all(isinstance(leaf, (Tensor, *PLAIN_VALUES)) for leaf in leaves)


def storages(tensors: Iterable[Tensor]) -> set[int]:
    """Where their values lie in memory; tensors that share it stand there once."""
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}
