# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which ids of a config refer to which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["reachable", "referred_ids"]

_REFERENCE = re.compile(r"@(\w+)")


def referred_ids(config: Mapping[str, Any]) -> set[str]:
    """The flat ids that the text of another id refers to.

    Args:
        config: the merged config, unresolved.

    Example:
        >>> referred_ids({"a": {"b": "@c#d"}, "c": "@c + 1", "e": 2})
        {'c'}
    """
    texts = {id: _references(value) for id, value in config.items()}
    return set().union(*(found - {id} for id, found in texts.items()))


def reachable(config: Mapping[str, Any], roots: Iterable[str]) -> dict[str, Any]:
    """The part of a config that some of its ids need: these themselves, what they refer to, and so on, in order.

    Args:
        config: the merged config, unresolved.
        roots: flat ids; those that the config does not declare are passed over.

    Example:
        >>> reachable({"a": 1, "b": "@a", "c": "@b", "d": "@c"}, ["b", "x"])
        {'a': 1, 'b': '@a'}
    """
    found: set[str] = set()
    waiting = set(roots) & set(config)
    while waiting:
        found |= waiting
        waiting = (set().union(*(_references(config[id]) for id in waiting)) & set(config)) - found
    return {id: value for id, value in config.items() if id in found}


def _references(config: Any) -> set[str]:
    """First parts of all ids that some text in a config refers to."""
    if isinstance(config, Mapping):
        return set().union(*(_references(value) for value in config.values()))
    if isinstance(config, (list, tuple)):
        return set().union(*(_references(value) for value in config))
    return set(_REFERENCE.findall(config)) if isinstance(config, str) else set()
