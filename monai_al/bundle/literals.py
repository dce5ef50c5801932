# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts that reach a config's objects as they stand, whatever MONAI makes of their characters."""

from __future__ import annotations

__all__ = ["literal"]

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
