# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts that reach a config's objects as they stand, whatever MONAI makes of their characters."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

__all__ = ["is_expression", "literal", "literal_of", "literals_in"]

_BEGINS = ("$", "@", "%")
_MEANT = "#@%$"  # what MONAI reads in a text: the levels of an id, a reference, a macro, an expression


def literal(text: str) -> str:
    r"""A config value that resolves to exactly this text.

    MONAI replaces ``#`` by ``::`` in every text of a config, and takes one that begins with ``$``, ``@`` or ``%`` for
    an expression, a reference or a macro. Such a text becomes an expression without any of these characters.

    Args:
        text: any text, such as a path.

    Example:
        >>> literal("runs/a"), literal("run #1")
        ('runs/a', "$'run \\x231'")
        >>> from monai.bundle import ConfigParser
        >>> ConfigParser({"output_dir": literal("run #1")}).get_parsed_content("output_dir")
        'run #1'
    """
    if not any(character in text for character in _MEANT):
        return text
    escaped = repr(text)
    for character in _MEANT:
        escaped = escaped.replace(character, f"\\x{ord(character):02x}")
    return f"${escaped}"


def is_expression(value: Any) -> bool:
    """Whether MONAI takes a value of a config for an expression, a reference or a macro.

    Example:
        >>> is_expression("@seed"), is_expression("runs/a"), is_expression(3)
        (True, False, False)
    """
    return isinstance(value, str) and value[:1] in _BEGINS


def literals_in(value: Any) -> Any:
    r"""A config value whose texts, also those in lists and mappings, arrive as they stand; expressions stay.

    Example:
        >>> literals_in(["my #1.yaml", "@seed", 3])
        ["$'my \\x231.yaml'", '@seed', 3]
    """
    if isinstance(value, Mapping):
        return {key: literals_in(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [literals_in(entry) for entry in value]
    return literal(value) if isinstance(value, str) and not is_expression(value) else value


def literal_of(value: Any) -> str | None:
    """The text that a config value stands for: itself, or what :func:`literal` made of it; None of anything else.

    Example:
        >>> literal_of("runs/a"), literal_of(literal("run #1")), literal_of("$print(1)")
        ('runs/a', 'run #1', None)
    """
    if not isinstance(value, str) or not is_expression(value):
        return value if isinstance(value, str) else None
    try:
        text = ast.literal_eval(value[1:]) if value[0] == "$" else None
    except (SyntaxError, ValueError):
        return None
    return text if isinstance(text, str) and literal(text) == value else None
