# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The arguments that a config gives to components of this package, checked before any of them is built."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from pydoc import locate
from typing import Any

__all__ = ["selector_advice", "wrong_arguments"]


def wrong_arguments(config: Mapping[str, Any]) -> list[str]:
    """A sentence about each argument that a component does not take, and each flag that is no flag.

    A text such as ``'false'``, as MONAI's command line reads ``false``, would count as true.

    Args:
        config: id -> value, unresolved. Components of other packages are left to them.

    Example:
        >>> wrong_arguments({"strategy": {"_target_": "monai_al.strategies.Uncertainty", "mesure": "entropy"}})
        ['--strategy#mesure: Uncertainty takes no such argument; did you mean measure?']
    """
    return [sentence for id, component in _components(config) for sentence in _of_component(id, component)]


def selector_advice(strategy: Any) -> str:
    """What to say of ``--selector`` where no strategy refers to it, and what spreads its query instead.

    Args:
        strategy: its part of the config, unresolved.

    Example:
        >>> selector_advice({"_target_": "monai_al.strategies.Coreset", "embedding": "pixels"})
        'Coreset takes no selector; --strategy#stratified True spreads its query over the patients'
    """
    target = strategy.get("_target_") if isinstance(strategy, Mapping) else None
    component: Any = _located(str(target))
    try:
        known = inspect.signature(component).parameters
    except (TypeError, ValueError):
        return ""
    if "selector" in known:
        return "let the overlay of the strategy say  selector: '@selector'"
    spread = "; --strategy#stratified True spreads its query over the patients" if "stratified" in known else ""
    return f"{component.__name__} takes no selector{spread}"


def _components(config: Any, above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The id and the content of everything that has a ``_target_`` of this package."""
    pairs = config.items() if isinstance(config, Mapping) else enumerate(config)
    for key, value in pairs:
        id = f"{above}#{key}" if above else str(key).replace("::", "#")
        if isinstance(value, Mapping) and str(value.get("_target_")).startswith("monai_al."):
            yield id, value
        if isinstance(value, (Mapping, list)):
            yield from _components(value, id)


def _of_component(id: str, component: Mapping[str, Any]) -> Iterator[str]:
    target: Any = _located(component["_target_"])
    try:
        known = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return  # nothing is called so, which is told where it is built
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for name, value in component.items():
        if name.startswith("_"):
            continue
        if name not in known and not open_ended:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'none'}"
            yield f"--{id}#{name}: {target.__name__} takes no such argument; {hint}"
        elif name in known and _takes_a_flag(known[name]) and not _is_flag(value):
            yield f"--{id}#{name} must be True or False, got {value!r}"


def _located(target: str) -> Any:
    try:
        return locate(target)
    except Exception:  # a module that cannot be imported, which is told where it is built
        return None


def _takes_a_flag(parameter: inspect.Parameter) -> bool:
    """Whether it takes nothing else, as ``bool | str`` does."""
    only = parameter.annotation in ("bool", bool, inspect.Parameter.empty)
    return isinstance(parameter.default, bool) and only


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or isinstance(value, str) and value[:1] in ("$", "@", "%")
