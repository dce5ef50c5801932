# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What texts of a config stand for, as far as nothing has to be built for that."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping
from typing import Any

from monai.bundle import ConfigComponent, ConfigExpression, ConfigParser, ReferenceResolver

__all__ = ["PlainTexts"]

# calls that put texts together
_CALLS = {
    "PurePath", "Path", "abspath", "absolute", "as_posix", "basename", "date", "dirname", "expanduser", "format",
    "fspath", "getcwd", "getenv", "getpid", "gettempdir", "getuser", "hex", "int", "isoformat", "join", "joinpath",
    "localtime", "lower", "lstrip", "normpath", "now", "realpath", "replace", "resolve", "round", "rstrip", "str",
    "strftime", "strip", "time", "timestamp", "today", "upper", "utcnow", "uuid1", "uuid4", "zfill",
}  # fmt: skip


class PlainTexts:
    """The texts of a config, resolved where they are made of texts and numbers alone.

    No component is built, no file is read: an expression may put texts together, as ``os.path.join`` and ``strftime``
    do, and call nothing else.

    Args:
        config: id -> value, unresolved. It stays as it is.

    Example:
        >>> texts = PlainTexts({"root": "/b", "a": {"to": "$@root + '/eval'", "net": "$@net.to('cpu')"}, "net": {}})
        >>> texts.value("a::to"), texts.value("a::net")
        ('/b/eval', None)
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._parser = ConfigParser(_copied(config))
        self._parser.resolve_macro_and_relative_ids()

    @property
    def config(self) -> dict[str, Any]:
        """The config with what its macros (``%``) stand for, and no relative ids."""
        return self._parser.get()

    def __getitem__(self, id: str) -> Any:
        """What stands under an id, unresolved."""
        return self._parser[id]

    def target(self, name: str) -> str:
        """The full name behind a ``_target_``."""
        return str(ConfigComponent({"_target_": name}, locator=self._parser.locator).resolve_module_name())

    def references(self, text: Any) -> set[str]:
        """The ids that a text refers to, and those that these refer to, as far as they are texts, too.

        Example:
            >>> sorted(PlainTexts({"a": "$@b + '/c'", "b": "@d", "d": "e", "f": {"g": "@a"}}).references("@a"))
            ['a', 'b', 'd']
        """
        found: set[str] = set()
        waiting = set(_references(text))
        while waiting:
            found |= waiting
            waiting = set().union(*(_references(self._parser.get(id)) for id in waiting)) - found
        return found

    def value(self, id: str, default: Any = None) -> Any:
        """What the text under an id stands for; None where that would have to be built, or fails.

        Args:
            id: of a text.
            default: where the config has no such id.
        """
        if id not in self._parser:
            return default
        text = self._parser[id]
        contents = [text, *(self._parser.get(one, default=()) for one in self.references(text))]
        if not all(one is None or isinstance(one, (str, int, float)) and _is_plain(one) for one in contents):
            return None
        with contextlib.suppress(Exception):
            return self._parser.get_parsed_content(id)
        return None


def _copied(config: Any) -> Any:
    """The same mappings and lists anew, with the same objects in them."""
    if isinstance(config, Mapping):
        return {key: _copied(value) for key, value in config.items()}
    return [_copied(value) for value in config] if isinstance(config, list) else config


def _references(text: Any) -> set[str]:
    return set(ReferenceResolver.match_refs_pattern(text)) if isinstance(text, str) else set()


def _is_plain(value: Any) -> bool:
    """Whether it is no expression, or one that only puts texts together."""
    if not ConfigExpression.is_expression(value):
        return True
    source = ReferenceResolver.id_matcher.sub("text", ReferenceResolver.normalize_id(value)[1:])
    try:
        nodes = list(ast.walk(ast.parse(source.strip(), mode="eval")))
    except SyntaxError:
        return False
    calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    return all(name.rpartition(".")[2] in _CALLS or name.endswith("environ.get") for name in calls)
