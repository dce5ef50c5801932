# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of values and transforms, equal in every process."""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import os
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["fingerprint"]

_PLAIN = (bool, int, float, complex, str, bytes, slice, range, torch.dtype, np.dtype, torch.device)
_RANDOM = (np.random.RandomState, np.random.Generator, torch.Generator)


def fingerprint(value: Any) -> str:
    """A hash of a value or of a transform with all its settings, equal in every process.

    Args:
        value: plain values, arrays, tensors, containers, functions of modules, or objects made of those.

    Raises:
        TypeError: a lambda or local function, or another object that cannot be told from a second one.

    Example:
        >>> fingerprint({"size": (64, 64)}) == fingerprint({"size": (64, 64)}) != fingerprint({"size": (64, 65)})
        True
    """
    return hashlib.sha256(_describe(value).encode()).hexdigest()


def _describe(value: Any) -> str:
    if value is None or isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, os.PathLike):
        return f"path({os.fspath(value)!r})"
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return _describe_array(np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value))
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{_describe(k)}:{_describe(v)}" for k, v in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}[" + ",".join(map(_describe, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "{" + ",".join(sorted(map(_describe, value))) + "}"
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if isinstance(value, functools.partial):
        return f"partial({_describe((value.func, value.args, value.keywords))})"
    if isinstance(value, type) or callable(value) and hasattr(value, "__qualname__"):
        owner = getattr(value, "__self__", None)
        bound = owner is not None and not isinstance(owner, types.ModuleType)
        return f"{_describe(owner)}.{value.__name__}" if bound else _describe_named(value)
    return f"{_describe_named(type(value))}({_describe(_state(value))})"


def _describe_array(array: np.ndarray) -> str:
    content = _describe(array.tolist()) if array.dtype.hasobject else hashlib.sha256(array.tobytes()).hexdigest()
    return f"array({array.dtype},{array.shape},{content})"


def _describe_named(value: Any) -> str:
    name = f"{getattr(value, '__module__', None)}.{value.__qualname__}"
    if "<" in name:
        raise TypeError(f"{name} has no name of its own; use a function or class of a module instead")
    return name


def _state(value: Any) -> Any:
    if isinstance(value, _RANDOM):
        return None  # where a source of randomness stands is no setting
    slots = [cls.__dict__["__slots__"] for cls in type(value).__mro__ if "__slots__" in cls.__dict__]
    if not slots and not hasattr(value, "__dict__"):
        reduce = copyreg.dispatch_table.get(type(value))
        return reduce(value) if reduce else value.__reduce_ex__(4)
    names = [name for own in slots for name in ([own] if isinstance(own, str) else own)]
    return {**getattr(value, "__dict__", {}), **{n: getattr(value, n) for n in names if hasattr(value, n)}}
